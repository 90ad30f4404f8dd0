/* A process that attaches to others, looks at their registers and memory while they stand still, and detaches. */
#include "guest.h"
#include <elf.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>

#define IN_R15 0x1122334455667788ull
#define IN_XMM5 0x99aabbccddeeff00ull

static struct shared {
	volatile uint64_t count, ready;
} *shared;
static long secret = 4711;

extern const char loop_begin[], loop_end[], after_pause[];

static void counts(void)
{
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	secret = 815;
	__asm__ volatile("movq %1, %%xmm5\n mov %2, %%r15\n"
			 "loop_begin: incq (%0)\n jmp loop_begin\n loop_end:"
			 : : "r"(&shared->count), "r"(IN_XMM5), "r"(IN_R15) : "r15", "memory");
}

static void pauses(void)
{
	long nr = SYS_pause;

	shared->ready = 1;
	__asm__ volatile("syscall\n after_pause:" : "+a"(nr) : : "rcx", "r11", "memory");
}

static pid_t begin(void (*what)(void))
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		what();
		_exit(1);
	}
	return pid;
}

static void end(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0 && WTERMSIG(guest_wait(pid)) == SIGKILL);
}

static bool counting(void)
{
	uint64_t before = shared->count;

	for (int i = 0; i < 20; i++) {
		usleep(1000);
		if (shared->count != before)
			return true;
	}
	return false;
}

static void attach(pid_t pid)
{
	int status;

	CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0);
	CHECK(waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP && status >> 16 == 0);
}

static void look_at_one_that_counts(pid_t pid)
{
	struct user_regs_struct regs, again;
	struct user_fpregs_struct fp;
	uint64_t area[4096], rip;
	struct iovec io = { &again, sizeof(again) };
	siginfo_t info;
	int status;

	attach(pid);
	CHECK(!counting());
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 && regs.r15 == IN_R15);
	CHECK(regs.rip >= (uintptr_t)loop_begin && regs.rip < (uintptr_t)loop_end);
	CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) == 0 && io.iov_len == sizeof(again) && again.rip == regs.rip);
	rip = (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), NULL);
	CHECK(rip == regs.rip);
	CHECK(ptrace(PTRACE_GETFPREGS, pid, NULL, &fp) == 0 && memcmp(&fp.xmm_space[4 * 5], &(uint64_t){ IN_XMM5 }, 8) == 0);
	io = (struct iovec){ area, sizeof(area) };
	CHECK(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &io) == 0 && io.iov_len >= 576 && area[(160 + 16 * 5) / 8] == IN_XMM5);
	io = (struct iovec){ area, 16 };
	CHECK(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &io) == 0 && io.iov_len == 16 && area[0] == IN_R15);
	CHECK(ptrace(PTRACE_PEEKDATA, pid, &secret, NULL) == 815 && secret == 4711);
	errno = 0;
	CHECK(ptrace(PTRACE_PEEKDATA, pid, NULL, NULL) == -1 && errno == EIO);
	CHECK(ptrace(PTRACE_GETSIGINFO, pid, NULL, &info) == 0 && info.si_signo == SIGSTOP);
	CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == -1 && errno == EPERM);
	CHECK(waitpid(pid, &status, WNOHANG | __WALL) == 0);
	CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0 && counting());
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == -1 && errno == ESRCH);
}

static void look_at_one_that_pauses(pid_t pid)
{
	struct user_regs_struct regs;

	attach(pid);
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 && regs.orig_rax == SYS_pause && regs.rip == (uintptr_t)after_pause);
	CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
}

static pid_t forgotten;

static void forgets(void)
{
	attach(forgotten);
	CHECK(!counting());
	_exit(0);
}

int main(void)
{
	pid_t one, two;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	one = begin(counts);
	two = begin(pauses);
	while (!shared->count || !shared->ready)
		sched_yield();
	look_at_one_that_counts(one);
	look_at_one_that_pauses(two);
	forgotten = one;
	CHECK(guest_wait(begin(forgets)) == 0 && counting());
	CHECK(ptrace(PTRACE_ATTACH, getpid(), NULL, NULL) == -1 && errno == EPERM);
	attach(one);
	attach(two);
	end(one);
	end(two);
	return guest_done();
}
