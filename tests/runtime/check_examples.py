#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples of the documentation work. Each public header of the runtime opens with a description
and a program; each ```cpp block of the guide is a program, or the body of a task. They compile
without a warning and return 0. A header's program includes all that it uses but <chrono> literals, and
each header also compiles on its own.

usage: check_examples.py INCLUDE_DIR GUIDE OUTPUT_DIR COMPILER... -- LIBRARY..."""
import pathlib
import re
import subprocess
import sys

FLAGS = ['-std=gnu++20', '-Wall', '-Wextra', '-Wpedantic', '-Wshadow', '-Werror', '-O1', '-g', '-pthread']
PRELUDE = '#include <chrono>\nusing namespace std::chrono_literals;\n'


def program(header):
    """The indented lines of the comment that the header opens with."""
    lines = []
    for line in header.read_text().splitlines():
        if not line.startswith('//'):
            break
        if line.startswith('//     '):
            lines.append(line[7:])
        elif line == '//' and lines:
            lines.append('')
    text = '\n'.join(lines)
    return text if 'int main()' in text else None


# Around a block of the guide that is no program.
BODY = """{includes}
int main() {{
    umcg::runtime rt;
    rt.spawn([] {{
{text}
    }}).join();
}}
"""
STANDARD = ['unistd.h', 'atomic', 'cassert', 'deque', 'mutex', 'optional', 'stdexcept', 'string']


def blocks(guide):
    """(line, text) of each ```cpp block."""
    at, lines = None, []
    for number, line in enumerate(guide.read_text().splitlines(), 1):
        if line == '```cpp':
            at, lines = number, []
        elif line == '```' and at:
            yield at, '\n'.join(lines)
            at = None
        elif at:
            lines.append(line)


def main():
    include, guide, out = (pathlib.Path(arg) for arg in sys.argv[1:4])
    split = sys.argv.index('--')
    compiler, libraries = sys.argv[4:split], sys.argv[split + 1:]
    out.mkdir(exist_ok=True)
    headers = sorted([*(include / 'umcg').glob('*.hpp'), *(include / 'umcg' / 'net').glob('*.hpp')])
    programs, good = [], True
    for header in headers:
        text = program(header)
        alone = f'#include <{header.relative_to(include)}>\n'
        programs.append((header.name, header.stem, alone + (PRELUDE + text if text else 'int main() {}')))
        if text is None and header.name != 'limit.hpp':
            print(f'{header.name}: no program in its opening comment')
            good = False
    includes = PRELUDE + '\n'.join([f'#include <{name}>' for name in STANDARD] +
                                   [f'#include <{header.relative_to(include)}>' for header in headers])
    of_headers = len(programs)
    for line, text in blocks(guide):
        if 'int main()' not in text:
            text = BODY.format(includes=includes, text=text)
        programs.append((f'{guide.name}:{line}', f'{guide.stem}_{line}', text))
    for name, stem, text in programs:
        source, binary = out / (stem + '.cpp'), out / stem
        source.write_text(text + '\n')
        subprocess.run([*compiler, *FLAGS, '-I', str(include), '-o', str(binary), str(source), *libraries], check=True)
        run = subprocess.run([str(binary)], text=True, capture_output=True, timeout=60)
        print(f'{name}: exit {run.returncode}\n{run.stdout}{run.stderr}')
        good &= run.returncode == 0
    print(f'{of_headers} headers, {len(programs) - of_headers} pieces of the guide')
    sys.exit(0 if good and 0 < of_headers < len(programs) else 1)


main()
