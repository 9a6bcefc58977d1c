"""Work beside the page, where the notebook's home allows it.

In: a function. Out: nothing; it runs in a thread, or, in Colab, at once: Colab does not deliver what a
thread writes to a widget (googlecolab/colabtools issues), so there the click's own callback does the work.
Nothing else on the page knows the difference.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from utils import environment

DOUBLE_CLICK = 0.5
"""Seconds; a click sooner than this after one that changed what is asked is its second half, and answers nothing."""

_ended = -DOUBLE_CLICK


def start(work: Callable[[], None]) -> None:
    """Run `work`, which catches its own errors."""
    global _ended
    if not environment.in_colab():
        threading.Thread(target=work, daemon=True).start()
        return
    try:
        work()
    finally:
        _ended = time.monotonic()


def is_late_click() -> bool:
    """Whether a click that comes now was made while work went on: in Colab it waits for the end of that."""
    return environment.in_colab() and time.monotonic() - _ended < DOUBLE_CLICK


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """In Colab, where no other button is heard meanwhile, an interrupt of the notebook calls `stop`."""
    if not environment.in_colab():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
