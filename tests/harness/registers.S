/* SPDX-License-Identifier: MIT */
/*
 * void umcg_test_hold(struct hold *h): see registers.hpp. The offsets are checked
 * in registers.cpp.
 */
#define IN	0
#define OUT	8
#define LEVEL	16
#define KIND	20
#define NUMBER	24
#define A	32
#define B	40
#define C	48
#define RESULT	56
#define KEEP	64

#define FX	0
#define ZMM	512
#define K	2560
#define CONFIG	2624
#define TILE	2688
#define IN_USE	10880

	.text
	.globl	umcg_test_hold
	.hidden	umcg_test_hold
	.type	umcg_test_hold, @function
umcg_test_hold:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	mov	%rdi, %rbx
	mov	LEVEL(%rbx), %r12d
	mov	IN(%rbx), %r8
	fxsave64 KEEP(%rbx)
	fxrstor64 FX(%r8)

	test	$4, %r12d
	jz	1f
	ldtilecfg CONFIG(%r8)
	mov	$64, %eax
	.irp	n, 0,1,2,3,4,5,6,7
	lea	TILE+1024*\n(%r8), %rcx
	tileloadd (%rcx,%rax,1), %tmm\n
	.endr
1:	test	$2, %r12d
	jz	2f
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64 ZMM+64*\n(%r8), %zmm\n
	.endr
	.irp	n, 0,1,2,3,4,5,6,7
	kmovq	K+8*\n(%r8), %k\n
	.endr
	jmp	3f
2:	test	$1, %r12d
	jz	3f
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovups	ZMM+64*\n(%r8), %ymm\n
	.endr

3:	mov	KIND(%rbx), %ecx
	mov	NUMBER(%rbx), %rax
	mov	A(%rbx), %rdi
	mov	B(%rbx), %rsi
	mov	C(%rbx), %rdx
	cmp	$1, %ecx
	je	5f
	cmp	$2, %ecx
	je	6f
	cmp	$3, %ecx
	je	7f
	syscall
	jmp	8f
5:	pause
	cmpl	$0, (%rdi)
	je	5b
	jmp	8f
6:	movzbl	(%rdi), %eax
	jmp	8f
7:	call	*%rdi
	xor	%eax, %eax
8:	mov	%rax, RESULT(%rbx)
	mov	OUT(%rbx), %r9

	test	$8, %r12d
	jz	9f
	mov	$1, %ecx
	xgetbv
	mov	%eax, IN_USE(%r9)
	mov	%edx, IN_USE+4(%r9)
9:	test	$2, %r12d
	jz	10f
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	vmovdqu64 %zmm\n, ZMM+64*\n(%r9)
	.endr
	.irp	n, 0,1,2,3,4,5,6,7
	kmovq	%k\n, K+8*\n(%r9)
	.endr
	jmp	12f
10:	test	$1, %r12d
	jz	11f
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovups	%ymm\n, ZMM+64*\n(%r9)
	.endr
	jmp	12f
11:	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movups	%xmm\n, ZMM+64*\n(%r9)
	.endr
12:	test	$4, %r12d
	jz	14f
	sttilecfg CONFIG(%r9)
	/* released: nothing to store, and no instruction that could */
	cmpb	$0, CONFIG(%r9)
	je	14f
	mov	$64, %eax
	.irp	n, 0,1,2,3,4,5,6,7
	lea	TILE+1024*\n(%r9), %rcx
	tilestored %tmm\n, (%rcx,%rax,1)
	.endr
	tilerelease
14:	fxsave64 FX(%r9)
	fxrstor64 KEEP(%rbx)
	test	$1, %r12d
	jz	15f
	vzeroupper
15:	pop	%r13
	.cfi_adjust_cfa_offset -8
	pop	%r12
	.cfi_adjust_cfa_offset -8
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	umcg_test_hold, .-umcg_test_hold
	.section .note.GNU-stack, "", @progbits
