"""How much memory this process may still take.

In: what the machine says of itself, and the control groups by which Linux holds a container to its limit. Out: bytes,
or an `OutOfMemory` that says what is missing. Knows nothing about what the memory is wanted for.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from utils.errors import OutOfMemory

ROOT = Path("/")


@dataclass(frozen=True)
class _Version:
    """Where one of the two versions of control groups has its folders, and what it calls its files.

    limits: files with a number of bytes. files, mapped: lines of `memory.stat`, the groups below included; the bytes of
        files that are in memory, and of those among them that a program has mapped.
    """

    mount: str
    limits: tuple[str, ...]
    usage: str
    files: tuple[str, ...]
    mapped: str


VERSION_1 = _Version(
    mount="sys/fs/cgroup/memory",
    limits=("memory.limit_in_bytes",),
    usage="memory.usage_in_bytes",
    files=("total_active_file", "total_inactive_file"),
    mapped="total_mapped_file",
)
VERSION_2 = _Version(
    mount="sys/fs/cgroup",
    limits=("memory.max", "memory.high"),
    usage="memory.current",
    files=("active_file", "inactive_file"),
    mapped="file_mapped",
)

NO_LIMIT = 2**60
"""Version 1 has no word for a group without a limit, but a number that is larger than any memory."""


def available() -> int:
    """Bytes that this process may still take: what is free on this machine, or what a limit leaves if less."""
    limits = (left_in_container(), left_by_ulimit())
    return min([psutil.virtual_memory().available, *(left for left in limits if left is not None)])


def left_by_ulimit() -> int | None:
    """Bytes that the limits of this process alone, `ulimit -d` and `-v`, leave it; None where it has none.

    Near such a limit it would not be Python that fails, but whichever library needs a thread or a buffer next.
    """
    if sys.platform != "linux":
        return None
    import resource

    used = psutil.Process().memory_info()
    limits = {resource.RLIMIT_DATA: used.data, resource.RLIMIT_AS: used.vms}
    left = [(resource.getrlimit(limit)[0], taken) for limit, taken in limits.items()]
    return min((max(most - taken, 0) for most, taken in left if most != resource.RLIM_INFINITY), default=None)


def left_in_container(root: Path = ROOT) -> int | None:
    """Bytes that the control groups of this process leave it; None where none of them has a limit.

    root: the folder in which `proc` and `sys` lie. A process is held by its own group and by all that this one lies in.
    """
    left = [_left_in(group, version) for group, version in _groups(root)]
    return min((max(bytes_left, 0) for bytes_left in left if bytes_left is not None), default=None)


def _groups(root: Path) -> Iterator[tuple[Path, _Version]]:
    """The groups that count the memory of this process: its own, and those above it up to where they are mounted.

    In most containers the group is mounted as if it were the uppermost, under a path that is not there; then the
    mount itself counts.
    """
    with suppress(OSError):  # no Linux
        for line in (root / "proc/self/cgroup").read_text("utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            version = VERSION_1 if controllers else VERSION_2
            mount = root / version.mount
            own = mount / path.strip("/")
            if ".." in own.parts or not own.is_dir():
                own = mount
            yield from ((group, version) for group in (own, *own.parents) if group.is_relative_to(mount))


def _left_in(group: Path, version: _Version) -> int | None:
    """What a group's limit leaves, None where it has none. Files that are only kept in case they are read again do
    not count: they make room for anything else. Those that a program has mapped, like its libraries, do."""
    limits = [_number(group / name) for name in version.limits]
    limit = min((limit for limit in limits if limit is not None and limit < NO_LIMIT), default=None)
    usage = _number(group / version.usage)
    if limit is None or usage is None:
        return None
    stat = _stat(group)
    unmapped = sum(stat.get(name, 0) for name in version.files) - stat.get(version.mapped, 0)
    return limit - usage + max(unmapped, 0)


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text("utf-8"))
    except (OSError, ValueError):  # "max" is no limit
        return None


def _stat(group: Path) -> dict[str, int]:
    with suppress(OSError, ValueError):
        return {
            name: int(value) for name, value in map(str.split, (group / "memory.stat").read_text("utf-8").splitlines())
        }
    return {}


MEND = "Close other programs, or choose a smaller model."


def check(needed: int, purpose: str, free: int | None = None, mend: str = MEND) -> None:
    """Raise `OutOfMemory` unless `needed` bytes are free for `purpose`, a phrase like "training gpt2".

    free: bytes; what is free now, unless given. mend: what the user can do about it.
    """
    free = available() if free is None else free
    if needed > free:
        raise OutOfMemory(
            f"{purpose[0].upper()}{purpose[1:]} needs about {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB is free. {mend}"
        )


def end_first() -> None:
    """Have Linux end this process before others that take as much, should memory run out all the same."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500", "utf-8")


def give_back() -> None:
    """Hand memory that was freed back to the machine. The C library of Linux keeps it for the next time, in pieces
    that may not fit what comes; elsewhere nothing happens."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library than GNU's
            ctypes.CDLL(None).malloc_trim(0)
