#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""umcg-probe: every backend has its verdict and, where it works, its capabilities; the exit code
says the same as the text; bad arguments are named.

usage: check_probe_tool.py UMCG_PROBE"""
import os
import re
import subprocess
import sys

BACKENDS = ('kernel', 'bpf', 'portable')
bad = 0


def check(good, what):
    global bad
    if not good:
        bad += 1
        print(f'FAILED: {what}')


def probe(*args, **env):
    run = subprocess.run([sys.argv[1], *args], text=True, capture_output=True, timeout=60,
                         env={**{k: v for k, v in os.environ.items() if k != 'UMCG_BACKEND'}, **env})
    print(f'$ umcg-probe {" ".join(args)}\n{run.stdout}{run.stderr}exit code {run.returncode}')
    return run.returncode, run.stdout, run.stderr


def verdict(text, name):
    """yes or no, and that the details fit."""
    found = re.findall(rf'^{name}: (yes|no)\b(.*(?:\n .*)*)', text, re.M)
    check(len(found) == 1, f'one verdict for {name}')
    works, details = found[0] if found else ('no', '')
    has_list = len(re.findall(r'^  (?:yes|no)  ?(?:BLOCK_EVENTS|HOLD|PREEMPT|FAULT_EVENTS|ONE_RUNNING) ',
                              details, re.M))
    check(has_list == (5 if works == 'yes' else 0), f'{name}: {works}, with {has_list} of the five capabilities')
    return works == 'yes'


code, out, err = probe()
works = {name: verdict(out, name) for name in BACKENDS}
check(code == (0 if any(works.values()) else 1), 'exit code 0 if any works, else 1')
check(err == '', 'nothing on stderr')
best = next((name for name in BACKENDS if works[name]), None)
last = out.splitlines()[-1]
check(last == f'umcg_init() chooses: {best}.' if best else 'ENOTSUP' in last, f'the choice: {last}')

for name in BACKENDS:
    code, out, _ = probe('--backend', name)
    check(verdict(out, name) == works[name], f'--backend {name} says the same')
    check(code == (0 if works[name] else 1), f'--backend {name}: exit code')
    check(not any(f'{other}: ' in out for other in BACKENDS if other != name), 'and of no other')

code, out, _ = probe('--help')
check(code == 0 and out.startswith('usage: umcg-probe'), '--help')
for args, named in ((('--backend', 'futex'), "'futex'"), (('--backend', ''), "''"), (('--backend',), 'backend'),
                    (('--colour',), 'colour'), (('kernel',), "'kernel'")):
    code, out, err = probe(*args)
    check(code == 2 and named in err and out == '', f'{args}: exit code 2, and {named} in the message')
code, out, _ = probe(UMCG_BACKEND='futex')
check('"futex"' in out.splitlines()[-1], 'a bad UMCG_BACKEND is named')
with open('/dev/full', 'w') as full:
    code = subprocess.run([sys.argv[1]], stdout=full, stderr=subprocess.PIPE, timeout=60).returncode
check(code == 2, 'output that cannot be written')
sys.exit(bad != 0)
