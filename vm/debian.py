# SPDX-License-Identifier: MIT
"""./umcg vm --kernel debian-6.1: Debian 12's own kernel, as its users run it. The oldest one with what the bpf backend needs.

Its package is fetched once and unpacked below the cache, not installed. What the guest needs of its modules goes into the
initramfs, in the order in which init loads them.
"""

import glob
import os
import re

from fetched import Missing, once, run

META = "linux-image-amd64"  # depends on the newest of the release
RELEASE = "6.1"
MODULES = ("virtio_pci", "virtio_console", "virtio-rng", "9pnet_virtio", "9p", "overlay")


def newest():
    """Name and version of the package."""
    found = re.search(rf"Depends: (linux-image-{re.escape(RELEASE)}\.\S+)", run("apt-cache", "depends", META))
    if not found:
        raise Missing(f"{META} is not of Linux {RELEASE} here: this needs Debian 12's lists of packages (apt-get update)")
    version = re.search(r"Candidate: (\S+)", run("apt-cache", "policy", found[1]))
    return found[1], version[1]


def unpacked(cache, say):
    """The package's files; apt has checked them against the release's signature."""
    name, version = newest()

    def fill(directory):
        say(f"fetching {name} {version}, 70 MB")
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", f"{name}={version}", cwd=directory)
        deb, = glob.glob(os.path.join(directory, "*.deb"))
        run("dpkg-deb", "-x", deb, directory)
        os.unlink(deb)

    return once(os.path.join(cache, f"{name}_{version}".replace(":", "-")), fill)


def needs(module):
    with open(module, "rb") as f:
        found = re.search(rb"\0depends=([^\0]*)\0", f.read())
    return [name for name in found[1].decode().split(",") if name] if found else []


def in_order(modules):
    """MODULES and what they depend on, which comes first."""
    order = []

    def add(name):
        path = modules.get(name.replace("-", "_"))
        if path and path not in order:  # else it is built in
            for other in needs(path):
                add(other)
            order.append(path)

    for name in MODULES:
        add(name)
    return order


def kernel(cache, say):
    """The image, and the modules to load."""
    root = unpacked(cache, say)
    image, = glob.glob(os.path.join(root, "boot", "vmlinuz-*"))
    every = glob.glob(os.path.join(root, "lib", "modules", "*", "kernel", "**", "*.ko"), recursive=True)
    return image, in_order({os.path.basename(p).removesuffix(".ko").replace("-", "_"): p for p in every})
