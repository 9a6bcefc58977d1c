"""One process at a time.

In: a lock file. Out: a block in which no other process is that holds the same file. Knows nothing about what is
done there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_BETWEEN_WORDS = 0.5


@contextmanager
def held(lock: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file; `on_wait` is called twice a second while another process has it. Raises `OSError`."""
    from filelock import FileLock, Timeout

    turn = FileLock(lock)
    while not turn.is_locked:
        try:
            turn.acquire(timeout=SECONDS_BETWEEN_WORDS)
        except Timeout:
            on_wait()
    try:
        yield
    finally:
        turn.release()
