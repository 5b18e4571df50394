#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each public header compiles alone, as C17 and C++20, without a warning, under every compiler
that is here; and for a machine without an x86 pause instruction, where clang can show it.

usage: check_headers.py INCLUDE_DIR"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

WARNINGS = ['-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Wundef', '-Werror', '-fsyntax-only']
LANGUAGES = [('c', '-std=c17', ['gcc', 'clang']), ('c++', '-std=c++20', ['g++', 'clang++'])]
OTHER_MACHINES = ['aarch64-linux-gnu', 'riscv64-linux-gnu']


def compile_one(compiler, args, source):
    run = subprocess.run([compiler, *WARNINGS, *args, '-'], input=source, text=True,
                         capture_output=True)
    print('ok  ' if run.returncode == 0 else 'FAIL', compiler, *args[:2], source.strip())
    if run.returncode:
        print(run.stderr)
    return run.returncode == 0


def main():
    include = pathlib.Path(sys.argv[1])
    headers = sorted(h.relative_to(include) for h in include.glob('umcg/*.h'))
    done, good = 0, True
    with tempfile.TemporaryDirectory() as stubs:
        # where glibc's headers of this machine take any other for a 32-bit one
        pathlib.Path(stubs, 'gnu').mkdir()
        pathlib.Path(stubs, 'gnu/stubs-32.h').touch()
        pathlib.Path(stubs, 'bits').mkdir()
        pathlib.Path(stubs, 'bits/wordsize.h').write_text('#define __WORDSIZE 64\n'
                                                          '#define __WORDSIZE_TIME64_COMPAT32 0\n')
        for language, standard, compilers in LANGUAGES:
            for compiler in compilers:
                if not shutil.which(compiler):
                    print('skip', compiler, 'is not installed')
                    continue
                machines = [[]]
                if compiler == 'clang':
                    machines += [[f'--target={m}', '-isystem', stubs, '-isystem',
                                  '/usr/include/x86_64-linux-gnu'] for m in OTHER_MACHINES]
                for machine in machines:
                    for header in headers:
                        args = [standard, *machine, '-x', language, '-I', str(include)]
                        good &= compile_one(compiler, args, f'#include <{header}>\n')
                        done += 1
    if not headers or not done:
        sys.exit(77)
    sys.exit(0 if good else 1)


main()
