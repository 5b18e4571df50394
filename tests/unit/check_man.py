#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manual pages: lint, a page for every public function, and every program in them, and in the
README, compiles without a warning and runs (0, or 77 on a kernel without UMCG).

usage: check_man.py SOURCE_ROOT STATIC_LIBRARY OUTPUT_DIR CC"""
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

FLAGS = ['-std=gnu17', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Werror',
         '-O1', '-g', '-pthread']


def programs(page):
    """The literal blocks that have a main(), as the reader sees them."""
    for block in re.findall(r'^\.Bd -literal[^\n]*\n(.*?)^\.Ed$', page.read_text(), re.M | re.S):
        if 'main(' in block:
            lines = [re.sub(r'^\\&', '', line) for line in block.splitlines()]
            yield '\n'.join(lines).replace(r'\e', '\\') + '\n'


def functions(header):
    text = re.sub(r'/\*.*?\*/', '', header.read_text(), flags=re.S)
    names = re.findall(r'^(?:static inline )?\w[\w *]*?\b(umcg_\w+)\(', text, re.M)
    return {n for n in names if not n.endswith('_')}


def lint(pages):
    if not shutil.which('mandoc'):
        print('skip: no lint, mandoc is not installed')
        return True
    # STYLE would also want a page that links to each page
    run = subprocess.run(['mandoc', '-Tlint', '-Wwarning', *map(str, pages)], text=True,
                         capture_output=True)
    print(run.stdout, end='')
    return run.returncode == 0


def build_and_run(name, source, root, library, out, cc):
    program = out / name
    program.with_suffix('.c').write_text(source)
    subprocess.run([*cc, *FLAGS, '-I', str(root / 'libumcg/include'), '-o', str(program),
                    str(program.with_suffix('.c')), library], check=True)
    run = subprocess.run([str(program)], text=True, capture_output=True, timeout=60)
    print(f'{name}: exit {run.returncode}\n{run.stdout}{run.stderr}')
    return run.returncode in (0, 77)


def main():
    root, library, out = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    cc = shlex.split(sys.argv[4])
    pages = sorted(p for p in (root / 'libumcg/man').glob('umcg*.[137]'))
    good = lint(pages)
    out.mkdir(exist_ok=True)
    count = 0
    for page in pages:
        for i, source in enumerate(programs(page)):
            good &= build_and_run(f'{page.stem}_{i}', source, root, library, out, cc)
            count += 1
    for source in re.findall(r'^```c\n(.*?)^```$', (root / 'README.md').read_text(), re.M | re.S):
        good &= build_and_run('readme', source, root, library, out, cc)
        count += 1
    documented = set()
    for page in pages:
        documented |= set(re.findall(r'^\.Nm (umcg_\w+)', page.read_text(), re.M))
    public = functions(root / 'libumcg/include/umcg/umcg.h') | functions(root / 'libumcg/include/umcg/xstate.h')
    for name in sorted(public - documented):
        print(f'no manual page: {name}')
        good = False
    print(f'{len(pages)} pages, {count} programs')
    sys.exit(0 if good and count else 1)


main()
