/* The agent's way in and out: from a trampoline to agent_call() and back, no register lost. */
#include "agent/abi.h"

	.section .head, "ax"
	.ascii "RLAGENT\0"
	.quad entry
	.quad fast_exit
	.quad slow_exit
	.quad fault
	.quad cpuid_entry
	.quad tsc_entry
	.quad xsave_entry
	.balign 64
	/* AGENT_SYSCALL */
syscall_site:
	syscall
	pop	%rcx
	jmp	*%rcx

	.text

	/*
	 * Kernels protect themselves by leaving a processor no idea of where a `ret` goes that follows a call of theirs: 5 ns
	 * each. So returns that follow one are jumps.
	 */
	.globl	__x86_return_thunk
__x86_return_thunk:
	pop	%rcx
	jmp	*%rcx

	/*
	 * popf takes longer than the rest of the way out. Hardly a program has other flags than these at a call: CF, PF, AF,
	 * ZF, SF, IF, OF, and the one that is always set.
	 */
	.set	PLAIN_FLAGS, 0xad7

	/*
	 * Called by a trampoline on the agent's stack. The frame is struct agent_frame of call.c. r11 and rcx need not
	 * survive a system call, but they must if the traced path is taken and then abandoned before its syscall.
	 */
	.macro CALL_WITH_FRAME function
	pushfq
	push	%r11
	push	%rcx
	push	%r9
	push	%r8
	push	%r10
	push	%rdx
	push	%rsi
	push	%rdi
	push	%rax
	push	%rbx               /* for `fault` only: the function keeps these */
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	cld
	lea	56(%rsp), %rdi
	call	\function
	add	$56, %rsp
	.endm

	.balign 16
entry:
	CALL_WITH_FRAME agent_call
	test	%eax, %eax
	jz	1f
	pop	%rax
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%r10
	pop	%r8
	pop	%r9
	add	$16, %rsp
	mov	(%rsp), %r11
	test	$~PLAIN_FLAGS, %r11d
	jz	plain_flags
	popfq
	jmp	leave
plain_flags:
	mov	%rax, %rcx         /* the trampoline sets rcx */
	mov	%r11d, %eax
	shr	$11, %eax
	mov	(%rsp), %ah
	add	$0x7f, %al         /* overflows if OF was set; sahf leaves that alone */
	sahf
	mov	%rcx, %rax
	lea	8(%rsp), %rsp
leave:
	pop	%rcx
fast_exit:
	jmp	*%rcx

	/* Called by the trampoline of an rdtsc, of which nothing but the result is seen. Where to, agent_tsc has said. */
	.balign 16
tsc_entry:
	CALL_WITH_FRAME agent_tsc
	jmp	1f

	/* By that of an xsavec, which changes nothing but memory. */
	.balign 16
xsave_entry:
	CALL_WITH_FRAME agent_xsave
	jmp	1f

	/*
	 * A pointer of the program's was bad, and its call not made yet: the kernel shall say so. The frame lies where it
	 * always does.
	 */
fault:
	mov	$(AGENT_STACK_TOP - 136), %esp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
1:
	pop	%rax
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%r10
	pop	%r8
	pop	%r9
	pop	%rcx
	pop	%r11
	popfq
give_back:
	mov	AGENT_SAVED_RSP, %rsp
slow_exit:
	jmp	*AGENT_SLOW_TARGET

	/*
	 * Called by the trampoline of a cpuid: the answer out of the table, or on to the traced instruction. Leaf and subleaf
	 * are in eax and ecx; the answer is all that changes. There is no difference between recording and replay.
	 */
	.balign 16
cpuid_entry:
	pushfq
	push	%rsi
	push	%rdi
	mov	$AGENT_CPUID, %esi
1:
	cmpl	$0, AGENT_CPUID_USED(%rsi)
	je	3f
	mov	%ecx, %edi
	and	AGENT_CPUID_MASK(%rsi), %edi
	cmp	AGENT_CPUID_SUB(%rsi), %edi
	jne	2f
	cmp	(%rsi), %eax
	je	4f
2:
	add	$AGENT_CPUID_BYTES, %rsi
	jmp	1b
3:
	mov	24(%rsp), %rdi
	sub	$AGENT_TRAMP_BACK, %rdi
	mov	%rdi, AGENT_SLOW_TARGET
	pop	%rdi
	pop	%rsi
	popfq
	jmp	give_back
4:
	mov	24(%rsp), %rdi
	mov	%rdi, AGENT_SLOW_TARGET
	mov	AGENT_CPUID_ANSWER(%rsi), %eax
	mov	(AGENT_CPUID_ANSWER + 4)(%rsi), %ebx
	mov	(AGENT_CPUID_ANSWER + 8)(%rsi), %ecx
	mov	(AGENT_CPUID_ANSWER + 12)(%rsi), %edx
	pop	%rdi
	pop	%rsi
	popfq
	jmp	slow_exit          /* rcx is part of the answer */

	/* long agent_syscall(long a0, ... a5, long nr) */
	.globl	agent_syscall
	.balign 16
agent_syscall:
	mov	8(%rsp), %rax
	mov	%rcx, %r10
	jmp	syscall_site

	.section .note.GNU-stack, "", @progbits
