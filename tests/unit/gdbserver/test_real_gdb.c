/*
 * The installed gdb against a recording small enough to keep every instant of it: a forked copy of this program is
 * single-stepped through toy_guest(), and its registers and writable pages are kept after each instruction.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/scope.h"
#include "gdbserver/server.h"

#define PAGE 4096ul
#define INSTANTS_MAX 3000
#define PAGES 4                 /* kept with each instant: two of the stack, two of toy_total and its surroundings */
#define XSAVE_KEPT 4096
#define BREAKS_MAX 64
#define EVENTS_MAX 8
#define CONNECT_MS 60000
#define SECONDS 240
#define FAKE_THREAD 1           /* tid of a second thread, which never runs, is the first one's plus this */

volatile long toy_total __attribute__((aligned(4096)));
long toy_table[64] = { 7, 7, 7 };

static const uint8_t toy_vector[32] __attribute__((aligned(32))) = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
};

void toy_add(long n);
void toy_guest(void);
void toy_guest_end(void);

__attribute__((noinline, noclone)) void toy_add(long n)
{
	toy_total += n;
}

__attribute__((noinline, noclone)) void toy_guest_end(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline, noclone)) void toy_guest(void)
{
	__asm__ volatile("movdqu %0, %%xmm3" :: "m"(*(const char (*)[16])toy_vector) : "xmm3");
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vmovdqu %0, %%ymm5" :: "m"(toy_vector) : "xmm5");
	for (long i = 1; i <= 10; i++)
		toy_add(i);
	toy_guest_end();
}

struct instant {
	struct user_regs_struct regs;
	uint8_t xsave[XSAVE_KEPT];
	uint8_t pages[PAGES][PAGE];
};

struct toy_break {
	enum target_bp_kind kind;
	uint64_t addr, len;
};

struct toy {
	struct target target;
	pid_t pid;
	int mem;
	size_t xsave_n;
	struct instant *at;
	int n, now;
	uint64_t page_addr[PAGES];
	struct toy_break breaks[BREAKS_MAX];
	int n_breaks;
	struct {
		int at;
		struct target_stop stop;
	} events[EVENTS_MAX];   /* made-up ones: reported when their instant is reached, from either side */
	int n_events;
	pid_t interrupt;        /* if not 0: run until interrupted, which this process is asked to do */
};

/* recording */

static int toy_keep(struct toy *toy, const struct user_regs_struct *regs)
{
	struct instant *in = &toy->at[toy->n];
	struct iovec iov = { in->xsave, sizeof(in->xsave) };

	in->regs = *regs;
	if (ptrace(PTRACE_GETREGSET, toy->pid, NT_X86_XSTATE, &iov) < 0)
		return -errno;
	toy->xsave_n = iov.iov_len;
	for (int i = 0; i < PAGES; i++)
		if (pread(toy->mem, in->pages[i], PAGE, (off_t)toy->page_addr[i]) != (ssize_t)PAGE)
			return -EIO;
	toy->n++;
	return 0;
}

static void toy_choose_pages(struct toy *toy, uint64_t rsp)
{
	uint64_t data = (uint64_t)&toy_total & ~(PAGE - 1);
	uint64_t table = (uint64_t)toy_table & ~(PAGE - 1);
	uint64_t stack = rsp & ~(PAGE - 1);

	toy->page_addr[0] = stack - PAGE;
	toy->page_addr[1] = stack;
	toy->page_addr[2] = data;
	toy->page_addr[3] = table;
}

static int toy_step_through(struct toy *toy)
{
	struct user_regs_struct regs;
	bool inside = false;
	int status;

	for (int steps = 0; steps < 1000000 && toy->n < INSTANTS_MAX; steps++) {
		if (ptrace(PTRACE_GETREGS, toy->pid, NULL, &regs) < 0)
			return -errno;
		if (regs.rip == (uint64_t)toy_guest) {
			inside = true;
			toy_choose_pages(toy, regs.rsp);
		}
		if (inside && toy_keep(toy, &regs) < 0)
			return -EIO;
		if (inside && regs.rip == (uint64_t)toy_guest_end)
			return 0;
		if (ptrace(PTRACE_SINGLESTEP, toy->pid, NULL, NULL) < 0 || waitpid(toy->pid, &status, 0) < 0 ||
		    !WIFSTOPPED(status))
			return -ECHILD;
	}
	return -E2BIG;
}

/* the target */

static int toy_threads(void *self, struct target_thread *out, int max)
{
	struct toy *toy = self;
	struct target_thread list[2] = {
		{ .pid = toy->pid, .tid = toy->pid, .name = "adder" },
		{ .pid = toy->pid, .tid = toy->pid + FAKE_THREAD, .name = "<idle> & \"still\"" },
	};

	memcpy(out, list, sizeof(list[0]) * (size_t)(max < 2 ? max : 2));
	return 2;
}

static int32_t toy_id(void *self)
{
	return ((struct toy *)self)->pid;
}

static int toy_regs(void *self, int32_t tid, struct user_regs_struct *ret)
{
	struct toy *toy = self;

	*ret = toy->at[tid == toy->pid ? toy->now : 0].regs;
	return 0;
}

static int toy_xsave(void *self, int32_t tid, void *buf, size_t max, size_t *ret_n)
{
	struct toy *toy = self;

	(void)tid;
	if (toy->xsave_n > max)
		return -E2BIG;
	memcpy(buf, toy->at[toy->now].xsave, toy->xsave_n);
	*ret_n = toy->xsave_n;
	return 0;
}

/* Where the kernel says which components the area has: the first of the bytes it leaves to software. */
static uint64_t toy_xcr0(void *self)
{
	struct toy *toy = self;
	uint64_t v;

	memcpy(&v, toy->at[0].xsave + 464, sizeof(v));
	return v;
}

static const uint8_t *toy_byte(const struct toy *toy, int when, uint64_t addr)
{
	for (int i = 0; i < PAGES; i++)
		if (addr - toy->page_addr[i] < PAGE)
			return &toy->at[when].pages[i][addr - toy->page_addr[i]];
	return NULL;
}

static int64_t toy_read(void *self, uint64_t addr, void *out, size_t n)
{
	struct toy *toy = self;
	ssize_t got = pread(toy->mem, out, n, (off_t)addr);

	for (ssize_t i = 0; i < got; i++) {
		const uint8_t *kept = toy_byte(toy, toy->now, addr + (uint64_t)i);

		if (kept)
			((uint8_t *)out)[i] = *kept;
	}
	return got < 0 ? -errno : got;
}

static int toy_add_break(void *self, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	struct toy *toy = self;

	if (toy->n_breaks == BREAKS_MAX || kind == WP_READ || kind == WP_ACCESS)
		return -ENOTSUP;
	toy->breaks[toy->n_breaks++] = (struct toy_break){ kind, addr, len };
	return 0;
}

static int toy_del_break(void *self, enum target_bp_kind kind, uint64_t addr, uint64_t len)
{
	struct toy *toy = self;

	for (int i = 0; i < toy->n_breaks; i++) {
		struct toy_break *b = &toy->breaks[i];

		if (b->kind == kind && b->addr == addr && b->len == len) {
			*b = toy->breaks[--toy->n_breaks];
			return 0;
		}
	}
	return -ENOENT;
}

/* Whether the instruction between the two instants changed what b watches. */
static bool toy_watch_hit(const struct toy *toy, const struct toy_break *b, int from, int to)
{
	for (uint64_t i = 0; i < b->len; i++) {
		const uint8_t *before = toy_byte(toy, from, b->addr + i), *after = toy_byte(toy, to, b->addr + i);

		if (before && after && *before != *after)
			return true;
	}
	return false;
}

static bool toy_hit(const struct toy *toy, int from, struct target_stop *stop)
{
	for (int i = 0; i < toy->n_breaks; i++) {
		const struct toy_break *b = &toy->breaks[i];

		if (b->kind <= BP_HARD && toy->at[toy->now].regs.rip == b->addr) {
			stop->kind = STOP_BREAK;
			stop->bp_kind = b->kind;
			return true;
		}
		if (b->kind == WP_WRITE && toy_watch_hit(toy, b, from, toy->now)) {
			stop->kind = STOP_WATCH;
			stop->bp_kind = b->kind;
			stop->watch_addr = b->addr;
			return true;
		}
	}
	return false;
}

static bool toy_event(const struct toy *toy, struct target_stop *stop)
{
	for (int i = 0; i < toy->n_events; i++) {
		if (toy->events[i].at != toy->now)
			continue;
		*stop = toy->events[i].stop;
		stop->pid = stop->tid = toy->pid;
		return true;
	}
	return false;
}

static void toy_wait_for_interrupt(struct toy *toy)
{
	kill(toy->interrupt, SIGINT);
	while (!toy->target.interrupted(toy->target.interrupted_arg))
		usleep(1000);
}

static int toy_resume(void *self, const struct target_resume *r, struct target_stop *stop)
{
	struct toy *toy = self;
	int way = r->dir == TARGET_FORWARD ? 1 : -1;

	*stop = (struct target_stop){ .pid = toy->pid, .tid = toy->pid };
	if (toy->interrupt) {
		toy_wait_for_interrupt(toy);
		stop->kind = STOP_INTERRUPTED;
		return 0;
	}
	for (;;) {
		int from = toy->now;
		uint64_t rip;

		if (from + way < 0 || from + way >= toy->n) {
			stop->kind = way < 0 ? STOP_BEGIN : STOP_EXITED;
			return 0;
		}
		toy->now = from + way;
		if (toy_hit(toy, from, stop) || toy_event(toy, stop))
			return 0;
		rip = toy->at[toy->now].regs.rip;
		if (r->step && (rip < r->range_start || rip >= r->range_end)) {
			stop->kind = STOP_STEP;
			return 0;
		}
	}
}

static int toy_restart(void *self, struct target_stop *stop)
{
	struct toy *toy = self;

	toy->now = 0;
	*stop = (struct target_stop){ .kind = STOP_BEGIN, .pid = toy->pid, .tid = toy->pid };
	return 0;
}

/* `run 42` begins at instant 42. */
static int toy_restart_at(void *self, const char *where, struct target_stop *stop)
{
	struct toy *toy = self;
	int instant = atoi(where);

	if (instant <= 0 || instant >= toy->n)
		return -ENOENT;
	toy->now = instant;
	*stop = (struct target_stop){ .kind = STOP_STEP, .pid = toy->pid, .tid = toy->pid };
	return 0;
}

static int toy_auxv(void *self, void **ret, size_t *ret_n)
{
	struct toy *toy = self;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/auxv", toy->pid);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	*ret = malloc(PAGE);
	if (fd < 0 || !*ret)
		return -ENOENT;
	n = read(fd, *ret, PAGE);
	*ret_n = n < 0 ? 0 : (size_t)n;
	return 0;
}

static int toy_exec_file(void *self, char *buf, size_t max)
{
	ssize_t n = readlink("/proc/self/exe", buf, max - 1);

	(void)self;
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

static int toy_file_size(void *self, const char *path, uint64_t *ret)
{
	struct stat st;

	(void)self;
	if (stat(path, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode) ? 0 : -ENOENT;
}

static int64_t toy_file_read(void *self, const char *path, uint64_t off, void *out, size_t n)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	(void)self;
	if (fd < 0)
		return -errno;
	got = pread(fd, out, n, (off_t)off);
	return got < 0 ? -errno : got;
}

static int toy_catch(void *self, bool on, const int *nrs, size_t n)
{
	(void)self, (void)on, (void)nrs, (void)n;
	return 0;
}

static int toy_monitor(void *self, const char *cmd, char **ret)
{
	struct toy *toy = self;

	if (strcmp(cmd, "when"))
		return -ENOENT;
	return asprintf(ret, "instant %d of %d\n", toy->now, toy->n) < 0 ? -ENOMEM : 0;
}

static int toy_siginfo(void *self, void *buf, size_t max, size_t *ret_n)
{
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_USER };

	(void)self;
	if (max < sizeof(info))
		return -E2BIG;
	memcpy(buf, &info, sizeof(info));
	*ret_n = sizeof(info);
	return 0;
}

static const struct target_ops toy_ops = {
	.threads = toy_threads, .current_tid = toy_id, .current_pid = toy_id, .regs = toy_regs, .xsave = toy_xsave,
	.xcr0 = toy_xcr0, .read = toy_read, .add_break = toy_add_break, .del_break = toy_del_break,
	.resume = toy_resume, .restart = toy_restart, .auxv = toy_auxv, .exec_file = toy_exec_file,
	.file_size = toy_file_size, .file_read = toy_file_read, .catch_syscalls = toy_catch, .monitor = toy_monitor,
	.siginfo = toy_siginfo, .restart_at = toy_restart_at,
};

static void toy_free(struct toy *toy)
{
	if (toy->pid > 0) {
		kill(toy->pid, SIGKILL);
		waitpid(toy->pid, NULL, 0);
	}
	if (toy->mem >= 0)
		close(toy->mem);
	free(toy->at);
	free(toy);
}

static int toy_record(struct toy *toy)
{
	char path[64];
	int status;

	toy->pid = fork();
	if (toy->pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		toy_guest();
		_exit(0);
	}
	if (toy->pid < 0 || waitpid(toy->pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return -ECHILD;
	ptrace(PTRACE_SETOPTIONS, toy->pid, NULL, PTRACE_O_EXITKILL);
	snprintf(path, sizeof(path), "/proc/%d/mem", toy->pid);
	toy->mem = open(path, O_RDONLY | O_CLOEXEC);
	if (toy->mem < 0)
		return -errno;
	return toy_step_through(toy);
}

static struct toy *toy_new(void)
{
	struct toy *toy = calloc(1, sizeof(*toy));

	toy->mem = -1;
	toy->at = calloc(INSTANTS_MAX, sizeof(*toy->at));
	toy->target.ops = &toy_ops;
	toy->target.self = toy;
	if (toy_record(toy) < 0) {
		toy_free(toy);
		return NULL;
	}
	return toy;
}

/* running gdb */

static char gdb_said[1 << 17];
static bool interrupt_gdb;

/* How gdb connects; may need commands of its own before. */
static const char *connect_by = "target extended-remote";
static const char *before_connecting = "set height 0";

static pid_t gdb_start(int port, const char *const *commands, int out_fd)
{
	char connect_to[64];
	const char *argv[80] = { "gdb", "-nx", "-batch", "-ex", "set confirm off", "-ex", "set width 0",
				 "-ex", before_connecting, "-ex", connect_to };
	int n = 11;
	pid_t pid;

	snprintf(connect_to, sizeof(connect_to), "%s 127.0.0.1:%d", connect_by, port);
	for (; *commands; commands++) {
		assert_true(n < 76);
		argv[n++] = "-ex";
		argv[n++] = *commands;
	}
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		dup2(out_fd, 1);
		dup2(out_fd, 2);
		execvp("gdb", (char *const *)argv);
		_exit(127);
	}
	return pid;
}

/* Have gdb execute the commands on the toy; what it said is in gdb_said. */
static void gdb(struct toy *toy, const char *const *commands)
{
	int port, fd, listen_fd = gdbserver_listen(NULL, 0, &port), out = memfd_create("gdb", MFD_CLOEXEC);
	struct pollfd wait = { .fd = listen_fd, .events = POLLIN };
	ssize_t n;
	pid_t pid;

	assert_true(listen_fd >= 0 && out >= 0);
	pid = gdb_start(port, commands, out);
	assert_true(pid > 0);
	if (interrupt_gdb)
		toy->interrupt = pid;
	if (poll(&wait, 1, CONNECT_MS) == 1) {
		fd = gdbserver_accept(listen_fd);
		assert_true(fd >= 0);
		assert_int_equal(gdbserver_run(&toy->target, fd, fd), 0);
		close(fd);
	}
	close(listen_fd);
	waitpid(pid, NULL, 0);
	n = pread(out, gdb_said, sizeof(gdb_said) - 1, 0);
	gdb_said[n > 0 ? n : 0] = '\0';
	close(out);
	assert_int_equal(toy->n_breaks, 0);
}

#define GDB(toy, ...) gdb(toy, (const char *const[]){ __VA_ARGS__, NULL })

/* These pieces of text, in this order. */
static void expect_in_order(const char *const *pieces)
{
	const char *at = gdb_said;

	for (; *pieces; pieces++) {
		const char *hit = strstr(at, *pieces);

		if (!hit)
			fputs(gdb_said, stderr);
		if (!hit)
			fail_msg("gdb did not say '%s' (after what came before it)", *pieces);
		at = hit + strlen(*pieces);
	}
}

#define SAID(...) expect_in_order((const char *const[]){ __VA_ARGS__, NULL })

/* The tests share one recording: each starts by going back to its beginning. */
static struct toy *toy_of(void **state)
{
	struct toy *toy = *state;

	if (!toy)
		skip();
	toy->now = 0;
	toy->n_events = 0;
	toy->interrupt = 0;
	return toy;
}

/* Have something happen when the 4th of the ten calls is over. */
static void toy_happens(struct toy *toy, struct target_stop stop)
{
	int calls = 0, i = 0;

	while (i < toy->n && calls < 5)
		if (toy->at[i++].regs.rip == (uint64_t)toy_add)
			calls++;
	toy->events[toy->n_events].at = i - 2;
	toy->events[toy->n_events++].stop = stop;
}

static void symbols_and_libraries_come_through_the_connection(void **state)
{
	GDB(toy_of(state), "info symbol $pc", "backtrace 1", "info sharedlibrary", "info inferiors");
	SAID("toy_guest", "#0 ", "toy_guest", "target:/", "libc.so.6", "process ", "target:/");
}

static void registers_have_their_values(void **state)
{
	struct toy *toy = toy_of(state);

	GDB(toy, "break toy_add", "continue", "output/x $rip == (long)&toy_add || 1", "echo \\n", "print $xmm3.v16_int8",
	    "print $mxcsr", "print $fctrl", "print $ftag", "print $cs != 0", "print $orig_rax", "print $fs_base != 0",
	    "info registers eflags");
	SAID("hit Breakpoint 1", "{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}", "IM DM ZM OM UM PM", "= 895",
	     "= 65535", "= 1", "= -1", "= 1", "eflags", "IF");
	assert_null(strstr(gdb_said, "unavailable"));
	if (!(toy_xcr0(toy) & 4))
		return;
	toy = toy_of(state);
	GDB(toy, "break toy_add", "continue", "print $ymm5.v32_int8");
	SAID("26, 27, 28, 29, 30, 31, 32}");
}

static void threads_have_their_names(void **state)
{
	GDB(toy_of(state), "info threads", "thread 2", "thread 1");
	SAID("* 1 ", "\"adder\"", "  2 ", "<idle> & \"still\"", "Switching to thread 2", "Switching to thread 1");
}

static void time_runs_both_ways(void **state)
{
	GDB(toy_of(state), "break toy_add if $rdi == 4", "continue", "print *(long *)&toy_total", "delete",
	    "watch *(long *)&toy_total", "reverse-continue", "print *(long *)&toy_total", "continue", "continue", "print $rdi",
	    "print *(long *)&toy_total", "stepi 5", "monitor when", "reverse-stepi 5", "print *(long *)&toy_total");
	SAID("hit Breakpoint 1", "$1 = 6", "Hardware watchpoint", "Old value = 6", "New value = 3", "$2 = 3",
	     "Old value = 3", "New value = 6", "Old value = 6", "New value = 10", "$3 = 4", "$4 = 10", "instant ", "$5 = 10");
}

static void finish_and_next_work_in_reverse(void **state)
{
	GDB(toy_of(state), "break toy_add if $rdi == 7", "continue", "delete", "reverse-finish", "info symbol $pc", "stepi",
	    "info symbol $pc", "finish", "info symbol $pc", "print *(long *)&toy_total", "break toy_add", "reverse-continue",
	    "print *(long *)&toy_total");
	SAID("hit Breakpoint 1", "toy_guest", "toy_guest", "toy_add", "toy_guest", "$1 = 28", "$2 = 21");
}

static void recording_has_two_ends(void **state)
{
	GDB(toy_of(state), "reverse-continue", "continue", "print *(long *)&toy_total", "continue", "reverse-continue",
	    "print *(long *)&toy_total", "info threads");
	SAID("No more reverse-execution history", "ends here, with exit status 0", "No more reverse-execution history",
	     "$1 = 55", "No more reverse-execution history", "No more reverse-execution history", "$2 = 0", "adder");
}

static void nothing_can_be_changed(void **state)
{
	struct toy *toy = toy_of(state);

	GDB(toy, "set var *(long *)&toy_total = 5");
	SAID("Cannot access memory");
	toy = toy_of(state);
	GDB(toy, "print $rax = 3");
	SAID("the recording is read-only: memory and registers cannot be changed");
	toy = toy_of(state);
	GDB(toy, "print ((void (*)(long))toy_add)(3)");
	assert_null(strstr(gdb_said, "$1"));
	toy = toy_of(state);
	GDB(toy, "print *(long *)&toy_total", "print toy_table[1] + 0", "find &toy_table, +512, (long)7");
	SAID("$1 = 0");
}

static void run_starts_over(void **state)
{
	GDB(toy_of(state), "break toy_add", "continue", "continue", "print *(long *)&toy_total", "run",
	    "print *(long *)&toy_total", "kill", "run", "print *(long *)&toy_total", "detach", "run",
	    "print *(long *)&toy_total");
	SAID("$1 = 1", "hit Breakpoint", "$2 = 0", "killed]", "hit Breakpoint", "$3 = 0", "detached]", "hit Breakpoint", "$4 = 0");
}

static void starti_takes_a_place_to_start_from(void **state)
{
	GDB(toy_of(state), "starti 40", "monitor when", "stepi", "monitor when", "starti 7", "monitor when",
	    "starti 123456789", "set args", "break toy_add", "run", "print $rdi");
	SAID("instant 40 of", "instant 41 of", "instant 7 of", "hit Breakpoint 1", "$1 = 1");
}

static void signals_stop_and_can_be_passed(void **state)
{
	struct toy *toy = toy_of(state);

	toy_happens(toy, (struct target_stop){ .kind = STOP_SIGNAL, .signo = SIGUSR1 });
	GDB(toy, "continue", "print $_siginfo.si_signo", "handle SIGUSR1 nostop noprint pass", "reverse-continue", "continue");
	SAID("received signal SIGUSR1", "= 10", "No more reverse", "exit status 0");
}

static void fork_is_caught_and_the_child_let_go(void **state)
{
	struct toy *toy = toy_of(state);

	toy_happens(toy, (struct target_stop){ .kind = STOP_FORK, .other_pid = toy->pid + 10 });
	GDB(toy, "break toy_add if $rdi == 6", "continue", "print *(long *)&toy_total");
	SAID("Detaching after fork from child", "hit Breakpoint 1", "= 15");
	toy = toy_of(state);
	toy_happens(toy, (struct target_stop){ .kind = STOP_FORK, .other_pid = toy->pid + 10 });
	GDB(toy, "catch fork", "continue", "print *(long *)&toy_total", "break toy_add", "continue",
	    "print *(long *)&toy_total", "continue", "reverse-continue", "reverse-continue");
	SAID("hit Catchpoint 1 (forked process", "= 10", "hit Breakpoint 2", "= 10", "hit Breakpoint 2", "hit Breakpoint 2",
	     "hit Catchpoint 1");
}

static void vfork_keeps_breakpoints_working(void **state)
{
	struct toy *toy = toy_of(state);

	toy_happens(toy, (struct target_stop){ .kind = STOP_FORK, .other_pid = toy->pid + 10, .is_vfork = true });
	GDB(toy, "catch vfork", "break toy_add if $rdi == 6", "continue", "continue", "print *(long *)&toy_total",
	    "delete", "break toy_add if $rdi == 5", "reverse-continue", "reverse-continue");
	SAID("hit Catchpoint 1 (vforked process", "hit Breakpoint 2", "= 15", "hit Breakpoint 3", "No more reverse");
	toy = toy_of(state);
	toy_happens(toy, (struct target_stop){ .kind = STOP_FORK, .other_pid = toy->pid + 10, .is_vfork = true });
	GDB(toy, "catch vfork", "continue", "reverse-stepi", "stepi", "reverse-continue");
	SAID("hit Catchpoint 1 (vforked process", "hit Catchpoint 1 (vforked process", "No more reverse");
}

static void child_cannot_be_followed_but_the_session_lives_on(void **state)
{
	struct toy *toy = toy_of(state);

	toy_happens(toy, (struct target_stop){ .kind = STOP_FORK, .other_pid = toy->pid + 10 });
	GDB(toy, "set follow-fork-mode child", "break toy_add if $rdi == 6", "continue", "info inferiors",
	    "set follow-fork-mode parent", "run", "print *(long *)&toy_total");
	SAID("exited normally", "hit Breakpoint 1", "= 15");
}

static void exec_loads_the_new_program(void **state)
{
	struct target_stop stop = { .kind = STOP_EXEC };
	struct toy *toy = toy_of(state);

	toy_exec_file(toy, stop.text, sizeof(stop.text));
	toy_happens(toy, stop);
	GDB(toy, "catch exec", "continue", "info symbol $pc", "break toy_add", "continue", "print *(long *)&toy_total");
	SAID("hit Catchpoint 1 (exec'd", "in section .text", "hit Breakpoint 2", "= 10");
}

static void system_calls_are_caught_by_name(void **state)
{
	struct toy *toy = toy_of(state);

	toy_happens(toy, (struct target_stop){ .kind = STOP_SYSCALL_ENTRY, .syscall_nr = 1 });
	GDB(toy, "catch syscall write", "continue", "print *(long *)&toy_total");
	SAID("hit Catchpoint 1 (call to syscall write)", "= 10");
}

static void control_c_stops_a_long_run(void **state)
{
	struct toy *toy = toy_of(state);

	interrupt_gdb = true;
	GDB(toy, "continue", "info symbol $pc");
	interrupt_gdb = false;
	SAID("received signal SIGINT", "toy_guest");
}

static void old_habits_of_gdb_work_too(void **state)
{
	struct toy *toy = toy_of(state);

	/* Each is a packet that a gdb, or a user of one, may do without. */
	GDB(toy, "set remote verbose-resume-packet off", "set remote P-packet off", "break toy_add", "continue", "stepi",
	    "reverse-stepi", "print *(long *)&toy_total", "set remote threads-packet off", "info threads",
	    "monitor nonsense");
	SAID("hit Breakpoint 1", "$1 = 0", "* 1 ", "no monitor command 'nonsense'");
}

static void plain_remote_and_acknowledgements_work(void **state)
{
	connect_by = "target remote";
	before_connecting = "set remote noack-packet off";
	GDB(toy_of(state), "break toy_add if $rdi == 3", "continue", "print *(long *)&toy_total", "reverse-stepi", "detach");
	connect_by = "target extended-remote";
	before_connecting = "set height 0";
	SAID("hit Breakpoint 1", "$1 = 3", "detached]");
	assert_null(strstr(gdb_said, "imeout"));
}

static int setup(void **state)
{
	*state = system("gdb --version >/dev/null 2>&1") ? NULL : toy_new();
	return 0;
}

static int teardown(void **state)
{
	if (*state)
		toy_free(*state);
	return 0;
}

/* With an argument: only the tests whose names match it. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_and_libraries_come_through_the_connection),
		cmocka_unit_test(registers_have_their_values),
		cmocka_unit_test(threads_have_their_names),
		cmocka_unit_test(time_runs_both_ways),
		cmocka_unit_test(finish_and_next_work_in_reverse),
		cmocka_unit_test(recording_has_two_ends),
		cmocka_unit_test(nothing_can_be_changed),
		cmocka_unit_test(run_starts_over),
		cmocka_unit_test(starti_takes_a_place_to_start_from),
		cmocka_unit_test(signals_stop_and_can_be_passed),
		cmocka_unit_test(fork_is_caught_and_the_child_let_go),
		cmocka_unit_test(vfork_keeps_breakpoints_working),
		cmocka_unit_test(child_cannot_be_followed_but_the_session_lives_on),
		cmocka_unit_test(exec_loads_the_new_program),
		cmocka_unit_test(system_calls_are_caught_by_name),
		cmocka_unit_test(control_c_stops_a_long_run),
		cmocka_unit_test(old_habits_of_gdb_work_too),
		cmocka_unit_test(plain_remote_and_acknowledgements_work),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	alarm(SECONDS);
	return cmocka_run_group_tests(tests, setup, teardown);
}
