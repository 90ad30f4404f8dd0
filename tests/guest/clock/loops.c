/*
 * The loops that are hard to stop in at an exact instruction. Usage: loops NAME [THREADS [MILLISECONDS [AGAIN [MEGABYTES]]]]. Each thread
 * runs the loop until somebody's clock says stop; what it counted is printed, so every wrong stop shows. Then the program may exec
 * itself and do it again. MEGABYTES: of each of two blocks of the loops that fill and copy such. Without a NAME: all names.
 */
#include "../guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/time.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid   /* glibc has no name for it before 2.38 */
#endif

static volatile int stop;
static volatile uint64_t shared_count;

/* How much a thread has done, where its result does not say so: to measure what a recording costs. */
static uint64_t rounds[64];

struct loop_arg {
	int no;
	uint64_t result;
};

/* A counting loop in a register; asks whether to stop every 2^20 rounds. */
static uint64_t loop_count(int no)
{
	uint64_t n = 0;

	(void)no;
	while (!stop) {
		uint64_t k = 1 << 20;

		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(k) : : "cc");
		n++;
	}
	return n;
}

/* The same update by every thread: what is lost depends on each preemption. */
static uint64_t loop_lost(int no)
{
	uint64_t n = 0;

	(void)no;
	while (!stop) {
		for (int i = 0; i < 100000; i++)
			shared_count = shared_count + 1;
		n++;
	}
	return n;
}

/* No register changes from round to round: progress is in memory alone. */
static uint64_t loop_global(int no)
{
	static uint64_t counts[64];
	uint64_t *c = &counts[no * 8];

	__asm__ volatile("1: addq $1, (%0)\n\tcmpl $0, (%1)\n\tje 1b" : : "r"(c), "r"(&stop) : "cc", "memory");
	return *c;
}

/* A counter behind a pointer in memory. */
static uint64_t loop_heap(int no)
{
	uint64_t *volatile c = calloc(1, 64);
	uint64_t got;

	(void)no;
	while (!stop)
		++*c;
	got = *c;
	free(c);
	return got;
}

/*
 * As an interpreter does: a variable points to a number object, and the next number to the other one of two. For most of a pass all
 * registers and the whole stack are as they were the pass before the last.
 */
static uint64_t loop_boxed(int no)
{
	struct number {
		uint64_t refs, kind, value;
	} *one = calloc(1, sizeof(*one)), *other = calloc(1, sizeof(*other));
	struct {
		uint64_t head[9];
		struct number *variable, *unused;
	} *frame = calloc(1, sizeof(*frame));
	uint64_t got;

	CHECK(one && other && frame);
	frame->variable = one;
	frame->unused = other;
	__asm__ volatile("1: mov 72(%0), %%rax\n\tmov 80(%0), %%rcx\n\tmov 16(%%rax), %%rdx\n\tinc %%rdx\n\tmov %%rdx, 16(%%rcx)\n\t"
			 "mov %%rcx, 72(%0)\n\tmov %%rax, 80(%0)\n\txor %%eax, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\t"
			 ".rept 60\n\tadd $5, %%rax\n\t.endr\n\txor %%eax, %%eax\n\tcmpl $0, (%1)\n\tje 1b"
			 : : "r"(frame), "r"(&stop) : "rax", "rcx", "rdx", "cc", "memory");
	got = rounds[no] = frame->variable->value;
	free(frame);
	free(one);
	free(other);
	return got;
}

static uint64_t loop_sse(int no)
{
	uint64_t got;

	(void)no;
	__asm__ volatile("pxor %%xmm3, %%xmm3\n\tpcmpeqd %%xmm4, %%xmm4\n"
			 "1: psubq %%xmm4, %%xmm3\n\tcmpl $0, (%1)\n\tje 1b\n\tmovq %%xmm3, %0"
			 : "=r"(got) : "r"(&stop) : "xmm3", "xmm4", "cc", "memory");
	return got;
}

static uint64_t loop_x87(int no)
{
	double got;

	(void)no;
	__asm__ volatile("fld1\n\tfldz\n1: fadd %%st(1), %%st\n\tcmpl $0, (%1)\n\tje 1b\n\tfstpl %0\n\tfstp %%st(0)"
			 : "=m"(got) : "r"(&stop) : "cc", "memory");
	return (uint64_t)got;
}

static uint64_t hash_bytes(const unsigned char *p, size_t n)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < n; i += 997)
		h = (h ^ p[i]) * 1099511628211u;
	return h;
}

/* All threads fill and copy the same two blocks: what is found in them depends on each preemption. */
static unsigned char *block[2];
static size_t block_bytes = 64 << 20;

static uint64_t loop_copy(int no)
{
	unsigned char *a = block[0], *b = block[1];
	uint64_t h = (uint64_t)no;

	for (int i = 0; !stop || i < 1; i++) {
		memset(a, i + no, block_bytes);
		memcpy(b, a, block_bytes);
		h += hash_bytes(b, block_bytes);
		rounds[no]++;
	}
	return h;
}

static uint64_t loop_rep(int no)
{
	unsigned char *a = block[0], *b = block[1];
	uint64_t h = (uint64_t)no;

	for (int i = 0; !stop || i < 1; i++) {
		void *d = a, *s = a;
		size_t n = block_bytes;

		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(i + no) : "memory");
		d = b;
		n = block_bytes;
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		h += hash_bytes(b, block_bytes);
		rounds[no]++;
	}
	return h;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t loop_qsort(int no)
{
	enum { N = 10000 };
	uint32_t *v = malloc(N * sizeof(*v)), seed = (uint32_t)no + 1;
	uint64_t h = 0;

	CHECK(v);
	while (!stop) {
		for (int i = 0; i < N; i++)
			v[i] = seed = seed * 1664525u + 1013904223u;
		qsort(v, N, sizeof(*v), by_value);
		h = h * 31 + v[N / 2];
		rounds[no]++;
	}
	free(v);
	return h;
}

/* A byte-code interpreter: counts down, multiplies, branches. */
static uint64_t loop_bytecode(int no)
{
	static const unsigned char code[] = { 0, 3, 1, 2, 4, 5, 6 };
	uint64_t acc = (uint64_t)no + 1, n = 0;
	unsigned pc = 0;

	for (;;) {
		switch (code[pc++]) {
		case 0: acc += 7; break;
		case 1: acc *= 0x9e3779b97f4a7c15u; break;
		case 2: acc ^= acc >> 31; break;
		case 3: n++; break;
		case 4: acc -= n; break;
		case 5: if (acc & 1) acc += 3; break;
		case 6:
			pc = 0;
			if (n % 65536 == 0 && stop) {
				rounds[no] = n;
				return acc;
			}
			break;
		}
	}
}

static uint64_t loop_matrix(int no)
{
	enum { N = 64 };
	static double a[64][N][N], b[64][N][N], c[64][N][N];
	double (*x)[N] = a[no], (*y)[N] = b[no], (*z)[N] = c[no];
	uint64_t h = 0, bits;

	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++)
			x[i][j] = i + j + no, y[i][j] = i - j, z[i][j] = 0;
	while (!stop) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++)
				for (int k = 0; k < N; k++)
					z[i][j] += x[i][k] * y[k][j];
		memcpy(&bits, &z[3][5], 8);
		h = h * 31 + bits;
		rounds[no]++;
	}
	return h;
}

static volatile int flag[64];

/* Waits for the next thread's flag, then sets the one after it; the first one also watches the clock. */
static uint64_t spin(int no, bool pause)
{
	uint64_t n = 0;

	while (!stop) {
		flag[no]++;
		for (int i = 0; i < 2000 && !stop && flag[no ^ 1] < flag[no]; i++) {
			if (pause)
				__asm__ volatile("pause");
		}
		n++;
	}
	return n;
}

static uint64_t loop_spin(int no)
{
	return spin(no, false);
}

static uint64_t loop_pause(int no)
{
	return spin(no, true);
}

static volatile int go;

/* A spin that nothing but another thread ends. */
static uint64_t loop_wait(int no)
{
	uint64_t n = 0;

	while (!stop) {
		if (go == no) {
			for (volatile int i = 0; i < 1000; i++)
				;
			go = 0;
		}
		if (no == 0 && go == 0)
			go = 1 + (int)(n++ % 3);
	}
	return n;
}

static _Atomic uint32_t head, tail;
static _Atomic uint32_t ring[1024];

/* A lock-free queue: even threads put, odd ones take. */
static uint64_t loop_queue(int no)
{
	uint64_t sum = 0, n = 0;

	while (!stop) {
		uint32_t h = atomic_load(&head), t = atomic_load(&tail);

		if (no % 2 == 0 && h - t < 1024) {
			if (atomic_compare_exchange_weak(&head, &h, h + 1))
				atomic_store(&ring[h % 1024], h + 1);
		} else if (no % 2 == 1 && t != h) {
			uint32_t v = atomic_load(&ring[t % 1024]);

			if (v == t + 1 && atomic_compare_exchange_weak(&tail, &t, t + 1))
				sum += v;
		}
		n++;
	}
	rounds[no] = n;
	return sum;
}

static __attribute__((noinline)) uint64_t fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t loop_fib(int no)
{
	uint64_t n = 0;

	while (!stop) {
		n += fib(20 + (unsigned)no % 4);
		rounds[no]++;
	}
	return n;
}

static unsigned char *code_page(void)
{
	unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* lea imm32(%rdi), %rax; ret, with an immediate that changes before every call. */
static uint64_t loop_selfmod(int no)
{
	unsigned char *p = code_page();
	uint64_t v = (uint64_t)no;

	memcpy(p, "\x48\x8d\x87\0\0\0\0\xc3", 8);
	for (uint32_t i = 0; !stop; i++, rounds[no]++) {
		uint32_t imm = i % 977;

		memcpy(p + 3, &imm, 4);
		__asm__ volatile("" : : : "memory");
		v = ((uint64_t (*)(uint64_t))p)(v);
	}
	return v;
}

/* A loop made at run time: mov %rdi,%rax; 1: lea 3(%rax,%rax,2),%rax; dec %rsi; jnz 1b; ret. */
static uint64_t loop_jit(int no)
{
	static const unsigned char code[] = "\x48\x89\xf8\x48\x8d\x44\x40\x03\x48\xff\xce\x75\xf6\xc3";
	uint64_t v = (uint64_t)no + 1;

	for (int i = 0; !stop; i++, rounds[no]++) {
		unsigned char *p = code_page();

		memcpy(p, code, sizeof(code) - 1);
		p[7] = (unsigned char)(3 + i % 5 * 2);
		CHECK(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
		v = ((uint64_t (*)(uint64_t, uint64_t))p)(v, 200000);
		munmap(p, 4096);
	}
	return v;
}

/* The same where it stays writable, perhaps at another address, and is written to every so many rounds. */
static uint64_t rewritten(unsigned char *w, const unsigned char *x, int no, uint64_t rounds_each)
{
	static const unsigned char code[] = "\x48\x89\xf8\x48\x8d\x44\x40\x03\x48\xff\xce\x75\xf6\xc3";
	uint64_t v = (uint64_t)no + 1;

	memcpy(w, code, sizeof(code) - 1);
	for (int i = 0; !stop; i++, rounds[no]++) {
		w[7] = (unsigned char)(3 + i % 5 * 2);
		v = ((uint64_t (*)(uint64_t, uint64_t))x)(v, rounds_each);
	}
	return v;
}

static uint64_t loop_jit_rwx(int no)
{
	unsigned char *p = code_page();

	return rewritten(p, p, no, 200000);
}

static uint64_t loop_jit_often(int no)
{
	unsigned char *p = code_page();

	return rewritten(p, p, no, 10000);
}

/* And across the border of two pages. */
static uint64_t loop_jit_edge(int no)
{
	unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return rewritten(p + 4096 - 10, p + 4096 - 10, no, 200000);
}

/* And in memory that is mapped twice, once to be written and once to be executed, as careful makers of code do. */
static uint64_t loop_jit_shared(int no)
{
	int fd = memfd_create("code", 0);
	unsigned char *w, *x;

	CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
	w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	CHECK(w != MAP_FAILED && x != MAP_FAILED);
	close(fd);
	return rewritten(w, x, no, 200000);
}

/*
 * An interpreter's handlers often have an entry for each state of its stack, an instruction apart: here every short one
 * is jumped to, by an address that only a register holds.
 */
static uint64_t loop_entries(int no)
{
	uint64_t n = (uint64_t)no, rnd = 88172645463325252ull + n, at;

	__asm__ volatile("1: imul %3, %1\n\t"
			 "inc %1\n\t"
			 "mov %1, %2\n\t"
			 "shr $54, %2\n\t"
			 "lea 2f(%%rip), %%r11\n\t"
			 "lea (%%r11,%2,4), %2\n\t"
			 "xor %%r11d, %%r11d\n\t"
			 "jmp *%2\n\t"
			 "2: .rept 1024\n\t"
			 "inc %%r11\n\t"
			 "nop\n\t"
			 ".endr\n\t"
			 "add %%r11, %0\n\t"
			 "ror $7, %0\n\t"
			 "cmpl $0, (%4)\n\t"
			 "je 1b"
			 : "+r"(n), "+r"(rnd), "=&r"(at)
			 : "r"(6364136223846793005ull), "r"(&stop)
			 : "r11", "cc", "memory");
	return n;
}

static uint64_t *new_pages(size_t n_bytes)
{
	void *p = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static uint64_t stir(uint64_t *p, size_t n_words, uint64_t v)
{
	for (size_t i = 0; i < n_words; i += 61)
		v = p[i] = (v ^ p[i]) * 0x9e3779b97f4a7c15u + i;
	return v;
}

/* Pages that come, move, grow, are dropped, protected and go, with writes before and after each of that. */
static uint64_t loop_maps(int no)
{
	enum { SMALL = 64 << 10, HUGE = 4 << 20 };
	uint64_t v = (uint64_t)no, *huge = new_pages(HUGE);

	madvise(huge, HUGE, MADV_HUGEPAGE);   /* a kernel without huge pages is no matter here */
	while (!stop) {
		uint64_t *p = new_pages(SMALL), *q = new_pages(SMALL);

		v = stir(p, SMALL / 8, v);
		p = mremap(p, SMALL, SMALL, MREMAP_MAYMOVE | MREMAP_FIXED, q);
		CHECK(p == q);
		v = stir(p, SMALL / 8, v);
		p = mremap(p, SMALL, 2 * SMALL, MREMAP_MAYMOVE);
		CHECK(p != MAP_FAILED);
		v = stir(p, 2 * SMALL / 8, v);
		CHECK(madvise(p + SMALL / 16, SMALL, MADV_DONTNEED) == 0);
		v = stir(p, 2 * SMALL / 8, v);
		CHECK(mprotect(p, SMALL, PROT_READ) == 0);
		v = stir(p + SMALL / 8, SMALL / 8, v ^ *p);
		CHECK(mprotect(p, SMALL, PROT_READ | PROT_WRITE) == 0);
		v = stir(huge, HUGE / 8, stir(p, SMALL / 8, v));
		CHECK(v % 4 || madvise(huge, HUGE / 2, MADV_DONTNEED) == 0);
		CHECK(munmap(p, 2 * SMALL) == 0);
	}
	munmap(huge, HUGE);
	return v;
}

static uint64_t loop_longjmp(int no)
{
	static jmp_buf at[64];
	volatile uint64_t n = 0;

	if (setjmp(at[no]) || 1) {
		n++;
		if (!stop)
			longjmp(at[no], 1);
	}
	return n;
}

static volatile uint64_t n_outer, n_inner;

static void on_inner(int sig)
{
	(void)sig;
	n_inner++;
}

static _Thread_local timer_t timer;

/*
 * The next one comes so long after this one is done: at a fixed rate they could come faster than a busy machine gets them
 * recorded, and the loops would never have their turn.
 */
static void arm_timer(void)
{
	struct itimerspec t = { .it_value.tv_nsec = 200000 };

	CHECK(timer_settime(timer, 0, &t, NULL) == 0);
}

static void on_outer(int sig)
{
	uint64_t w = n_outer;

	(void)sig;
	for (int i = 0; i < 20; i++)
		w = guest_work(w, 10);
	n_outer++;
	raise(SIGUSR1);
	if (!stop)
		arm_timer();
}

/* A timer for each thread and one for all, as long as the loops run; their handlers are interrupted by others. */
static uint64_t loop_handlers(int no)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	struct itimerval often = { { 0, 1100 }, { 0, 1100 } };
	uint64_t n = 0;

	ev.sigev_notify_thread_id = gettid();
	CHECK(signal(SIGUSR1, on_inner) != SIG_ERR && signal(SIGALRM, on_outer) != SIG_ERR);
	CHECK(signal(SIGVTALRM, on_inner) != SIG_ERR);
	CHECK(timer_create(CLOCK_MONOTONIC, &ev, &timer) == 0);
	CHECK(no || setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
	arm_timer();
	while (!stop)
		n++;
	return n;
}

static const struct {
	const char *name;
	uint64_t (*run)(int no);
} loops[] = {
	{ "count", loop_count }, { "lost", loop_lost }, { "global", loop_global }, { "heap", loop_heap }, { "boxed", loop_boxed },
	{ "sse", loop_sse }, { "x87", loop_x87 }, { "copy", loop_copy }, { "rep", loop_rep }, { "qsort", loop_qsort },
	{ "bytecode", loop_bytecode }, { "matrix", loop_matrix }, { "spin", loop_spin }, { "pause", loop_pause },
	{ "wait", loop_wait }, { "queue", loop_queue }, { "fib", loop_fib }, { "selfmod", loop_selfmod },
	{ "jit", loop_jit }, { "jit_rwx", loop_jit_rwx }, { "jit_edge", loop_jit_edge }, { "jit_often", loop_jit_often },
	{ "jit_shared", loop_jit_shared },
	{ "entries", loop_entries }, { "longjmp", loop_longjmp }, { "handlers", loop_handlers },
	{ "maps", loop_maps },
};

static uint64_t (*chosen)(int no);

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void *thread(void *p)
{
	struct loop_arg *a = p;

	a->result = chosen(a->no);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 4, ms = argc > 3 ? atoi(argv[3]) : 100;
	struct loop_arg arg[64] = { 0 };
	uint64_t work = 0, start;
	pthread_t t[64];
	sigset_t all;

	for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		if (argc == 1)
			puts(loops[i].name);
		else if (strcmp(loops[i].name, argv[1]) == 0)
			chosen = loops[i].run;
	}
	if (argc == 1)
		return 0;
	CHECK(chosen && n > 0 && n <= 64);
	if (chosen == loop_copy || chosen == loop_rep) {
		if (argc > 5)
			block_bytes = (size_t)atoi(argv[5]) << 20;
		block[0] = malloc(block_bytes);
		block[1] = malloc(block_bytes);
		CHECK(block[0] && block[1]);
	}
	start = now_us();
	for (int i = 0; i < n; i++) {
		arg[i].no = i;
		CHECK(pthread_create(&t[i], NULL, thread, &arg[i]) == 0);
	}
	/* Signals are for the loops. */
	sigfillset(&all);
	CHECK(pthread_sigmask(SIG_BLOCK, &all, NULL) == 0);
	usleep((useconds_t)ms * 1000);
	stop = 1;
	for (int i = 0; i < n; i++) {
		CHECK(pthread_join(t[i], NULL) == 0);
		printf("thread %d: %lx\n", i, (unsigned long)arg[i].result);
		work += rounds[i] ? rounds[i] : arg[i].result;
	}
	printf("work %lu in %lu us\n", (unsigned long)work, (unsigned long)(now_us() - start));
	printf("count %lu, handlers %lu %lu\n", (unsigned long)shared_count, (unsigned long)n_outer, (unsigned long)n_inner);
	if (argc > 4 && atoi(argv[4]) > 0) {
		fflush(stdout);
		sprintf(argv[4], "%d", atoi(argv[4]) - 1);
		execv("/proc/self/exe", argv);
		CHECK(!"it runs");
	}
	return guest_done();
}
