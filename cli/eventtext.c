#include "cli/eventtext.h"
#include "cli/info_agent.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/text.h"
#include "tracee/sysfmt.h"

#define CALL_TEXT_MAX 512

static const char *const kind_names[EV_KIND_MAX + 1] = {
	[EV_EXEC] = "exec", [EV_SYSCALL] = "syscall", [EV_SYSCALL_ENTER] = "enter", [EV_SYSCALL_EXIT] = "leave",
	[EV_INSN] = "insn", [EV_CLOCK] = "clock", [EV_SIGNAL] = "signal", [EV_EXIT] = "exit",
	[EV_BUFFER] = "buffer", [EV_PATCH] = "patch",
};

const char *event_kind_name(unsigned kind)
{
	return kind <= EV_KIND_MAX && kind_names[kind] ? kind_names[kind] : "?";
}

static bool is_call(const struct event *ev)
{
	return ev->kind == EV_SYSCALL || ev->kind == EV_SYSCALL_ENTER || ev->kind == EV_SYSCALL_EXIT;
}

/* The memory that an event tells of: what the kernel wrote. */
static int read_written(void *ctx, uint64_t addr, void *out, size_t n)
{
	const struct event *ev = ctx;

	for (uint32_t i = 0; i < ev->n_writes; i++) {
		const struct ev_write *w = &ev->writes[i];
		uint64_t off = addr - w->addr;

		if (addr >= w->addr && off <= w->len && n <= w->len - off) {
			memcpy(out, w->bytes + off, n);
			return 0;
		}
	}
	return -EFAULT;
}

static struct sys_call call_of(const struct event *ev)
{
	const struct user_regs_struct *r = &ev->before;

	return (struct sys_call){
		.nr = ev->nr,
		.arg = { r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9 },
		.ret = ev->flags & EVF_AFTER ? (int64_t)ev->after.rax : 0,
	};
}

static bool has_result(const struct event *ev)
{
	return ev->kind != EV_SYSCALL_ENTER && (ev->flags & EVF_AFTER) && !(ev->flags & EVF_RESTART);
}

/* "read(3, ..., 100) = 5"; without its result if the event has none. */
static void call_text(const struct event *ev, const struct sys_mem *live, char *out, size_t n)
{
	struct sys_call c = call_of(ev);
	struct sys_mem m = live ? *live : (struct sys_mem){ read_written, (void *)ev };

	if (has_result(ev))
		sysfmt_call(&c, &m, out, n);
	else
		sysfmt_enter(&c, &m, out, n);
}

static void put_call(FILE *f, const struct event *ev, const struct sys_mem *live)
{
	char text[CALL_TEXT_MAX] = "";

	call_text(ev, live, text, sizeof(text));
	text_put(f, text, strlen(text), 0);
	if (ev->kind == EV_SYSCALL_ENTER)
		fputs(" ...", f);
	if (ev->flags & EVF_RESTART)
		fputs(" = ? (interrupted, to be restarted)", f);
	for (uint32_t i = 0; i < ev->n_outputs; i++)
		fprintf(f, " [%s]", ev->outputs[i].stream == 1 ? "stdout" : "stderr");
}

#define FLAGS_ARITHMETIC 0x8d5u   /* OF SF ZF AF PF CF */
#define FLAG_CF 1u

/*
 * The event does not name the instruction, but its length and effect do: rdtsc leaves rbx and rcx alone, and its upper
 * half is 0 only in the first seconds after a machine's start; rdrand and rdseed leave CF alone of the flags.
 */
static const char *insn_name(const struct event *ev)
{
	bool others_kept = ev->before.rbx == ev->after.rbx && ev->before.rcx == ev->after.rcx;
	bool only_cf = (ev->after.eflags & FLAGS_ARITHMETIC) == FLAG_CF;

	if (!ev->insn_len)
		return "code";
	if (ev->n_writes)
		return "xsave";
	if (ev->insn_len >= 3 && only_cf && (ev->insn_len > 3 || ev->after.eflags != ev->before.eflags))
		return "rdrand";
	if (ev->insn_len >= 4)
		return "rdpid";
	if (ev->insn_len == 3)
		return "rdtscp";
	return others_kept && ev->after.rdx ? "rdtsc" : "cpuid";
}

static void put_insn(FILE *f, const struct event *ev)
{
	const struct user_regs_struct *b = &ev->before, *a = &ev->after;
	const char *name = insn_name(ev);

	if (!strcmp(name, "cpuid"))
		fprintf(f, "cpuid %#" PRIx32 " %#" PRIx32 " = %#" PRIx32 " %#" PRIx32 " %#" PRIx32 " %#" PRIx32,
			(uint32_t)b->rax, (uint32_t)b->rcx, (uint32_t)a->rax, (uint32_t)a->rbx, (uint32_t)a->rcx,
			(uint32_t)a->rdx);
	else if (!strcmp(name, "code"))
		fputs("a file's code is executed for the first time", f);
	else if (!strcmp(name, "rdrand") || !strcmp(name, "rdpid") || !strcmp(name, "xsave"))
		fputs(name, f);
	else
		fprintf(f, "%s = %" PRIu64, name, (uint64_t)(uint32_t)a->rdx << 32 | (uint32_t)a->rax);
}

static bool siginfo_of(const struct event *ev, siginfo_t *ret)
{
	if (ev->n_siginfo < sizeof(*ret))
		return false;
	memcpy(ret, ev->siginfo, sizeof(*ret));
	return true;
}

static void put_signal(FILE *f, const struct event *ev)
{
	char name[TEXT_SIGNAL_MAX];
	siginfo_t si;

	fputs(text_signal(ev->signo, name), f);
	if (siginfo_of(ev, &si)) {
		if (ev->flags & EVF_SIG_SYNC)
			fprintf(f, " (fault at 0x%" PRIx64 ")", (uint64_t)si.si_addr);
		else if (si.si_code <= 0 && si.si_code != SI_TIMER)
			fprintf(f, " (sent by %d)", si.si_pid);
	}
	if (ev->flags & EVF_SIG_HANDLER)
		fprintf(f, " to its handler at %#llx", ev->after.rip);
	if (ev->flags & EVF_SIG_FATAL)
		fputs(" ends the process", f);
}

static void put_exec(FILE *f, struct trace *t, const struct event *ev)
{
	const struct trace_ckpt *c;

	if (trace_ckpt(t, ev->ckpt, &c)) {
		fprintf(f, "(checkpoint %" PRIu32 " is damaged)", ev->ckpt);
		return;
	}
	text_put(f, c->exe, strlen(c->exe), TEXT_ARG);
	fputs(": ", f);
	text_put_argv(f, c->n_argv, c->argv);
}

static void put_exit(FILE *f, const struct event *ev)
{
	char status[TEXT_STATUS_MAX];

	fputs(text_status(ev->status, status), f);
	if (ev->flags & EVF_PROC_EXIT)
		fputs(", the end of its process", f);
}

void event_put_text(FILE *f, struct trace *t, const struct event *ev, const struct sys_mem *live)
{
	const struct ev_new_task *n = &ev->new_task;

	switch (ev->kind) {
	case EV_EXEC:
		put_exec(f, t, ev);
		break;
	case EV_SYSCALL:
	case EV_SYSCALL_ENTER:
	case EV_SYSCALL_EXIT:
		put_call(f, ev, live);
		break;
	case EV_INSN:
		put_insn(f, ev);
		break;
	case EV_CLOCK:
		fprintf(f, "preempted (%" PRIu32 " page%s to verify)", ev->n_pages, ev->n_pages == 1 ? "" : "s");
		break;
	case EV_SIGNAL:
		put_signal(f, ev);
		break;
	case EV_EXIT:
		put_exit(f, ev);
		break;
	case EV_BUFFER:
		fprintf(f, "%" PRIu64 " bytes of results of calls that did not stop", agent_buffer_bytes(ev));
		break;
	case EV_PATCH:
		if (ev->n_writes)
			fprintf(f, "the system call at %#" PRIx64 " goes to the agent from now on", ev->writes[ev->n_writes - 1].addr);
		else if (ev->n_asops)
			fprintf(f, "its address space was changed by another one's call");
		else
			fprintf(f, "the system call at %#" PRIx64 " stays as it is: %s", ev->window_addr, patch_refusal_text(ev->nr));
		break;
	}
	if (n->task)
		fprintf(f, " [new %s %d]", n->flags & NT_THREAD ? "thread" : n->flags & NT_VFORK ? "vfork child" : "process",
			n->flags & NT_THREAD ? n->tid : n->pid);
}

bool event_rip(struct trace *t, const struct event *ev, uint64_t *ret)
{
	const struct trace_ckpt *c;

	if (ev->flags & EVF_BEFORE) {
		*ret = ev->before.rip;
		return true;
	}
	if (ev->flags & EVF_AFTER) {
		*ret = ev->after.rip;
		return true;
	}
	if (ev->kind != EV_EXEC || trace_ckpt(t, ev->ckpt, &c) || !c->n_tasks)
		return false;
	*ret = c->tasks[0].regs.rip;
	return true;
}

static void json_call(struct json *j, const struct event *ev, const struct sys_mem *live)
{
	const char *name = sys_name(ev->nr);
	struct sys_call c = call_of(ev);
	char text[CALL_TEXT_MAX] = "";

	json_i64(j, "nr", ev->nr);
	json_str(j, "name", name ? name : "?");
	json_array(j, "args");
	for (int i = 0; i < 6; i++)
		json_hex(j, NULL, c.arg[i]);
	json_array_end(j);
	call_text(ev, live, text, sizeof(text));
	json_str(j, "text", text);
	if (has_result(ev)) {
		json_i64(j, "result", c.ret);
		if (sys_failed(c.ret)) {
			const char *error = sys_errno_name((int)-c.ret);

			json_str(j, "error", error ? error : "?");
		}
	}
	json_bool(j, "restarted", ev->flags & EVF_RESTART);
}

static void json_signal(struct json *j, const struct event *ev)
{
	char name[TEXT_SIGNAL_MAX];
	siginfo_t si;

	json_i64(j, "signo", ev->signo);
	json_str(j, "name", text_signal(ev->signo, name));
	json_bool(j, "fault", ev->flags & EVF_SIG_SYNC);
	json_bool(j, "fatal", ev->flags & EVF_SIG_FATAL);
	if (ev->flags & EVF_SIG_HANDLER)
		json_hex(j, "handler", ev->after.rip);
	if (siginfo_of(ev, &si)) {
		json_i64(j, "code", si.si_code);
		if (ev->flags & EVF_SIG_SYNC)
			json_hex(j, "address", (uint64_t)si.si_addr);
	}
}

static void json_exec(struct json *j, struct trace *t, const struct event *ev)
{
	const struct trace_ckpt *c;

	json_u64(j, "checkpoint", ev->ckpt);
	if (trace_ckpt(t, ev->ckpt, &c))
		return;
	json_str(j, "exe", c->exe);
	json_array(j, "argv");
	for (uint32_t i = 0; i < c->n_argv; i++)
		json_str(j, NULL, c->argv[i]);
	json_array_end(j);
}

static void json_insn(struct json *j, const struct event *ev)
{
	json_str(j, "name", insn_name(ev));
	json_hex(j, "rax", ev->after.rax);
	json_hex(j, "rbx", ev->after.rbx);
	json_hex(j, "rcx", ev->after.rcx);
	json_hex(j, "rdx", ev->after.rdx);
}

void json_wait_status(struct json *j, int status)
{
	char text[TEXT_STATUS_MAX];

	if (WIFSIGNALED(status))
		json_i64(j, "signal", WTERMSIG(status));
	else
		json_i64(j, "exit_status", WEXITSTATUS(status));
	json_str(j, "ended", text_status(status, text));
}

static void json_kind(struct json *j, struct trace *t, const struct event *ev, const struct sys_mem *live)
{
	switch (ev->kind) {
	case EV_EXEC:
		json_exec(j, t, ev);
		break;
	case EV_INSN:
		json_insn(j, ev);
		break;
	case EV_CLOCK:
		json_u64(j, "pages", ev->n_pages);
		break;
	case EV_SIGNAL:
		json_signal(j, ev);
		break;
	case EV_EXIT:
		json_wait_status(j, ev->status);
		json_bool(j, "process_ends", ev->flags & EVF_PROC_EXIT);
		break;
	default:
		if (is_call(ev))
			json_call(j, ev, live);
	}
}

static void json_new_task(struct json *j, const struct ev_new_task *n)
{
	json_object(j, "new_task");
	json_u64(j, "task", n->task);
	json_u64(j, "process", n->proc);
	json_i64(j, "pid", n->pid);
	json_i64(j, "tid", n->tid);
	json_bool(j, "thread", n->flags & NT_THREAD);
	json_bool(j, "vfork", n->flags & NT_VFORK);
	json_object_end(j);
}

static void json_writes(struct json *j, const struct event *ev)
{
	json_array(j, "writes");
	for (uint32_t i = 0; i < ev->n_writes; i++) {
		json_object(j, NULL);
		json_hex(j, "addr", ev->writes[i].addr);
		json_u64(j, "len", ev->writes[i].len);
		json_object_end(j);
	}
	json_array_end(j);
}

void event_put_json(struct json *j, struct trace *t, const struct event *ev, const struct sys_mem *live)
{
	uint64_t rip;

	json_str(j, "kind", event_kind_name(ev->kind));
	if (event_rip(t, ev, &rip))
		json_hex(j, "rip", rip);
	json_kind(j, t, ev, live);
	if (ev->n_writes)
		json_writes(j, ev);
	if (ev->n_outputs)
		json_str(j, "stream", ev->outputs[0].stream == 1 ? "stdout" : "stderr");
	if (ev->new_task.task)
		json_new_task(j, &ev->new_task);
}
