/* SPDX-License-Identifier: MIT */
/*
 * The switch between two stacks.
 *
 *	context *umcg_detail_jump(void **from, void *to, context *self)
 *
 * saves what the calling convention lets a callee save, and the stack pointer in
 * *from; goes on at `to`, where an earlier call returns `self`, or where
 * umcg_detail_begin takes it to the function that make_context() has put in RBX's place.
 * No floating-point or vector register is saved, no control word: see float_control.hpp.
 *
 * Ends with a RET although it is on another stack than its call: everybody who waits in
 * here was called from the one place in fiber.cpp, so the processor's stack of return
 * addresses is right. After a jump it would have one too many, and the next return of
 * ours would always be predicted wrongly.
 */
	.text
	.globl	umcg_detail_jump
	.hidden	umcg_detail_jump
	.type	umcg_detail_jump, @function
	.p2align 4
umcg_detail_jump:
	.cfi_startproc
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	mov	%rsp, (%rdi)
	/* the layout is the same on the new stack, and so is what the unwinder reads */
	mov	%rsi, %rsp
	mov	(%rsp), %r15
	mov	8(%rsp), %r14
	mov	16(%rsp), %r13
	mov	24(%rsp), %r12
	mov	32(%rsp), %rbx
	mov	40(%rsp), %rbp
	add	$48, %rsp
	.cfi_def_cfa_offset 8
	.cfi_same_value rbx
	.cfi_same_value rbp
	.cfi_same_value r12
	.cfi_same_value r13
	.cfi_same_value r14
	.cfi_same_value r15
	mov	%rdx, %rax
	ret
	.cfi_endproc
	.size	umcg_detail_jump, .-umcg_detail_jump

	.globl	umcg_detail_begin
	.hidden	umcg_detail_begin
	.type	umcg_detail_begin, @function
umcg_detail_begin:
	.cfi_startproc
	/* nobody has called: the unwinder and the debugger end here */
	.cfi_undefined rip
	mov	%rax, %rdi
	call	*%rbx
	ud2
	.cfi_endproc
	.size	umcg_detail_begin, .-umcg_detail_begin
	.section .note.GNU-stack, "", @progbits
