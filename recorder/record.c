/* One recording from beginning to end. */
#include "recorder/record.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/err.h"
#include "common/log.h"
#include "common/nofile.h"
#include "recorder/agent.h"
#include "recorder/filenote.h"
#include "recorder/internal.h"
#include "tracee/caps.h"
#include "tracee/cpufeat.h"
#include "tracee/confine.h"
#include "tracee/layout.h"
#include "tracee/pin.h"
#include "tracee/xstate.h"

/* Whom the handlers of forwarded signals mean. */
static volatile sig_atomic_t forward_to;

/* A terminal's Ctrl-C reaches the program by itself; what is sent to the recorder alone is passed on. */
static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	int saved = errno;

	(void)ctx;
	if (info->si_code <= 0 && forward_to)
		kill(forward_to, sig);
	errno = saved;
}

static void catch_signals(void)
{
	static const int sigs[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

	struct sigaction old;

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		if (sigaction(sigs[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(sigs[i], &sa, NULL);
	}
}

static bool cpuid_can_fault(void)
{
	/* Asking changes nothing: 1 is what is in force. */
	return syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1) == 0;
}

static int pin(struct recording *r)
{
	r->cpu = pin_self(PIN_HERE, &r->cpus);
	return r->cpu < 0 ? r->cpu : 0;
}

static void cpu_model(char out[49])
{
	uint32_t words[12];

	for (uint32_t i = 0; i < 3; i++)
		__cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2], words[4 * i + 3]);
	memcpy(out, words, 48);
	out[48] = '\0';
}

static const char *tier_name(int tier)
{
	/* What trying has shown to work is what every process will get. */
	return page_tier_name(tier == PAGE_TIER_AUTO ? caps_page_tier() : (enum page_tier)tier);
}

static int open_trace(struct recording *r)
{
	struct utsname un;
	struct timespec now;
	char cwd[4096], model[49];
	uint32_t leaves[CPUFEAT_LEAVES][CPUFEAT_WORDS];
	struct trace_header h = {
		.relive_version = RELIVE_VERSION, .cwd = cwd, .cpu_model = model, .seed = r->rng,
		.page_tracking = tier_name(r->opts->page_tier), .xcr0 = xstate_xcr0(), .cpu = (uint32_t)r->cpu,
		.n_cpus = (uint32_t)CPU_COUNT(&r->cpus), .argv = (const char *const *)r->opts->argv,
		.cpuid = leaves,
	};

	int err;

	if (!getcwd(cwd, sizeof(cwd)))
		strcpy(cwd, "?");
	uname(&un);
	h.host = un.nodename;
	h.kernel = un.release;
	cpu_model(model);
	h.n_cpuid = cpufeat_read(leaves);
	h.flags = r->cpuid_faults ? HDR_CPUID_TRAPPED : 0;
	clock_gettime(CLOCK_REALTIME, &now);
	h.start_unix_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	while (r->opts->argv[h.n_argv])
		h.n_argv++;
	err = trace_create(r->opts->out_path, &h, &r->w);
	if (!err && r->opts->cache_home)
		trace_writer_cache(r->w, r->opts->cache_home);
	return err;
}

/* Their notes name files that the trace may be written from. */
static void drop_objects(struct recording *r)
{
	while (r->objects) {
		struct object_entry *o = r->objects;

		r->objects = o->next;
		free(o->have);
		agent_known_free(o);
		insn_sites_free(&o->sites);
		file_note_free(o->note);
		free(o->path);
		free(o);
	}
}

static void keep_notes(struct recording *r)
{
	for (struct object_entry *o = r->objects; o; o = o->next) {
		if (o->note)
			file_note_keep(r->w, o->note);
	}
}

/* relive failed: let nothing of the program go on unrecorded. */
static void kill_all(struct recording *r)
{
	int status;
	pid_t tid;

	for (struct task *t = r->tasks; t; t = t->next) {
		if (t->state != TASK_DEAD)
			kill(t->proc->pid, SIGKILL);
	}
	/* On their way out they stop once more, for PTRACE_EVENT_EXIT. */
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, tid, 0, 0);
	}
}

static void drop_all(struct recording *r)
{
	while (r->tasks)
		task_remove(r, r->tasks);
	while (r->early) {
		struct early_stop *e = r->early;

		r->early = e->next;
		free(e);
	}
	seccomp_free(r);
	proc_hide_free(r);
	buf_free(&r->ev_bytes);
	free(r->writes);
	free(r->asops);
	free(r->outputs);
	free(r->places);
	free(r->insns);
}

static int record_all(struct recording *r)
{
	struct task *root = NULL;
	int err = sched_open(r);

	if (err)
		return err;
	err = start_program(r, &root);
	if (!err && root) {
		forward_to = r->root_pid;
		r->current = root;
		err = record_loop(r);
	}
	forward_to = 0;
	sched_close(r);
	return err;
}

int record_run(const struct record_opts *o, struct record_result *ret)
{
	struct recording *r = calloc(1, sizeof(*r));
	struct stat proc;
	int err, finish;

	memset(ret, 0, sizeof(*ret));
	if (!r)
		return -ENOMEM;
	r->opts = o;
	r->result = ret;
	r->start_ns = now_ns();
	r->rng = o->seed;
	if (!o->have_seed && getrandom(&r->rng, sizeof(r->rng), 0) < 0)
		r->rng = r->start_ns;
	r->rng |= 1;
	r->outer_filter = confined_by_others();
	r->cpuid_faults = !r->opts->patch_cpuid && cpuid_can_fault();
	if (stat("/proc/self/stat", &proc) == 0)
		r->proc_dev = proc.st_dev;
	catch_signals();
	nofile_raise(&r->old_nofile);
	err = pin(r);
	if (!err)
		err = open_trace(r);
	if (err) {
		nofile_restore(&r->old_nofile);
		free(r);
		return err;
	}
	err = record_all(r);
	if (err)
		kill_all(r);
	ret->wait_status = r->root_status;
	(void)trace_flush(r->w);   /* packed meanwhile; an error comes again at the end */
	learn_warn(r);
	drop_all(r);
	keep_notes(r);
	ret->n_events = trace_writer_events(r->w);
	ret->trace_bytes = trace_writer_bytes(r->w);
	finish = trace_finish(r->w, ret->wait_status);
	drop_objects(r);
	nofile_restore(&r->old_nofile);
	free(r);
	return err ? err : finish;
}
