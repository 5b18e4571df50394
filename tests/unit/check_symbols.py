#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shared library exports exactly the functions (and the words that their inline parts
read) that the public headers declare, with a version.

usage: check_symbols.py LIBRARY INCLUDE_DIR"""
import pathlib
import re
import subprocess
import sys


def declared(include):
    names = set()
    for header in include.glob('umcg/*.h'):
        text = re.sub(r'/\*.*?\*/', '', header.read_text(), flags=re.S)
        for line in text.splitlines():
            match = re.match(r'(?!static)[a-z].*?\b(umcg_\w+)\(.*\);', line) or re.match(
                r'extern [a-z]\w+ (umcg_\w+_);', line)
            if match:
                names.add(match.group(1))
    return names


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], text=True, check=True,
                         capture_output=True).stdout
    return {line.split()[-1] for line in out.splitlines() if ' A ' not in line}


def main():
    want = {f'{name}@@UMCG_0.1' for name in declared(pathlib.Path(sys.argv[2]))}
    have = exported(sys.argv[1])
    for name in sorted(want - have):
        print(f'declared but not exported: {name}')
    for name in sorted(have - want):
        print(f'exported but not declared: {name}')
    print(f'{len(have & want)} functions declared and exported')
    sys.exit(0 if want and want == have else 1)


main()
