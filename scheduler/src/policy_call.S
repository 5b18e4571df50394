/* SPDX-License-Identifier: MIT */
/*
 * struct { uint64_t value, ended; } umcg_policy_call(struct policy_call *call, fn, const uint64_t args[4])
 *
 * Calls fn(args[0], args[1], args[2], args[3]). call->sp is not 0 while a signal handler may come out
 * of it: it sets RSP to call->sp, RBX to call and RIP to umcg_policy_call_out.
 */
	.text
	.globl	umcg_policy_call
	.hidden	umcg_policy_call
	.type	umcg_policy_call, @function
umcg_policy_call:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rdi, %rbx
	movq	%rsi, %rax
	movq	%rdx, %r8
	movq	(%r8), %rdi
	movq	8(%r8), %rsi
	movq	16(%r8), %rdx
	movq	24(%r8), %rcx
	movq	%rsp, (%rbx)
	call	*%rax
	movq	$0, (%rbx)
	xorl	%edx, %edx
1:
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	ret
	.cfi_endproc
	.size	umcg_policy_call, .-umcg_policy_call

	.globl	umcg_policy_call_out
	.hidden	umcg_policy_call_out
	.type	umcg_policy_call_out, @function
umcg_policy_call_out:
	cld
	movq	$0, (%rbx)
	movl	$1, %edx
	jmp	1b
	.size	umcg_policy_call_out, .-umcg_policy_call_out

	.section .note.GNU-stack,"",@progbits
