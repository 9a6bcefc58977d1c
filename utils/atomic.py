"""Folders and files that appear whole or not at all.

In: what is to exist, and a block that fills it. Out: the old one or the new one, whenever the process is killed.
Knows nothing about what is in it.
"""

import ctypes
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STALE_SECONDS = 24 * 3600
"""What a killed process left half-written is removed by the next one after this long."""


@contextmanager
def replacing_folder(target: Path, before: Path | None = None) -> Iterator[Path]:
    """Yield an empty folder beside `target`; when the block ends well, it takes the target's place.

    before: where the target as it was is kept, in place of what was there. If the block raises, the target
    stays as it was and nothing is left behind. Raises `OSError` where the disk is full or the parent
    cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(target)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        yield staging
        staging.chmod(0o777 & ~_umask())  # as any new folder; a temporary one is its owner's alone
        for path in [staging, *staging.rglob("*")]:
            _flush(path)
        if before and target.exists():
            _keep(target, before)
        _take_place(staging, target)
        _flush(target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield the path of a file beside `target`; when the block ends well, it takes the target's place.

    Raises `OSError` where it cannot be written; the target is then as it was, and nothing is left behind.
    """
    _remove_stale(target)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        with suppress(OSError):
            partial.unlink()


def recover(target: Path) -> None:
    """Put the old folder back if a process was killed between the two renames of `_take_place`."""
    left = sorted(target.parent.glob(f".{target.name}.*.old"), key=lambda path: path.stat().st_mtime)
    if left and not target.exists():
        with suppress(OSError):
            left[-1].rename(target)


def swap_folders(one: Path, other: Path) -> None:
    """Let two folders change places; where the system cannot do that in one step, `recover(one)` mends a half."""
    if not _exchange(one, other):
        aside = Path(tempfile.mkdtemp(prefix=f".{one.name}.", suffix=".old", dir=one.parent))
        aside.rmdir()  # only its name was wanted
        one.rename(aside)
        other.rename(one)
        aside.rename(other)
    _flush(one.parent)


def _keep(target: Path, before: Path) -> None:
    """Have a folder twice. Its files are never written to, only replaced, so links will do where they can be made."""

    def link(source: str, copy: str) -> None:
        try:
            os.link(source, copy)
        except OSError:
            shutil.copy2(source, copy)

    with replacing_folder(before) as staging:
        shutil.copytree(target, staging, copy_function=link, dirs_exist_ok=True)


def _take_place(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
    elif not _exchange(staging, target):
        old = staging.with_suffix(".old")
        target.rename(old)
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step, as Linux (`renameat2`) and macOS (`renamex_np`) can; False elsewhere."""
    try:
        libc = ctypes.CDLL(None)
        if sys.platform == "linux":
            here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of <fcntl.h>
            return libc.renameat2(here, bytes(one), here, bytes(other), exchange) == 0
        return libc.renamex_np(bytes(one), bytes(other), 2) == 0  # RENAME_SWAP of <stdio.h>
    except (OSError, TypeError, AttributeError):
        return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _flush(path: Path) -> None:
    """Have the disk hold what was written, so that a power cut after the rename loses nothing."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(target: Path) -> None:
    for path in target.parent.glob(f".{target.name}.*.partial"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
