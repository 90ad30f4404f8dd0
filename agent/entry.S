/* The agent's way in and out: from a trampoline to agent_call() and back, no register lost. */
#include "agent/abi.h"

	.section .head, "ax"
	.ascii "RLAGENT\0"
	.quad entry
	.quad fast_exit
	.quad slow_exit
	.quad fault
	.balign 64
	/* AGENT_SYSCALL */
syscall_site:
	syscall
	ret

	.text

	/*
	 * Called by a trampoline on the agent's stack. The frame is struct agent_frame of call.c. r11 and rcx need not
	 * survive a system call, but they must if the traced path is taken and then abandoned before its syscall.
	 */
	.balign 16
entry:
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
	push	%rbx               /* for `fault` only: agent_call keeps these */
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	cld
	lea	56(%rsp), %rdi
	call	agent_call
	add	$56, %rsp
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
	popfq
fast_exit:
	ret

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
	mov	AGENT_SAVED_RSP, %rsp
slow_exit:
	jmp	*AGENT_SLOW_TARGET

	/* long agent_syscall(long a0, ... a5, long nr) */
	.globl	agent_syscall
	.balign 16
agent_syscall:
	mov	8(%rsp), %rax
	mov	%rcx, %r10
	jmp	syscall_site

	.section .note.GNU-stack, "", @progbits
