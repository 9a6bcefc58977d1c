"""A zip, a folder or a single file: names of what is inside, and streams that stay within bounds.

In: a path. Out: a `Container`, whose members are opened one at a time where they are: nothing is ever
unpacked to disk, and what is not opened is not touched. Every way in which a zip can be broken becomes
a `BadFile`. Knows nothing about posts.
"""

import io
import lzma
import os
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import BadFile
from utils.events import Event, OnEvent, ignore

MAXIMUM_BYTES = 2 << 30
"""Members that unpack to more than this, all together, are refused: 200,000 long posts are a seventh of it."""

MOST_NAMES = 1_000_000
"""Files in a folder that are looked at, by name only; an archive has one for each picture."""

DEEPEST = 5
"""Folders within a folder that are looked into: the oldest archives keep posts in data/js/tweets."""

SECONDS_BETWEEN_NEWS = 0.1


class Container:
    """What the posts come in. `name` is for people; `names` are paths inside, with slashes.

    stem: what an author is called of whom nobody says the name; no "@", which would make a handle of it.
    """

    def __init__(self, path: Path, on_event: OnEvent = ignore) -> None:
        self.path, self.name = path, _printable(path.resolve().name or str(path))
        self.stem = _printable(path.stem).lstrip("@＠") or "posts"
        self.names: list[str] = []
        self._on_event = on_event
        self._left = MAXIMUM_BYTES

    def open(self, name: str) -> io.BufferedReader:
        """A member as a stream of bytes that tells its progress. Raises `BadFile` past `MAXIMUM_BYTES`."""
        raw, size = self._raw(name)
        if size > self._left:
            raise BadFile(_too_large(name, self.name))
        return io.BufferedReader(_Watched(raw, size, name, self), 1 << 18)

    def _raw(self, name: str) -> tuple[io.IOBase, int]:
        raise NotImplementedError


def _printable(name: str) -> str:
    """The name of a file with U+FFFD for bytes that are not UTF-8, as old disks and zips have them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class _Zip(Container):
    def __init__(self, path: Path, on_event: OnEvent) -> None:
        super().__init__(path, on_event)
        self._zip = zipfile.ZipFile(path)
        # Some programs for Windows write backslashes.
        self._written = {name.replace("\\", "/"): name for name in self._zip.namelist()}
        self.names = list(self._written)

    def _raw(self, name: str) -> tuple[io.IOBase, int]:
        return self._zip.open(self._written[name]), self._zip.getinfo(self._written[name]).file_size


class _Folder(Container):
    def __init__(self, path: Path, on_event: OnEvent) -> None:
        super().__init__(path, on_event)
        os.listdir(path)  # os.walk would pass over a folder that may not be listed
        for folder, inner, files in os.walk(path):
            inside = Path(folder).relative_to(path)
            self.names += [(inside / file).as_posix() for file in files]
            # Pictures and videos are most of an archive, and never needed.
            inner[:] = [name for name in inner if not name.endswith("_media")] if len(inside.parts) < DEEPEST else []
            if len(self.names) > MOST_NAMES:
                raise BadFile(f"{path} holds more than {MOST_NAMES:,} files. Give the folder of one archive.")
        self.names.sort()

    def _raw(self, name: str) -> tuple[io.IOBase, int]:
        return _open_file(self.path / name)


class _File(Container):
    def __init__(self, path: Path, on_event: OnEvent) -> None:
        super().__init__(path, on_event)
        self.names = [path.name]

    def _raw(self, name: str) -> tuple[io.IOBase, int]:
        return _open_file(self.path)


def _open_file(path: Path) -> tuple[io.IOBase, int]:
    _check_is_file(path)
    file = open(path, "rb")  # noqa: SIM115  closed with the stream around it
    return file, os.fstat(file.fileno()).st_size


def _check_is_file(path: Path) -> None:
    """Raise `BadFile` for a device or a pipe, which may never end."""
    if path.exists() and not path.is_file():
        raise BadFile(f"{path.name} is not a file that can be read from beginning to end. Save it as one.")


class _Watched(io.RawIOBase):
    """Counts what is read from a stream, so that it can say how far it is and stop at the limit."""

    def __init__(self, raw: io.IOBase, size: int, name: str, container: Container) -> None:
        self._raw, self._size, self._name, self._container = raw, size, name, container
        self._read, self._told = 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer. Raises `BadFile` where the container has given all that it may."""
        count = self._raw.readinto(buffer)
        self._read += count
        self._container._left -= count
        if self._container._left < 0:
            raise BadFile(_too_large(self._name, self._container.name))
        if (now := time.monotonic()) - self._told > SECONDS_BETWEEN_NEWS:
            self._told = now
            fraction = min(1.0, self._read / self._size) if self._size else None
            self._container._on_event(Event("stage", f"Reading {self._name}", fraction))
        return count

    def close(self) -> None:
        """Close the stream below as well."""
        if not self.closed:
            self._raw.close()
        super().close()


def _too_large(name: str, container: str) -> str:
    limit = f"{MAXIMUM_BYTES >> 30} GB"
    what = name if name == container else f"{name} in {container}"
    return f"{what} unpacks to more than {limit}; that is no file of posts. Was another file meant?"


@contextmanager
def opened(path: Path, on_event: OnEvent = ignore, single: bool = False) -> Iterator[Container]:
    """The container at `path`: a folder, a zip by its name or its first bytes, or else a single file.

    single: what is wanted is a file of text; a zip under such a name is refused.

    Raises `BadFile`, also for what comes up while the block reads.
    """
    name = path.name or str(path)
    container: Container | None = None
    try:
        if path.is_dir():
            container = _Folder(path, on_event)
        elif path.suffix.lower() == ".zip" or begins_like_a_zip(path):
            if single:
                raise BadFile(f"{name} is a zip under another name, perhaps of a spreadsheet. Save it as .csv.")
            container = _Zip(path, on_event)
        else:
            container = _File(path, on_event)
        yield container
    except NotImplementedError as error:
        raise BadFile(
            f"{name} is packed in a way that is not read here ({error}). Unpack it and give the folder."
        ) from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise BadFile(
            f"{name} is not a whole zip file ({error}); the download may have broken off. Download it again."
        ) from error
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise BadFile(f"{name} is locked with a password. Unpack it yourself and give the folder instead.") from error
    except (OSError, ValueError) as error:
        raise BadFile(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    finally:
        if isinstance(container, _Zip):
            container._zip.close()


def begins_like_a_zip(path: Path) -> bool:
    """Whether the first bytes are those of a zip. Raises `BadFile` for what is no file."""
    _check_is_file(path)
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"PK\x03\x04"
    except OSError as error:
        raise BadFile(f"{path.name} cannot be read: {error.strerror}.") from error
