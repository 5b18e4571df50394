#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""abi.h is the header of the patch series, byte for byte, and both sides use the same numbers for
the calls. Skipped as long as there is no series.

usage: check_abi.py SOURCE_ROOT"""
import pathlib
import re
import subprocess
import sys
import tempfile

UAPI = 'include/uapi/linux/umcg.h'
TABLE = 'arch/x86/entry/syscalls/syscall_64.tbl'


def header_of(patches):
    """The file as the whole series leaves it."""
    with tempfile.TemporaryDirectory() as tree:
        for patch in patches:
            if f' b/{UAPI}' in patch.read_text():
                subprocess.run(['git', 'apply', f'--include={UAPI}', str(patch)], cwd=tree,
                               check=True)
        return pathlib.Path(tree, UAPI).read_text()


def numbers_of_table(patches):
    numbers = {}
    for patch in patches:
        for part in re.split(r'^diff --git ', patch.read_text(), flags=re.M):
            if part.startswith(f'a/{TABLE} '):
                for number, name in re.findall(r'^\+(\d+)\s+(?:common|64)\s+(umcg_\w+)', part, re.M):
                    numbers[name] = int(number)
    return numbers


def numbers_of_library(root):
    text = (root / 'libumcg/src/kernel/kernel.h').read_text()
    return {name: int(n) for name, n in re.findall(r'#define __NR_(umcg_\w+)\s+(\d+)', text)}


def main():
    root = pathlib.Path(sys.argv[1])
    patches = sorted((root / 'kernel-patch/patches').glob('*.patch'))
    if not any(f' b/{UAPI}' in p.read_text() for p in patches):
        print(f'skipped: no patch in kernel-patch/patches creates {UAPI}')
        sys.exit(77)
    failed = False
    if header_of(patches) != (root / 'libumcg/include/umcg/abi.h').read_text():
        print(f'libumcg/include/umcg/abi.h differs from {UAPI} of the patch series')
        failed = True
    ours, theirs = numbers_of_library(root), numbers_of_table(patches)
    if ours != theirs or len(ours) != 4:
        print(f'numbers of the calls: libumcg {ours}, patch series {theirs}')
        failed = True
    sys.exit(failed)


main()
