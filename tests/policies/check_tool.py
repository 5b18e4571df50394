# SPDX-License-Identifier: MIT
"""umcg-policy: list, check and simulate; the plugin of the first version; the example out of the tree.

Arguments: umcg-policy, the folder of plugins, the example, the public headers, the C++ compiler."""
import os
import shutil
import subprocess
import sys
import tempfile

tool, plugins, example, headers, *cxx = sys.argv[1:]


def run(*args, code=0, env=None):
    r = subprocess.run(args, capture_output=True, text=True, timeout=200, env=env)
    assert r.returncode == code, f"{args}: {r.returncode}, not {code}\n{r.stdout}{r.stderr}"
    return r.stdout + r.stderr


def plugin(name):
    return os.path.join(plugins, name + ".so")


known = [line.split()[0] for line in run(tool, "list").splitlines()]
assert known == ["work_stealing", "fifo", "round_robin", "fair", "deadline", "two_level"], known
assert run(tool, "check", *known).count(": conforms") == len(known)

# a plugin built against the first version of the header
assert "conforms" in run(tool, "check", plugin("version_1_0"))

for sin, says in {"lost": "lost", "doubled": "doubled", "foreign": "foreign", "crashes": "crashed",
                  "throws": "exception", "starves": "starves", "bad_server": "named server",
                  "refuses_init": "it does not want to", "wrong_major": "version 2.1"}.items():
    out = run(tool, "check", plugin(sin), code=1)
    assert says in out, f"{sin}: {out}"

first = run(tool, "simulate", "two_level", "seconds=1", "seed=5")
assert first == run(tool, "simulate", "two_level", "seconds=1", "seed=5")
assert first != run(tool, "simulate", "two_level", "seconds=1", "seed=6")
assert "load" in run(tool, "simulate", "fifo", "load=x", code=1)
assert "no policy 'nothing'" in run(tool, "simulate", "nothing", code=1)
run(tool, "nonsense", code=2)

with tempfile.TemporaryDirectory() as work:
    arrivals = os.path.join(work, "arrivals")
    with open(arrivals, "w") as f:
        f.write("# at service class\n0 10 0\n5 10 1 100\n")
    assert "2 done" in run(tool, "simulate", "fifo", "arrivals=" + arrivals)
    with open(arrivals, "a") as f:
        f.write("oops\n")
    assert ":4:" in run(tool, "simulate", "fifo", "arrivals=" + arrivals, code=1)

    # out of the tree: the folder elsewhere, the installed headers only
    tree = os.path.join(work, "tree")
    shutil.copytree(example, tree)
    prefix = os.path.join(work, "prefix")
    shutil.copytree(headers, os.path.join(prefix, "include"))
    run("make", "-C", tree, "PREFIX=" + prefix, "CXX=" + " ".join(cxx))
    so = os.path.join(tree, "lottery.so")
    os.chmod(so, 0o755)
    needed = run("readelf", "-d", so)
    assert "umcg" not in needed.split("NEEDED", 1)[-1], needed
    assert "conforms" in run(tool, "check", so)
    run("meson", "setup", os.path.join(tree, "build"), tree,
        "-Dcpp_args=-I" + os.path.join(prefix, "include"))
    run("ninja", "-C", os.path.join(tree, "build"))
    assert "conforms" in run(tool, "check", os.path.join(tree, "build", "lottery.so"))
print("ok")
