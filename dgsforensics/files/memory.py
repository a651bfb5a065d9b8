"""How much memory there is to decode in: what the machine has free, and what this process may."""

import os
from pathlib import Path

LEAST = 256 << 20
"""Bytes that are taken to be there whatever the machine says."""
_UNKNOWN = 2 << 30
_SHARE = 0.5
"""Of what is free: the model and other programs need some, too."""
_PROCESS = 512 << 20
"""Bytes of address space that a process takes before it decodes anything."""
_GROUPS = Path("/sys/fs/cgroup")


def budget() -> int:
    """Return the bytes that decoding may take in all, by default."""
    limits = [_SHARE * free for free in (_free(), _free_in_group()) if free is not None]
    if (space := address_space()) is not None:
        limits.append(space - _PROCESS)
    return max(LEAST, int(min(limits, default=_UNKNOWN)))


def address_space() -> int | None:
    """Return the bytes that each process may map (`ulimit -v`); None without such a limit."""
    try:
        import resource
    except ImportError:  # there is none on Windows
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def _free() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass  # no Linux
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _free_in_group() -> int | None:
    """What the control group, such as a container, may still take."""
    try:
        most = int((_GROUPS / "memory.max").read_text(encoding="ascii"))
        return max(0, most - int((_GROUPS / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return None  # no group, or one without a limit
