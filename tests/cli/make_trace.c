/*
 * Writes traces that no program has to be recorded for: make_trace KIND FILE
 *   tree     a process with a second thread and a forked child, an event of every kind
 *   hostile  the same with control characters and broken UTF-8 in every string
 *   cut      the tree without its end
 *   long     20,000 calls
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trace-fmt/trace.h"

#define NASTY "a\x1b]0;owned\x07 \x1b[31m\n\xff\xe2\x80\xae\x7f\"\\'"

static const char *const tree_argv[] = { "./server", "--port", "80 80", NULL };
static const char *const hostile_argv[] = { NASTY, NASTY, NASTY, NULL };

static void check(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "make_trace: %s: %d\n", what, err);
		exit(1);
	}
}

/* Of a processor that has everything there ever was: no real one does. */
static const uint32_t cpuid_of_all[][6] = {
	{ 1, 0, ~0u, ~0u, ~0u, ~0u }, { 7, 0, ~0u, ~0u, ~0u, ~0u }, { 7, 1, ~0u, ~0u, ~0u, ~0u },
	{ 0x80000001, 0, ~0u, ~0u, ~0u, ~0u },
};

static struct trace_writer *create(const char *path, bool hostile, bool any)
{
	static const uint32_t cpuid[1][6] = { { 0, 0, 13, 1, 2, 3 } };
	struct trace_header h = {
		.relive_version = RELIVE_VERSION, .cwd = hostile ? NASTY : "/home/user", .host = hostile ? NASTY : "laptop",
		.kernel = hostile ? NASTY : "6.1.0", .cpu_model = hostile ? NASTY : "A Processor", .page_tracking = "scan",
		.start_unix_ns = 1700000000ull * 1000000000, .seed = 18446744073709551557ull, .xcr0 = 7, .n_cpus = 4, .cpu = 2,
		.n_argv = 3, .argv = hostile ? hostile_argv : tree_argv, .n_cpuid = 1, .cpuid = cpuid,
	};
	struct trace_writer *w;

	if (any) {
		h.xcr0 = ~0ull;
		h.cpuid = cpuid_of_all;
		h.n_cpuid = sizeof(cpuid_of_all) / sizeof(cpuid_of_all[0]);
	}
	check(trace_create(path, &h, &w), "trace_create");
	return w;
}

static void append(struct trace_writer *w, struct event ev)
{
	static uint64_t now_ns;

	ev.time_ns = now_ns += 1500;
	check(trace_append(w, &ev), "trace_append");
}

static void note(struct trace_writer *w, bool hostile)
{
	check(trace_put_note(w, hostile ? NASTY : "somebody else writes here"), "trace_put_note");
}

static void exec(struct trace_writer *w, bool hostile)
{
	const struct ckpt_task task = { .task = 1, .tid = 1000, .regs = { .rip = 0x401000, .rsp = 0x7ffff000 } };
	const struct ckpt_map map = { .addr = 0x7ff00000, .len = 0x100000, .prot = 3, .flags = AS_STACK, .name = "[stack]" };
	struct trace_ckpt c = {
		.event_no = 1, .proc = 1, .pid = 1000, .ppid = 999, .exe = hostile ? NASTY : "/usr/bin/server", .n_argv = 3,
		.argv = hostile ? hostile_argv : tree_argv, .n_maps = 1, .maps = &map, .n_tasks = 1, .tasks = &task,
	};
	uint32_t id;

	check(trace_put_ckpt(w, &c, &id), "trace_put_ckpt");
	append(w, (struct event){ .kind = EV_EXEC, .task = 1, .ckpt = id });
}

static struct event call(uint32_t task, int nr, int64_t ret)
{
	return (struct event){
		.kind = EV_SYSCALL, .task = task, .nr = nr, .flags = EVF_BEFORE | EVF_AFTER,
		.before = { .rip = 0x401100, .orig_rax = (uint64_t)nr, .rdi = 3, .rsi = 0x7ff01000, .rdx = 100 },
		.after = { .rip = 0x401100, .rax = (uint64_t)ret },
	};
}

static void calls(struct trace_writer *w, bool hostile)
{
	const char *text = hostile ? NASTY : "plain text";
	const struct ev_write write = { .task = 1, .addr = 0x7ff01000, .len = (uint32_t)strlen(text), .bytes = (const uint8_t *)text };
	const struct ev_output output = { .stream = 1, .addr = 0x7ff01000, .len = 4 };
	struct event ev = call(1, SYS_read, (int64_t)strlen(text));

	ev.writes = &write;
	ev.n_writes = 1;
	append(w, ev);
	ev = call(1, SYS_write, 4);
	ev.outputs = &output;
	ev.n_outputs = 1;
	append(w, ev);
	append(w, call(1, SYS_close, -9));
	append(w, call(1, 100000, -38));
	ev = call(2, SYS_read, 0);
	ev.kind = EV_SYSCALL_ENTER;
	ev.flags = EVF_BEFORE;
	append(w, ev);
	ev.kind = EV_SYSCALL_EXIT;
	ev.flags = EVF_BEFORE | EVF_AFTER | EVF_RESTART;
	append(w, ev);
}

static void tasks(struct trace_writer *w)
{
	struct event ev = call(1, SYS_clone, 1001);

	ev.new_task = (struct ev_new_task){ .task = 2, .proc = 1, .tid = 1001, .pid = 1000, .flags = NT_VM | NT_THREAD };
	append(w, ev);
	ev = call(1, SYS_fork, 1002);
	ev.new_task = (struct ev_new_task){ .task = 3, .proc = 2, .tid = 1002, .pid = 1002 };
	append(w, ev);
}

static void others(struct trace_writer *w)
{
	const struct ev_page page = { .addr = 0x7ff01000, .hash = 1 };
	siginfo_t si = { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR };

	append(w, (struct event){ .kind = EV_INSN, .task = 1, .insn_len = 2, .flags = EVF_BEFORE | EVF_AFTER,
				  .before = { .rip = 0x401200 }, .after = { .rip = 0x401202, .rax = 5, .rdx = 1 } });
	append(w, (struct event){ .kind = EV_CLOCK, .task = 2, .flags = EVF_BEFORE, .before = { .rip = 0x401300 },
				  .n_pages = 1, .pages = &page });
	append(w, (struct event){ .kind = EV_SIGNAL, .task = 1, .signo = SIGUSR1, .flags = EVF_SIG_HANDLER | EVF_BEFORE | EVF_AFTER,
				  .before = { .rip = 0x401200 }, .after = { .rip = 0x402000 } });
	append(w, (struct event){ .kind = EV_SIGNAL, .task = 3, .signo = SIGSEGV, .flags = EVF_SIG_SYNC | EVF_SIG_FATAL | EVF_BEFORE,
				  .before = { .rip = 0x401400 }, .n_siginfo = sizeof(si), .siginfo = (const uint8_t *)&si });
	append(w, (struct event){ .kind = EV_EXIT, .task = 3, .status = SIGSEGV, .flags = EVF_PROC_EXIT });
}

static void tree(struct trace_writer *w, bool hostile)
{
	exec(w, hostile);
	tasks(w);
	calls(w, hostile);
	note(w, hostile);
	others(w);
}

static void end(struct trace_writer *w)
{
	append(w, (struct event){ .kind = EV_EXIT, .task = 2, .status = 0 });
	append(w, (struct event){ .kind = EV_EXIT, .task = 1, .status = 3 << 8, .flags = EVF_PROC_EXIT });
	check(trace_finish(w, 3 << 8), "trace_finish");
}

int main(int argc, char **argv)
{
	const char *kind = argc == 3 ? argv[1] : "";
	bool hostile = !strcmp(kind, "hostile");
	struct trace_writer *w;

	if (argc != 3)
		return 2;
	w = create(argv[2], hostile, !strcmp(kind, "cpu"));
	if (!strcmp(kind, "long")) {
		exec(w, false);
		for (int i = 0; i < 20000; i++)
			append(w, call(1, SYS_getppid, 1));
		check(trace_finish(w, 0), "trace_finish");
		return 0;
	}
	tree(w, hostile);
	if (!strcmp(kind, "cut")) {
		check(trace_flush(w), "trace_flush");
		_exit(0);       /* as a killed recorder ends */
	}
	end(w);
	return 0;
}
