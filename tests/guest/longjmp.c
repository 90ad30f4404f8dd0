/* setjmp and longjmp, also out of a signal handler, and coroutines with ucontext. */
#include "guest.h"
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

static sigjmp_buf from_handler;
static ucontext_t main_ctx, co_ctx;
static char co_stack[65536];
static int steps;

static void on_signal(int sig)
{
	siglongjmp(from_handler, sig);
}

static void coroutine(void)
{
	for (int i = 0; i < 10; i++) {
		steps++;
		swapcontext(&co_ctx, &main_ctx);
	}
}

int main(void)
{
	volatile int n = 0;
	jmp_buf here;

	if (setjmp(here) < 100) {
		n++;
		longjmp(here, n);
	}
	CHECK(n == 100);
	signal(SIGUSR1, on_signal);
	for (n = 0; n < 10; n++)
		if (sigsetjmp(from_handler, 1) == 0) {
			raise(SIGUSR1);
			return 1;
		}
	getcontext(&co_ctx);
	co_ctx.uc_stack.ss_sp = co_stack;
	co_ctx.uc_stack.ss_size = sizeof(co_stack);
	co_ctx.uc_link = &main_ctx;
	makecontext(&co_ctx, coroutine, 0);
	for (int i = 0; i < 10; i++)
		swapcontext(&main_ctx, &co_ctx);
	printf("steps: %d\n", steps);
	CHECK(steps == 10);
	return guest_done();
}
