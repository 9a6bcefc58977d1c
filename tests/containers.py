"""Real control groups, by which Linux holds all the processes of a container to their memory.

In: a number of bytes. Out: a group that processes can be started in. Knows nothing about what they do.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

GIB = 2**30

MOUNTS = {  # version 1 and 2: where groups are made, and the file with the limit
    Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes",
    Path("/sys/fs/cgroup"): "memory.max",
}


@contextmanager
def group(limit: int) -> Iterator[Path]:
    """A real group of processes that may take so many bytes together; skips where none can be made."""
    mount = next((mount for mount in MOUNTS if (mount / "memory.stat").exists()), Path("/sys/fs/cgroup"))
    made = mount / f"huggingtweets-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"No control group can be made here to hold the command to a limit: {error}")
    try:
        try:
            (made / MOUNTS[mount]).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"Control groups have no limits of memory here: {error}")
        yield made
    finally:
        deadline = time.monotonic() + 20
        while made.exists() and time.monotonic() < deadline:
            with suppress(OSError):  # processes that were ended are not gone at once
                made.rmdir()
                break
            time.sleep(0.2)


def entering(group: Path) -> Callable[[], None]:
    """What a process does first so that it, and all that it starts, belongs to a group: the `preexec_fn` of Popen."""

    def enter() -> None:
        (group / "cgroup.procs").write_text(str(os.getpid()))

    return enter
