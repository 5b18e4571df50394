#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""./umcg setup on machines that lack something: what it asks of apt, and what it says.

The machine is played by programs of ours that come first in PATH; nothing is installed.

    check_setup.py ROOT
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = sys.argv.pop()

APT_GET = """#!/bin/sh
echo "$*" >>"$UMCG_CACHE/apt-get"
case " $* " in *" ${FAIL:-none} "*) echo "E: no route"; exit 100;; esac
"""
DPKG_QUERY = """#!/bin/sh
rc=0
for p in "$@"; do
    case $p in -*) continue;; esac
    case " $ABSENT " in
    *" $p "*) echo "dpkg-query: no packages found matching $p" >&2; rc=1;;
    *) echo "$p install ok installed";;
    esac
done
exit $rc
"""
APT_CACHE = """#!/bin/sh
case " $UNKNOWN " in *" $2 "*) exit 100;; esac
"""
SUDO = '#!/bin/sh\nexec "$@"\n'
DF = """#!/bin/sh
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "/dev/vda 1 1 $FREE_KB 1% /"
"""
UNAME = '#!/bin/sh\n[ "$1" = -m ] && echo "$MACHINE" || echo Linux\n'


class Setup(unittest.TestCase):
    def setup(self, **env):
        with tempfile.TemporaryDirectory() as home:
            tools = os.path.join(home, "bin")
            cache = os.path.join(home, "cache")
            os.makedirs(tools)
            os.makedirs(cache)
            fakes = {"apt-get": APT_GET, "dpkg-query": DPKG_QUERY, "apt-cache": APT_CACHE, "sudo": SUDO,
                     "df": DF, "uname": UNAME}
            for name, text in fakes.items():
                path = os.path.join(tools, name)
                with open(path, "w") as f:
                    f.write(text)
                os.chmod(path, 0o755)
            settings = {"ABSENT": "", "UNKNOWN": "", "FREE_KB": str(100 << 20), "MACHINE": "x86_64", **env}
            done = subprocess.run([os.path.join(ROOT, "umcg"), "setup"], capture_output=True, text=True,
                                  env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": home, "UMCG_CACHE": cache, **settings})
            try:
                with open(os.path.join(cache, "apt-get")) as f:
                    calls = f.read().splitlines()
            except FileNotFoundError:
                calls = []
            return done.returncode, done.stderr, calls

    def test_nothing_is_missing(self):
        code, text, calls = self.setup()
        self.assertEqual((code, calls), (0, []), text)
        self.assertRegex(text, r"all \d+ packages are installed")

    def test_only_what_is_missing_is_installed(self):
        code, text, calls = self.setup(ABSENT="meson spin")
        self.assertEqual(code, 0, text)
        self.assertEqual(len(calls), 2, calls)
        self.assertIn("update", calls[0])
        self.assertTrue(calls[1].endswith("--no-install-recommends meson spin"), calls[1])

    def test_nothing_is_installed_yet(self):
        with open(os.path.join(ROOT, "umcg")) as f:
            everything = re.search(r"^packages=\((.*?)\)", f.read(), re.S | re.M)[1].split()
        code, text, calls = self.setup(ABSENT=" ".join(everything))
        self.assertEqual(code, 0, text)
        self.assertEqual(calls[1].split("--no-install-recommends ")[1].split(), sorted(everything))

    def test_lists_cannot_be_refreshed(self):
        code, text, _ = self.setup(ABSENT="spin", FAIL="update")
        self.assertNotEqual(code, 0)
        self.assertIn("E: no route", text)
        self.assertIn("apt cannot refresh its lists; check the network", text)
        self.assertIn("by hand: spin", text)

    def test_apt_cannot_install(self):
        code, text, _ = self.setup(ABSENT="spin", FAIL="install")
        self.assertNotEqual(code, 0)
        self.assertIn("apt could not install; check the network", text)

    def test_apt_does_not_know_a_package(self):
        code, text, calls = self.setup(ABSENT="meson spin", UNKNOWN="spin")
        self.assertNotEqual(code, 0)
        self.assertIn("apt does not know spin;", text)
        self.assertFalse([c for c in calls if "install" in c.split()], calls)

    def test_disk_is_full(self):
        code, text, calls = self.setup(ABSENT="spin", FREE_KB=str(300 << 10))
        self.assertNotEqual(code, 0)
        self.assertRegex(text, r"cache has 300 MB free and building needs \d+ MB; free some, or set UMCG_CACHE")
        self.assertEqual(calls, [])

    def test_another_architecture(self):
        code, text, calls = self.setup(MACHINE="aarch64")
        self.assertNotEqual(code, 0)
        self.assertIn("this machine is Linux aarch64; the project is built for x86-64 Linux", text)
        self.assertEqual(calls, [])


if __name__ == "__main__":
    unittest.main()
