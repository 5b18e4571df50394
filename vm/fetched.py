# SPDX-License-Identifier: MIT
"""What guests need of Debian's packages: fetched once, unpacked below the cache, never installed."""

import os
import shutil
import subprocess
import tempfile


class Missing(Exception):
    """A sentence that says what is not there."""


def run(*words, cwd=None):
    """Its output."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, cwd=cwd)
    except FileNotFoundError:
        raise Missing(f"{words[0]} is missing: what guests need of Debian's packages is fetched with it") from None
    if done.returncode:
        raise Missing(f"`{' '.join(words)}` failed:\n{done.stderr.strip()}")
    return done.stdout


def once(final, fill):
    """The directory `final`, made by fill(an empty one): whole or not there."""
    if os.path.isdir(final):
        return final
    cache = os.path.dirname(final)
    os.makedirs(cache, exist_ok=True)
    temp = tempfile.mkdtemp(dir=cache, prefix=".fetching-")
    try:
        fill(temp)
        os.chmod(temp, 0o755)
        try:
            os.rename(temp, final)
        except OSError:  # somebody else was quicker
            pass
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return final
