# SPDX-License-Identifier: MIT
"""./umcg vm --bochs: the guest on Bochs 3, which emulates what QEMU's emulator does not: AVX-512, XSAVEC and
XSAVES with the compacted format.

Bochs 3 is in Debian 13. Its packages are fetched with a list of sources of their own and unpacked below the
cache; nothing of them is installed, and the system's apt sees none of it. They run through their own dynamic
linker. The boot is by isolinux from a CD image; files go in by the initramfs and come out by serial ports.
"""

import os
import shutil
import subprocess
import tempfile
import time

from fetched import Missing, once, run

MODEL = "tigerlake"
RELEASE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SEEDS = ("bochs", "bochsbios", "vgabios", "isolinux", "syslinux-common", "xorriso")
# Of what these depend on only libraries are needed, and of those not the ones that only hold data.
NOT_NEEDED = ("libpam", "libgtk-3-common", "libx11-data", "libasound2-data", "libthai-data", "libsystemd-shared")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PORTS = ("log", "out", "err", "control")  # ttyS0 to ttyS3


def fetch(directory):
    """Unpack the packages into directory/root."""
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise Missing(f"Bochs comes as Debian packages, and {tool} is missing")
    if not os.path.exists(KEYRING):
        raise Missing(f"{KEYRING} is missing (package debian-archive-keyring)")
    for sub in ("lists/partial", "cache/archives/partial", "debs", "root"):
        os.makedirs(os.path.join(directory, sub), exist_ok=True)
    sources = os.path.join(directory, "sources.list")
    with open(sources, "w") as f:
        f.write(f"deb [signed-by={KEYRING}] {MIRROR} {RELEASE} main\n")
    status = os.path.join(directory, "status")  # nothing is installed
    open(status, "w").close()
    options = ["-q", "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-", "-o", "Dir::Etc::preferencesparts=-",
               "-o", f"Dir::State::lists={directory}/lists", "-o", f"Dir::State::status={status}", "-o", f"Dir::Cache={directory}/cache",
               "-o", "APT::Sandbox::User=", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures::=amd64"]

    def apt(*words):
        done = subprocess.run(["apt-get", *options, *words], capture_output=True, text=True, cwd=os.path.join(directory, "debs"))
        if done.returncode:
            raise Missing(f"`apt-get {' '.join(words[:2])}` for Debian {RELEASE} failed:\n{done.stderr.strip()}")
        return done.stdout

    apt("update")
    names = [line.split()[1] for line in apt("-s", "install", "--no-install-recommends", *SEEDS).splitlines() if line.startswith("Inst ")]
    apt("download", *[n for n in names if n in SEEDS or (n.startswith("lib") and not n.startswith(NOT_NEEDED))])
    debs = os.path.join(directory, "debs")
    for deb in sorted(os.listdir(debs)):
        run("dpkg-deb", "-x", deb, os.path.join(directory, "root"), cwd=debs)
    for sub in ("lists", "cache", "debs"):
        shutil.rmtree(os.path.join(directory, sub))


def installed(cache, say):
    """The unpacked tree; fetched once."""
    def fill(directory):
        say("fetching Bochs 3, about 50 MB")
        fetch(directory)

    return os.path.join(once(os.path.join(cache, f"bochs-{RELEASE}"), fill), "root")


def foreign(root, program, *args):
    """A program of the unpacked tree, by its own linker and libraries."""
    libraries = os.path.join(root, LIBRARIES)
    return [os.path.join(libraries, "ld-linux-x86-64.so.2"), "--library-path", libraries, os.path.join(root, "usr/bin", program), *args]


def needed(command):
    """{path in the guest: file here}: the command, the files that its words name, and their libraries."""
    first = shutil.which(command[0])
    if not first:
        raise Missing(f"{command[0]}: not found; --bochs carries only the command, the files that its arguments name and their libraries")
    files, queue = {}, [os.path.abspath(first), *[os.path.abspath(w) for w in command[1:] if os.path.isfile(w)]]
    while queue:
        path = queue.pop()
        if path in files:
            continue
        files[path] = os.path.realpath(path)
        with open(path, "rb") as f:
            head = f.read(256)
        if head.startswith(b"#!"):
            words = head[2:].split(b"\n")[0].decode().split()
            queue += [w for w in (shutil.which(x) for x in words) if w]
        elif head.startswith(b"\x7fELF"):
            listed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
            queue += [w for line in listed.splitlines() for w in line.split() if w.startswith("/") and os.path.isfile(w)]
    return files


def write_iso(root, kernel, initrd, append, path):
    with tempfile.TemporaryDirectory(prefix="umcg-iso-") as d:
        for source, name in ((os.path.join(root, "usr/lib/ISOLINUX/isolinux.bin"), "isolinux.bin"),
                             (os.path.join(root, "usr/lib/syslinux/modules/bios/ldlinux.c32"), "ldlinux.c32"),
                             (kernel, "kernel"), (initrd, "initrd")):
            shutil.copy(source, os.path.join(d, name))
        with open(os.path.join(d, "isolinux.cfg"), "w") as f:
            f.write(f"DEFAULT umcg\nPROMPT 0\nLABEL umcg\n  KERNEL kernel\n  INITRD initrd\n  APPEND {append}\n")
        done = subprocess.run(foreign(root, "xorriso", "-as", "mkisofs", "-quiet", "-o", path, "-b", "isolinux.bin", "-c", "boot.cat",
                                      "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", d), capture_output=True, text=True)
        if done.returncode:
            raise Missing(f"the CD image could not be made: {done.stderr.strip()}")


def write_config(root, iso, mem, directory):
    share = os.path.join(root, "usr/share")
    lines = [
        f"cpu: model={MODEL}, count=1, ips=200000000, reset_on_triple_fault=0",
        f"memory: guest={mem}, host={mem}",
        f"romimage: file={share}/bochs/BIOS-bochs-latest",
        f"vgaromimage: file={share}/vgabios/vgabios.bin",
        "display_library: rfb, options=\"timeout=0\"",
        "boot: cdrom",
        f"ata0-master: type=cdrom, path={iso}, status=inserted",
        "clock: sync=none, time0=1767225600",
        "pci: enabled=1, chipset=i440fx",
        f"log: {directory}/bochs",
        "panic: action=fatal", "error: action=report", "info: action=ignore", "debug: action=ignore",
    ]
    lines += [f"com{i + 1}: enabled=1, mode=file, dev={os.path.join(directory, 'port-' + name)}" for i, name in enumerate(PORTS)]
    path = os.path.join(directory, "bochsrc")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


class Port:
    """What comes out of a serial port that Bochs writes to a file."""

    def __init__(self, path):
        self.path, self.at = path, 0

    def read(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.at)
                data = f.read()
        except FileNotFoundError:
            return b""
        self.at += len(data)
        return data


def start(root, config, environment, **more):
    environment = dict(environment, LTDL_LIBRARY_PATH=os.path.join(root, LIBRARIES, "bochs/plugins"), BXSHARE=os.path.join(root, "usr/share/bochs"))
    return subprocess.Popen(foreign(root, "bochs-bin", "-q", "-f", config), stdin=subprocess.DEVNULL, env=environment, **more)


def settle():
    time.sleep(0.05)
