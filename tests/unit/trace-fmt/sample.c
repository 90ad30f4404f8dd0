#include "sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static const char *const argv_of[] = { "./prog", "-x", "" };
static const uint32_t leaves[][6] = { { 0, 0, 22, 1, 2, 3 }, { 7, 0, 0xdeadbeef, 4, 5, UINT32_MAX } };

const struct trace_header sample_header = {
	.relive_version = "0.1.0", .cwd = "/home/user", .host = "box", .kernel = "6.1.0", .cpu_model = "A CPU",
	.page_tracking = "scan", .start_unix_ns = 1700000000000000000ULL, .seed = 42, .xcr0 = 0xe7,
	.n_cpus = 8, .cpu = 3, .n_argv = 3, .argv = argv_of, .n_cpuid = 2, .cpuid = leaves,
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

const uint8_t *sample_page(unsigned i)
{
	static uint64_t page[TRACE_PAGE / 8];

	memset(page, 0, sizeof(page));
	if (i == 5)
		i = 1;
	for (unsigned j = 0; i && j < 16; j++)
		page[j * 32] = mix(i * 100 + j);
	return (const uint8_t *)page;
}

static struct user_regs_struct regs_of(uint64_t seed)
{
	struct user_regs_struct r = {
		.rip = 0x401000 + seed * 2, .rsp = 0x7ffc00001000 - seed * 8, .eflags = 0x246, .cs = 0x33, .ss = 0x2b,
		.rax = mix(seed), .rdi = seed, .fs_base = 0x7f0000000000, .orig_rax = UINT64_MAX,
	};

	return r;
}

static uint8_t long_bytes[SAMPLE_LONG_WRITE];
static const uint8_t some_bytes[160] = "bytes of the kernel's, or the recorder's, or whoever's";

static const struct ev_write short_writes[] = {
	{ .task = 1, .addr = 0x7ffc00000000, .len = 16, .bytes = some_bytes },
	{ .task = 2, .addr = 0x10, .len = 1, .bytes = some_bytes + 3 },
	{ .task = 1, .addr = UINT64_MAX, .len = 0, .bytes = some_bytes },
};
static const struct ev_write long_writes[] = {
	{ .task = 1, .addr = 0x7f1200000000, .len = SAMPLE_LONG_WRITE, .bytes = long_bytes },
	{ .task = 1, .addr = 0x7f1200000000 + SAMPLE_LONG_WRITE, .len = 100, .bytes = some_bytes },
	{ .task = 1, .addr = 0x7f1300000000, .len = SAMPLE_LONG_WRITE - 1, .bytes = long_bytes + 1 },
};
static const struct ev_asop asops[] = {
	{ .kind = AS_MAP, .prot = 5, .flags = AS_SHARED, .obj = 2, .addr = 0x7f4500000000, .len = 0x3000,
	  .obj_off = 0x1000 },
	{ .kind = AS_REMAP, .flags = AS_DONTUNMAP, .addr = 0x7f4500000000, .len = 0x1000,
	  .new_addr = 0x7f4600000000, .new_len = 0x2000 },
	{ .kind = AS_UNMAP, .addr = 0, .len = UINT64_MAX },
};
static const struct ev_page hashed[] = {
	{ .addr = 0x7ffc00001000, .hash = 0x1234567890abcdef, .dead_bytes = 4095 },
	{ .addr = 0x601000, .hash = UINT64_MAX },
	{ .addr = 0x602000, .hash = 0 },
};
static const struct ev_output outputs[] = { { 1, 0x402000, 12 }, { 2, 0x7ffc00000000, 0 } };

static void fill_long_bytes(void)
{
	for (size_t i = 0; i < sizeof(long_bytes); i++)
		long_bytes[i] = (uint8_t)mix(i / 1000);
}

const struct event *sample_event(uint64_t no)
{
	static struct event ev;

	fill_long_bytes();
	memset(&ev, 0, sizeof(ev));
	ev.no = no;
	ev.time_ns = no * 1000000 + mix(no) % 1000;
	ev.task = 1 + (uint32_t)(no % 4 == 3) * 256;     /* 257 shares task 1's slot of predicted registers */
	ev.before = regs_of(no * 7);
	ev.after = regs_of(no * 7 + 1);
	ev.flags = EVF_BEFORE | EVF_AFTER;
	switch (no) {
	case 1:
		ev = (struct event){ .no = 1, .time_ns = 5, .task = 1, .kind = EV_EXEC, .ckpt = 1 };
		break;
	case 2:
		ev.kind = EV_SYSCALL;
		ev.nr = 9;
		ev.n_asops = 3;
		ev.asops = asops;
		break;
	case 3:
		ev.kind = EV_SYSCALL_ENTER;
		ev.nr = 0;
		ev.flags = EVF_BEFORE;
		memset(&ev.after, 0, sizeof(ev.after));
		break;
	case 4:
		ev.kind = EV_SYSCALL;
		ev.nr = 1;
		ev.n_outputs = 2;
		ev.outputs = outputs;
		break;
	case 5:
		ev.kind = EV_SYSCALL_EXIT;
		ev.flags = EVF_AFTER | EVF_RESTART;
		memset(&ev.before, 0, sizeof(ev.before));
		ev.nr = -1;
		ev.n_writes = 3;
		ev.writes = short_writes;
		break;
	case 6:
		ev.kind = EV_INSN;
		ev.insn_len = 3;
		ev.time_ns = 77;                         /* even time may go backwards */
		break;
	case 7:
		ev.kind = EV_CLOCK;
		ev.flags = EVF_BEFORE;
		memset(&ev.after, 0, sizeof(ev.after));
		ev.n_pages = 3;
		ev.pages = hashed;
		ev.n_xstate = 150;
		ev.xstate = some_bytes;
		ev.window_addr = 0x7ffc00000f80;
		ev.n_window = 160;
		ev.window = some_bytes;
		break;
	case 8:
		ev.kind = EV_SYSCALL;
		ev.nr = 0;
		ev.n_writes = 3;
		ev.writes = long_writes;
		break;
	case 9:
		ev.kind = EV_SIGNAL;
		ev.signo = 11;
		ev.flags |= EVF_SIG_SYNC | EVF_SIG_HANDLER;
		ev.n_siginfo = 128;
		ev.siginfo = some_bytes;
		ev.n_writes = 1;
		ev.writes = long_writes + 2;
		break;
	case 10:
		ev.kind = EV_SYSCALL;
		ev.nr = 56;
		ev.new_task = (struct ev_new_task){ .task = 7, .proc = 2, .tid = 4711, .pid = -5,
						    .flags = NT_VM | NT_THREAD, .regs = regs_of(99) };
		break;
	case 11:
		ev = (struct event){ .no = 11, .time_ns = UINT64_MAX, .task = 7, .kind = EV_EXEC, .ckpt = 2 };
		break;
	case 12:
		ev = (struct event){ .no = 12, .time_ns = 9, .task = 1, .kind = EV_EXIT, .status = -256,
				     .flags = EVF_PROC_EXIT };
		break;
	}
	return &ev;
}

static void put_objects(struct trace_writer *w, uint64_t *ids)
{
	struct trace_object o = { .flags = OBJ_ELF, .size = 60 * TRACE_PAGE + 123, .dev = 8, .ino = 99, .path = "/bin/x" };
	struct object_page list[64];
	uint32_t id;
	size_t n = 0;

	for (unsigned i = 0; i < SAMPLE_PAGES; i++)
		assert_int_equal(trace_put_page(w, sample_page(i), &ids[i]), 0);
	assert_int_equal(trace_put_object(w, &o, &id), 0);
	assert_int_equal(id, 1);
	/* Backwards, with page 3 given wrongly first. */
	list[n++] = (struct object_page){ 3, ids[9] };
	for (unsigned i = 61; i-- > 0;)
		list[n++] = (struct object_page){ i, ids[i] };
	assert_int_equal(trace_put_object_pages(w, id, n, list), 0);
	o = (struct trace_object){ .flags = OBJ_SHARED_MEM, .size = 1u << 30, .path = NULL };
	assert_int_equal(trace_put_object(w, &o, &id), 0);
	assert_int_equal(id, 2);
	list[0] = (struct object_page){ 1000, ids[62] };
	assert_int_equal(trace_put_object_pages(w, id, 1, list), 0);
}

static void put_ckpt(struct trace_writer *w, const uint64_t *ids, uint32_t want_id)
{
	struct ckpt_map maps[] = {
		{ 0x400000, 0x3000, 0x1000, 1, 5, 0, "/bin/x" },
		{ 0x7ffc00000000, 0x800000, 0, 0, 3, AS_STACK | AS_GROWSDOWN, "[stack]" },
		{ 0xffffffffff600000, 0x1000, 0, 0, 4, 0, NULL },
	};
	struct ckpt_page pages[] = { { 0x402000, ids[1] }, { 0x7ffc007ff000, ids[69] }, { 0x400000, 0 } };
	struct ckpt_task tasks[] = {
		{ 1, 100, regs_of(1), 100, some_bytes }, { 5, 101, regs_of(2), 0, NULL },
	};
	const uint64_t auxv[][2] = { { 6, 4096 }, { 0, 0 } };
	struct trace_ckpt c = {
		.event_no = want_id == 1 ? 1 : 11, .proc = want_id, .pid = 100, .ppid = 1, .exe = "/bin/x",
		.brk_start = 0x602000, .brk = 0x623000, .n_argv = 3, .argv = argv_of, .n_maps = 3, .maps = maps,
		.n_pages = 3, .pages = pages, .n_tasks = 2, .tasks = tasks, .n_auxv = 2, .auxv = auxv,
	};
	uint32_t id = 0;

	assert_int_equal(trace_put_ckpt(w, &c, &id), 0);
	assert_int_equal(id, want_id);
}

void sample_write_to(struct trace_writer *w)
{
	uint64_t ids[SAMPLE_PAGES];

	put_objects(w, ids);
	assert_true(ids[0] == 0 && ids[5] == ids[1]);
	put_ckpt(w, ids, 1);
	for (uint64_t no = 1; no <= SAMPLE_EVENTS; no++) {
		struct event ev = *sample_event(no);

		ev.no = 0;
		if (no == 11)
			put_ckpt(w, ids, 2);
		assert_int_equal(trace_append(w, &ev), 0);
		assert_int_equal(ev.no, no);
		if (no == 4 || no == 8)
			assert_int_equal(trace_flush(w), 0);
	}
	assert_int_equal(trace_writer_events(w), SAMPLE_EVENTS);
}

void sample_write(const char *path)
{
	struct trace_writer *w;

	assert_int_equal(trace_create(path, &sample_header, &w), 0);
	sample_write_to(w);
	assert_int_equal(trace_finish(w, SAMPLE_EXIT_STATUS), 0);
}

/* ---- reading it back ---- */

static void assert_writes_equal(const struct event *got, const struct event *want)
{
	assert_int_equal(got->n_writes, want->n_writes);
	for (uint32_t i = 0; i < want->n_writes; i++) {
		assert_int_equal(got->writes[i].task, want->writes[i].task);
		assert_int_equal(got->writes[i].addr, want->writes[i].addr);
		assert_int_equal(got->writes[i].len, want->writes[i].len);
		assert_memory_equal(got->writes[i].bytes, want->writes[i].bytes, want->writes[i].len);
	}
}

static void assert_lists_equal(const struct event *got, const struct event *want)
{
	assert_int_equal(got->n_asops, want->n_asops);
	for (uint32_t i = 0; i < want->n_asops; i++)
		assert_memory_equal(&got->asops[i], &want->asops[i], sizeof(struct ev_asop));
	assert_int_equal(got->n_pages, want->n_pages);
	for (uint32_t i = 0; i < want->n_pages; i++) {
		assert_int_equal(got->pages[i].addr, want->pages[i].addr);
		assert_int_equal(got->pages[i].hash, want->pages[i].hash);
		assert_int_equal(got->pages[i].dead_bytes, want->pages[i].dead_bytes);
	}
	assert_int_equal(got->n_outputs, want->n_outputs);
	for (uint32_t i = 0; i < want->n_outputs; i++) {
		assert_int_equal(got->outputs[i].stream, want->outputs[i].stream);
		assert_int_equal(got->outputs[i].addr, want->outputs[i].addr);
		assert_int_equal(got->outputs[i].len, want->outputs[i].len);
	}
}

static void assert_bytes_equal(const uint8_t *got, uint32_t n_got, const uint8_t *want, uint32_t n_want)
{
	assert_int_equal(n_got, n_want);
	if (n_want)
		assert_memory_equal(got, want, n_want);
}

void assert_event_equal(const struct event *got, const struct event *want)
{
	assert_int_equal(got->no, want->no);
	assert_int_equal(got->time_ns, want->time_ns);
	assert_int_equal(got->task, want->task);
	assert_int_equal(got->kind, want->kind);
	assert_int_equal(got->flags, want->flags);
	assert_int_equal(got->nr, want->nr);
	assert_int_equal(got->signo, want->signo);
	assert_int_equal(got->status, want->status);
	assert_int_equal(got->ckpt, want->ckpt);
	assert_int_equal(got->insn_len, want->insn_len);
	assert_memory_equal(&got->before, &want->before, sizeof(got->before));
	assert_memory_equal(&got->after, &want->after, sizeof(got->after));
	assert_writes_equal(got, want);
	assert_lists_equal(got, want);
	assert_bytes_equal(got->xstate, got->n_xstate, want->xstate, want->n_xstate);
	assert_int_equal(got->window_addr, want->window_addr);
	assert_bytes_equal(got->window, got->n_window, want->window, want->n_window);
	assert_bytes_equal(got->siginfo, got->n_siginfo, want->siginfo, want->n_siginfo);
	assert_int_equal(got->new_task.task, want->new_task.task);
	assert_int_equal(got->new_task.proc, want->new_task.proc);
	assert_int_equal(got->new_task.tid, want->new_task.tid);
	assert_int_equal(got->new_task.pid, want->new_task.pid);
	assert_int_equal(got->new_task.flags, want->new_task.flags);
	assert_memory_equal(&got->new_task.regs, &want->new_task.regs, sizeof(got->new_task.regs));
}

static void assert_header_equal(const struct trace_header *h)
{
	const struct trace_header *want = &sample_header;

	assert_string_equal(h->relive_version, want->relive_version);
	assert_string_equal(h->cwd, want->cwd);
	assert_string_equal(h->host, want->host);
	assert_string_equal(h->kernel, want->kernel);
	assert_string_equal(h->cpu_model, want->cpu_model);
	assert_string_equal(h->page_tracking, want->page_tracking);
	assert_int_equal(h->start_unix_ns, want->start_unix_ns);
	assert_int_equal(h->seed, want->seed);
	assert_int_equal(h->xcr0, want->xcr0);
	assert_int_equal(h->n_cpus, want->n_cpus);
	assert_int_equal(h->cpu, want->cpu);
	assert_int_equal(h->n_argv, want->n_argv);
	for (uint32_t i = 0; i < want->n_argv; i++)
		assert_string_equal(h->argv[i], want->argv[i]);
	assert_int_equal(h->n_cpuid, want->n_cpuid);
	assert_memory_equal(h->cpuid, want->cpuid, want->n_cpuid * sizeof(*want->cpuid));
}

static void assert_objects_equal(struct trace *t)
{
	const struct object_page *list;
	static uint8_t two[2 * TRACE_PAGE];
	size_t n;

	assert_int_equal(trace_n_objects(t), SAMPLE_OBJECTS);
	assert_string_equal(trace_object(t, 1)->path, "/bin/x");
	assert_int_equal(trace_object(t, 1)->size, 60 * TRACE_PAGE + 123);
	assert_int_equal(trace_object(t, 1)->ino, 99);
	assert_int_equal(trace_object(t, 2)->flags, OBJ_SHARED_MEM);
	assert_string_equal(trace_object(t, 2)->path, "");
	assert_int_equal(trace_object_pages(t, 1, &list, &n), 0);
	assert_int_equal(n, 61);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(list[i].index, i);
		assert_memory_equal(trace_page(t, list[i].page_id), sample_page((unsigned)i), TRACE_PAGE);
	}
	assert_int_equal(trace_object_read(t, 1, 3 * TRACE_PAGE - 10, two, 20), 20);
	assert_memory_equal(two + 10, sample_page(3), 10);
	assert_int_equal(trace_object_read(t, 2, 999 * TRACE_PAGE, two, sizeof(two)), sizeof(two));
	assert_memory_equal(two, sample_page(0), TRACE_PAGE);
	assert_memory_equal(two + TRACE_PAGE, sample_page(62), TRACE_PAGE);
}

static void assert_ckpt_equal(struct trace *t, uint32_t id)
{
	const struct trace_ckpt *c;
	struct user_regs_struct r1 = regs_of(1), r2 = regs_of(2);

	assert_int_equal(trace_ckpt(t, id, &c), 0);
	assert_int_equal(c->id, id);
	assert_int_equal(c->event_no, id == 1 ? 1 : 11);
	assert_int_equal(c->proc, id);
	assert_int_equal(c->pid, 100);
	assert_int_equal(c->ppid, 1);
	assert_string_equal(c->exe, "/bin/x");
	assert_int_equal(c->brk_start, 0x602000);
	assert_int_equal(c->brk, 0x623000);
	assert_int_equal(c->n_argv, 3);
	assert_string_equal(c->argv[1], "-x");
	assert_int_equal(c->n_maps, 3);
	assert_int_equal(c->maps[0].obj, 1);
	assert_int_equal(c->maps[0].obj_off, 0x1000);
	assert_int_equal(c->maps[1].flags, AS_STACK | AS_GROWSDOWN);
	assert_string_equal(c->maps[1].name, "[stack]");
	assert_int_equal(c->maps[2].addr, 0xffffffffff600000);
	assert_int_equal(c->maps[2].len, 0x1000);
	assert_int_equal(c->n_pages, 3);
	assert_int_equal(c->pages[1].addr, 0x7ffc007ff000);
	assert_memory_equal(trace_page(t, c->pages[1].page_id), sample_page(69), TRACE_PAGE);
	assert_int_equal(c->pages[2].addr, 0x400000);
	assert_int_equal(c->pages[2].page_id, 0);
	assert_int_equal(c->n_tasks, 2);
	assert_memory_equal(&c->tasks[0].regs, &r1, sizeof(r1));
	assert_memory_equal(&c->tasks[1].regs, &r2, sizeof(r2));
	assert_int_equal(c->tasks[1].tid, 101);
	assert_int_equal(c->tasks[0].n_xstate, 100);
	assert_memory_equal(c->tasks[0].xstate, some_bytes, 100);
	assert_int_equal(c->n_auxv, 2);
	assert_int_equal(c->auxv[0][1], 4096);
}

void sample_assert_readable(struct trace *t, uint64_t n_events)
{
	struct trace_iter *it;
	const struct event *ev;

	assert_header_equal(trace_header(t));
	assert_true(trace_n_events(t) >= n_events);
	assert_int_equal(trace_iter_open(t, 1, &it), 0);
	for (uint64_t no = 1; no <= n_events; no++) {
		assert_int_equal(trace_next(it, &ev), 1);
		assert_event_equal(ev, sample_event(no));
		if (ev->ckpt)
			assert_ckpt_equal(t, ev->ckpt);
	}
	trace_iter_close(it);
	if (n_events)
		assert_objects_equal(t);
}

const char *scratch_path(void)
{
	static char paths[2][64];
	static unsigned turn;
	char *path = paths[turn++ % 2];
	int fd;

	snprintf(path, sizeof(paths[0]), "/tmp/relive-unit-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	return path;
}
