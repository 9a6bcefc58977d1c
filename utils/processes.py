"""Several processes that make one bot, each on a GPU of its own, or on its part of the cores.

In: what a launcher (torchrun, accelerate launch) writes into the environment. Out: who leads, and one answer
for all. The leader does whatever a process that is alone does; the others are its helpers: silent, they wait
until it has work for all, and end when it ends, with its status. Knows nothing about what the work is.
"""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from utils.errors import ProcessLost, UserError

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(days=7)
"""How long processes wait for each other: as long as a training may take, for helpers wait while the leader fetches
posts, scores and saves. Where a process dies the others notice at once, or the launcher ends them in half a minute."""


def count() -> int:
    """How many processes make a bot together; 1 where no launcher started this one."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def number() -> int:
    """Which one of them this is, from 0, the leader."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def number_here() -> int:
    """Which one it is of those on this machine, from 0: the number of its GPU."""
    return int(os.environ["LOCAL_RANK"]) if count() > 1 else 0


def count_here() -> int:
    """How many of them are on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if count() > 1 else 1


@contextmanager
def together(get_ready: Callable[[], None]) -> Iterator[None]:
    """Only the leader enters the block. Helpers help until it leaves it, and end with its exit status.

    get_ready: what helpers do while they are not needed yet.
    """
    if count() == 1:
        yield
        return
    _open()
    if number() > 0:
        _help(get_ready)
    status = 1
    atexit.register(lambda: _leave(status))  # what registers later comes before it
    try:
        yield
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    finally:
        with suppress(ProcessLost):
            share(status)
            _close()


def call_helpers(work: Callable[..., None], *arguments: Any) -> None:
    """Have every helper begin this work. The leader goes on at once, with its own part of it."""
    share((work, arguments))


def share(value: Any) -> Any:
    """The leader's value, in all processes. Each has to call this equally often; those that are early wait."""
    if count() == 1:
        return value
    from torch import distributed

    box = [value]
    with losses_in_words():
        distributed.broadcast_object_list(box, src=0)
    return box[0]


def average(value: "torch.Tensor") -> "torch.Tensor":
    """The mean of all processes' values, in all of them."""
    if count() == 1:
        return value
    from torch import distributed

    total = value.clone()
    distributed.all_reduce(total)
    return total / count()


@contextmanager
def losses_in_words() -> Iterator[None]:
    """Turn what PyTorch raises when another process is gone into `ProcessLost`; everything else passes through."""
    try:
        yield
    except RuntimeError as error:
        if count() > 1 and any(sign in str(error).lower() for sign in ("gloo", "nccl", "connection")):
            raise ProcessLost(
                f"One of the {count()} processes that were making this bot has ended, and none can go on without it. "
                "What it said stands above; or start fewer, for memory may have run out."
            ) from error
        raise


def _help(get_ready: Callable[[], None]) -> NoReturn:
    """Do what the leader asks for, until it says how this ended."""
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, signal.SIG_IGN)  # the leader gets it, too, and decides
    try:
        get_ready()
        while not isinstance(order := share(None), int):
            work, arguments = order
            work(*arguments)
        _close()
    except ProcessLost:
        order = 1  # whoever is left has a sentence, or the launcher
    except UserError as error:
        print(error, file=sys.stderr)
        order = 1
    _leave(order)


def _open() -> None:
    """Let the processes hear each other: words over gloo, what GPUs have learned over NCCL.

    First of all, and with a Ctrl-C that ends the process: half opened, it could not be opened again.
    """
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)
    import torch

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    signal.signal(signal.SIGINT, on_interrupt)


def _leave(status: int) -> NoReturn:
    """End this process now, past the destructors of PyTorch's C++ parts: once in some dozens of trainings, a thread of
    the group was still there in spite of `_close`, and the process was aborted after all was done."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(status)


def _close() -> None:
    from torch import distributed

    gc.collect()  # a Trainer refers to itself, and to the group, whose threads would be left at the end
    distributed.destroy_process_group()
