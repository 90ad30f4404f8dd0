/* Faults with handlers: a guard page opened by the handler, a null pointer, SIGFPE, SIGILL, SIGBUS past a file's end, SIGTRAP. */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

static char *page;
static sigjmp_buf back;
static volatile int n_opened, last_code, last_signal;
static void *volatile last_addr;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	last_signal = sig;
	last_code = si->si_code;
	last_addr = si->si_addr;
	if (sig == SIGSEGV && (char *)si->si_addr >= page && (char *)si->si_addr < page + 8 * 4096) {
		n_opened++;
		mprotect((void *)((uintptr_t)si->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
		return;
	}
	siglongjmp(back, 1);
}

int main(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	volatile int zero = 0;
	volatile char *file;
	FILE *f;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	page = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	for (int i = 0; i < 8; i++)
		((volatile char *)page)[i * 4096 + i] = (char)i;
	CHECK(n_opened == 8 && page[7 * 4096 + 7] == 7);
	if (sigsetjmp(back, 1) == 0)
		*(volatile int *)(uintptr_t)zero = 1;
	CHECK(last_signal == SIGSEGV && last_addr == NULL && last_code == SEGV_MAPERR);
	if (sigsetjmp(back, 1) == 0)
		zero = 100 / zero;
	CHECK(last_signal == SIGFPE && last_code == FPE_INTDIV);
	if (sigsetjmp(back, 1) == 0)
		__asm__ volatile("ud2");
	CHECK(last_signal == SIGILL);
	f = tmpfile();
	CHECK(f && ftruncate(fileno(f), 100) == 0);
	file = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fileno(f), 0);
	CHECK(file != MAP_FAILED && file[50] == 0);
	if (sigsetjmp(back, 1) == 0)
		zero = file[5000];
	CHECK(last_signal == SIGBUS && last_addr == (void *)(file + 5000));
	if (sigsetjmp(back, 1) == 0)
		__asm__ volatile("int3");
	CHECK(last_signal == SIGTRAP);
	printf("pages opened: %d\n", n_opened);
	return guest_done();
}
