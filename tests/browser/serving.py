"""Servers that show a notebook, for one test or for many.

In: how one is started, and how its address looks. Out: the address, once it is there; afterwards the server is ended
with all that it started. Knows nothing about what is on its pages.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SECONDS = 60
"""How long a server may take until its log has its address."""


@contextmanager
def serving(
    command: str | Sequence[str | Path], log: Path, address: str, **options: Any
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start a server that writes into `log`; gives its address and its process.

    address: a regular expression. options: those of `subprocess.Popen`.
    """
    with open(log, "w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, **options)
        try:
            yield _address_in(log, address, server), server
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)


def _address_in(log: Path, address: str, server: subprocess.Popen) -> str:
    deadline = time.monotonic() + SECONDS
    while not (found := re.search(address, log.read_text())):
        assert time.monotonic() < deadline and server.poll() is None, f"It did not start: {log.read_text()}"
        time.sleep(0.1)
    return found[0]
