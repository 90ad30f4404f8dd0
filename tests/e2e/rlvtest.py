"""What all end-to-end tests share: running programs natively, recording, replaying, comparing, keeping what failed.

Environment: RELIVE_BUILD (the build directory; default: build/ of this tree), RELIVE_TEST_TIMES (replays of each
recording, default 3), RELIVE_TEST_SLOW=0 (the quick run: smaller counts), RELIVE_TEST_PATIENCE (seconds that one replay
may take, default 120), RELIVE_TEST_AGENT (0: record with --no-agent, 1: with --agent), RELIVE_TEST_KEEP (where traces of failed tests go; default: failed-traces/ in the build directory).
"""
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("RELIVE_BUILD") or os.path.join(ROOT, "build"))
RELIVE = os.path.join(BUILD, "relive")
GUESTS = os.path.join(BUILD, "tests", "guest")
TIMES = int(os.environ.get("RELIVE_TEST_TIMES", "3"))
PATIENCE = int(os.environ.get("RELIVE_TEST_PATIENCE", "120"))
QUICK = os.environ.get("RELIVE_TEST_SLOW", "1") == "0"
RECORD = [RELIVE, "record"] + {"0": ["--no-agent"], "1": ["--agent"]}.get(os.environ.get("RELIVE_TEST_AGENT"), [])
SKIPPED = 77            # exit status that ctest reports as "skipped"
INCOMPLETE = 124        # exit status of a replay of a recording that was cut short
DIVERGED = 125          # exit status of a replay that did not do what the recording did


class Failure(Exception):
    """A test's claim does not hold. The text says which, and with what."""


class Skip(Exception):
    """A test cannot run here. The text says what is missing and how to get it."""


class Result:
    """What a finished program left: out and err (bytes) and status (128+n for signal n, as shells say it)."""

    def __init__(self, out, err, status):
        self.out, self.err, self.status = out, err, status


def shell(cmd):
    return " ".join(shlex.quote(c) for c in cmd)


def need(program, package):
    """The path of a program of the system, or skip. The system's own directories first: others may be a user's."""
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") or shutil.which(program)
    if not path:
        raise Skip("%s is not installed (apt-get install %s)" % (program, package))
    return path


def plain_env(extra=None):
    """A small environment, equal for native, recorded and replayed runs."""
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "USER", "RELIVE_DEBUG")}
    env.setdefault("PATH", "/usr/bin:/bin")
    env.update({"LC_ALL": "C", "GUEST_ONE": "first", "GUEST_TWO": "second value", "XDG_CACHE_HOME": os.path.join(BUILD, "test-cache")})
    env.update(extra or {})
    return env


def stop_group(p):
    """End a process that this test started, with the process group that it leads."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(p.pid, sig)
        except ProcessLookupError:
            return
        try:
            p.wait(timeout=3)
        except subprocess.TimeoutExpired:
            continue


def run(cmd, stdin=None, cwd=None, env=None, timeout=120, what="it", preexec_fn=None):
    """Run a command to its end. stdin: None (/dev/null), bytes (through a pipe) or an open file."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE if isinstance(stdin, bytes) else stdin
    p = subprocess.Popen(cmd, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd,
                         env=plain_env(env), start_new_session=True, preexec_fn=preexec_fn)
    try:
        out, err = p.communicate(stdin if isinstance(stdin, bytes) else None, timeout=timeout)
    except subprocess.TimeoutExpired:
        stop_group(p)
        out, err = p.communicate()
        raise Failure("%s was not done after %d s: %s\n%s" % (what, timeout, short(shell(cmd), 600), tail(out) + tail(err)))
    return Result(out, err, p.returncode if p.returncode >= 0 else 128 - p.returncode)


def in_terminal(cmd, cwd, at_ready=None, timeout=60):
    """Run a command on a terminal of its own; call at_ready(fd, pid), if given, once it has said "ready"; output and exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(cmd[0], cmd, plain_env())
    out, ready, end = b"", False, time.time() + timeout
    while time.time() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            out += data
        if at_ready and not ready and b"ready" in out:
            ready = True
            time.sleep(0.05)
            at_ready(fd, pid)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise Failure("it was not done after %d s: %r" % (timeout, out))
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return out, os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def short(text, n):
    return text if len(text) <= n else text[:n // 2] + " ... " + text[-n // 2:]


def tail(data, n=2000):
    text = data.decode("utf-8", "replace")
    return text if len(text) <= n else "..." + text[-n:]


def without_own_words(err):
    """Standard error without the lines of relive's own at its end."""
    while True:
        m = re.search(rb"(?:\A|(?<=\n)|(?<=.))relive: [^\n]*\n?\Z", err)
        if not m:
            return err
        err = err[:m.start()]


def same_err(a, b):
    """Equal, but for a newline that relive puts between a program's unfinished line and its own words."""
    return a == b or a == b + b"\n" or b == a + b"\n"


def difference(a, b):
    n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return "%d and %d bytes, first difference at byte %d: %r / %r" % (len(a), len(b), n, a[n:n + 60], b[n:n + 60])


def compare(want, got, names):
    """Raise unless two results are equal byte for byte."""
    if want.status != got.status:
        raise Failure("exit status: %s %d, %s %d\n%s" % (names[0], want.status, names[1], got.status, tail(got.err)))
    if want.out != got.out:
        raise Failure("stdout of %s / %s: %s\n%s" % (*names, difference(want.out, got.out), tail(got.err, 500)))
    if not same_err(without_own_words(want.err), without_own_words(got.err)):
        raise Failure("stderr of %s / %s: %s" % (*names, difference(without_own_words(want.err), without_own_words(got.err))))


class Case:
    """One recording in a directory of its own, removed at the end; kept, and told of, when the test failed."""

    def __init__(self, name, keep_as=None):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="relive-test-")
        self.trace = os.path.join(self.dir, "trace.rlv")
        self.keep_as = keep_as or re.sub(r"[^A-Za-z0-9_.-]", "_", name)

    def __enter__(self):
        return self

    def __exit__(self, kind, exc, tb):
        if kind and issubclass(kind, Failure) and os.path.exists(self.trace):
            kept_dir = os.environ.get("RELIVE_TEST_KEEP") or os.path.join(BUILD, "failed-traces")
            try:
                os.makedirs(kept_dir, exist_ok=True)
                kept = os.path.join(kept_dir, self.keep_as + ".rlv")
                shutil.copyfile(self.trace, kept)
                print("%s: the trace is kept; replay it with\n    %s replay --no-gdb %s" % (self.name, RELIVE, kept))
            except OSError as e:
                print("%s: the trace could not be kept: %s" % (self.name, e))
        shutil.rmtree(self.dir, ignore_errors=True)
        return False

    def record(self, cmd, options=(), **kw):
        """Record a command. Checks only that there is a trace: the result is the program's."""
        kw.setdefault("cwd", self.dir)
        r = run([*RECORD, *options, "-o", self.trace, "--", *cmd], what="the recording", **kw)
        if not os.path.exists(self.trace):
            raise Failure("no trace was made by recording %s\n%s" % (shell(cmd), tail(r.err)))
        return r

    def replay(self, options=(), **kw):
        kw.setdefault("timeout", PATIENCE)
        return run([RELIVE, "replay", "--no-gdb", *options, self.trace], cwd=self.dir, what="the replay", **kw)

    def replay_exactly(self, recorded, times=TIMES):
        for i in range(times):
            compare(recorded, self.replay(), ("the recording", "replay %d" % (i + 1)))


class Guest:
    """A line of tests/guest/MANIFEST."""

    def __init__(self, name, words):
        self.name, self.program = name, os.path.join(GUESTS, name.split("@")[0])
        self.flags = {w for w in words if "=" not in w}
        pairs = [w.split("=", 1) for w in words if "=" in w]
        self.args = [v for k, v in pairs if k == "arg"]
        self.status = int(dict(pairs).get("status", "0"))
        self.stdin_kind = dict(pairs).get("stdin", "null")

    @property
    def cmd(self):
        return [self.program, *self.args]

    def stdin(self, directory):
        data = b"".join(b"line %d of the input\n" % i for i in range(5000))
        if self.stdin_kind == "pipe":
            return data
        if self.stdin_kind == "file":
            path = os.path.join(directory, "input")
            with open(path, "wb") as f:
                f.write(data)
            return open(path, "rb")
        return None


def guests():
    """All guests by name, in the manifest's order."""
    found = {}
    with open(os.path.join(HERE, "..", "guest", "MANIFEST")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                words = [w.replace("\\ ", " ") for w in re.split(r"(?<!\\)\s+", line.strip())]
                found[words[0]] = Guest(words[0], words[1:])
    return found


def check_finished(guest, r, how):
    """A guest ended as its manifest line says, and had found nothing wrong."""
    if r.status != guest.status:
        raise Failure("%s ended with status %d instead of %d when %s\n%s" % (guest.name, r.status, guest.status, how, tail(r.err)))
    if b"EXIT-SUCCESS" not in r.out:
        raise Failure("%s did not print EXIT-SUCCESS when %s\n%s" % (guest.name, how, tail(r.out + r.err)))


def need_relive():
    if not os.access(RELIVE, os.X_OK):
        print("%s does not exist: run ./dev build first" % RELIVE)
        sys.exit(2)


def main(tests, argv):
    """Run named tests (a dict of functions); print a line each; the exit status is ctest's."""
    names = argv or list(tests)
    unknown = [n for n in names if n not in tests]
    if unknown:
        print("no such test: %s; there are: %s" % (", ".join(unknown), ", ".join(tests)))
        sys.exit(2)
    n_failed = n_skipped = 0
    for name in names:
        try:
            tests[name]()
            print("pass: %s" % name, flush=True)
        except Skip as e:
            n_skipped += 1
            print("SKIPPED: %s: %s" % (name, e), flush=True)
        except Failure as e:
            n_failed += 1
            print("FAIL: %s: %s" % (name, e), flush=True)
    sys.exit(1 if n_failed else SKIPPED if n_skipped == len(names) else 0)


def in_parallel(n, work):
    """Call work(i) for 0..n-1 on two threads; the first exception is raised again, after all have stopped."""
    state = {"next": 0, "error": None}
    lock = threading.Lock()

    def loop():
        while True:
            with lock:
                i = state["next"]
                if i >= n or state["error"]:
                    return
                state["next"] += 1
            try:
                work(i)
            except Exception as e:
                with lock:
                    state["error"] = state["error"] or e

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if state["error"]:
        raise state["error"]
