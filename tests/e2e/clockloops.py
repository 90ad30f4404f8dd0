"""The loops of tests/guest/clock, recorded with all memory to verify and replayed: for tests and for scripts/clock-sweep."""
import math
import os

import rlvtest as t

DIR = os.path.join(t.GUESTS, "clock")
THREADS = 4
LARGE = ("copy", "rep")                    # two blocks of memory, all compared at every clock point
AGAIN = ("maps",)                          # done twice, with an exec in between
MILLISECONDS = {"handlers": 100}           # that a loop runs, natively; it takes a while until all timers are set
SLICE_MIN_US, SLICE_MAX_US = 200, 10000    # slices vary from a quarter to twice of that


def builds():
    """What the compilers that are here made: "gcc_O0", ..."""
    made = ["%s_%s" % (cc, level) for cc in ("gcc", "clang") for level in ("O0", "O2", "O3")]
    return [b for b in made if os.path.exists(program(b))]


def program(build):
    return os.path.join(DIR, "loops_" + build)


def names():
    return t.run([program("gcc_O2")]).out.decode().split()


def any_slice_us(rnd, least=SLICE_MIN_US):
    return int(least * math.exp(rnd.random() * math.log(SLICE_MAX_US / least)))


def record_and_replay(case, loop, build, slice_us, options=(), milliseconds=None, verify="full", block_mb=64, **kw):
    """Raises a Failure unless the program is content with its run, and the replay is exact. @block_mb: of each of two blocks of the large ones."""
    cmd = [program(build), loop, str(THREADS), str(milliseconds or MILLISECONDS.get(loop, 30)), "1" if loop in AGAIN else "0", str(block_mb)]
    recorded = case.record(cmd, ["--verify", verify, "--slice-us", str(slice_us), *options], **kw)
    if recorded.status or b"EXIT-SUCCESS" not in recorded.out:
        raise t.Failure("it ended with status %d\n%s" % (recorded.status, t.tail(recorded.out + recorded.err)))
    t.compare(recorded, case.replay(["--verify", "full"], **kw), ("the recording", "the replay"))
