"""Files from the visitor's computer: only the parts with posts of an archive travel.

In: what the browser sends, piece by piece. Out: a path in the visitor's folder. The browser itself looks
into a zip, reads its directory, and unpacks and sends the members that hold posts; messages, pictures and
everything else never leave the visitor's computer. Where the component cannot run, a plain upload takes
files that are small enough.
"""

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from utils.dashboard.region import fold
from utils.dashboard.visitor import ASSETS, Visitor
from utils.errors import BadFile
from utils.timelines import archive, exports
from utils.timelines.containers import MAXIMUM_BYTES

MEMBERS = [pattern.pattern for pattern in (*archive.MEMBERS, *exports.MEMBERS)]
"""Names of the members that are sent, as expressions that Python and JavaScript read alike."""

MOST_FILES = 1000

_PLAIN_NAME = re.compile(r"[^/\\\x00-\x1f]{1,150}")


class _Picker(anywidget.AnyWidget):
    """The browser's side: chooses files, looks into zips, sends pieces and waits for each to be taken."""

    _esm = ASSETS / "upload.js"
    members = traitlets.List(MEMBERS).tag(sync=True)
    disabled = traitlets.Bool(False).tag(sync=True)


class Upload:
    """Where files are chosen; `on_files` is called with the path of what came, `on_error` with what went wrong."""

    def __init__(
        self, visitor: Visitor, on_files: Callable[[Path], None], on_error: Callable[[Exception], None]
    ) -> None:
        self._visitor, self._on_files, self._on_error = visitor, on_files, on_error
        self._picker = _Picker()
        self._picker.on_msg(self._heard)
        plain = widgets.FileUpload(multiple=True, description="Choose small files")
        plain.observe(self._plain, "value")
        note = widgets.HTML(
            '<p class="ht-note">Of an X archive, unpack the zip and choose <code>data/tweets.js</code> in it; '
            "files of up to 10 MB come through here.</p>"
        )
        self.controls = [self._picker, plain]
        self.widget = widgets.VBox([self._picker, fold("If choosing a file above does not work", plain, note)])
        self._folder: Path | None = None
        self._sent = 0
        self._files: set[Path] = set()

    def _heard(self, _: Any, content: dict[str, Any], buffers: list) -> None:
        try:
            answer = self._take(content, buffers)
        except Exception as error:  # noqa: BLE001  a comm would lose it
            self._forget()
            self._picker.send({"type": "refused"})
            self._on_error(error)
        else:
            self._picker.send({"type": "taken"})
            if answer:
                self._on_files(answer)

    def _take(self, content: dict[str, Any], buffers: list) -> Path | None:
        """One message of the browser: begin, a piece of a file, done, or a problem. Returns the path at the end."""
        kind = content.get("type")
        if kind == "begin":
            uploads = self._visitor.folder / "uploads"
            self._folder = next(path for n in itertools.count(1) if not (path := uploads / str(n)).exists())
            self._folder.mkdir(mode=0o700, parents=True)
            self._sent, self._files = 0, set()
        elif kind == "piece":
            self._write(content, b"".join(bytes(buffer) for buffer in buffers))
        elif kind == "cancelled":
            self._forget()
        elif kind == "problem":
            raise BadFile(str(content.get("sentence"))[:500])
        elif kind == "done":
            return self._result()
        return None

    def _forget(self) -> None:
        """Delete what came of an upload that was broken off."""
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def _write(self, content: dict[str, Any], piece: bytes) -> None:
        if self._folder is None:
            raise BadFile("The upload was broken off. Choose the file again.")
        path = self._folder / safe_name(str(content["file"]))
        if content.get("member"):
            path = path.with_suffix("") / safe_member(str(content["member"]))
        self._sent += len(piece)
        self._files.add(path)
        if self._sent > MAXIMUM_BYTES or len(self._files) > MOST_FILES:
            raise BadFile("That is more than any archive of posts holds. Choose the file of posts alone.")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(path, "ab" if content.get("at") else "wb") as file:
            file.write(piece)

    def _result(self) -> Path:
        inside = list(self._folder.iterdir()) if self._folder else []
        if not inside:
            raise BadFile("Nothing was sent. Choose the file again.")
        return inside[0] if len(inside) == 1 else self._folder

    def _plain(self, change: dict[str, Any]) -> None:
        """Files of the plain upload: a dict by name in ipywidgets 7, a tuple in 8."""
        value = change["new"]
        if not value:
            return
        files = value.items() if isinstance(value, dict) else [(item["name"], item) for item in value]
        try:
            self._take({"type": "begin"}, [])
            for name, item in files:
                self._take({"type": "piece", "file": name}, [item["content"]])
            path = self._result()
        except Exception as error:  # noqa: BLE001  a callback would lose it
            self._on_error(error)
        else:
            self._on_files(path)


def safe_name(name: str) -> str:
    """The name of a file without any folder. Raises `BadFile` for one that is none."""
    name = name.replace("\\", "/").rpartition("/")[2].strip().lstrip(".")
    if not _PLAIN_NAME.fullmatch(name):
        raise BadFile("The file has a name that cannot be used here. Rename it and choose it again.")
    return name


def safe_member(name: str) -> str:
    """The name of a member that may hold posts, which leads into no other folder. Raises `BadFile`."""
    parts = name.split("/")
    if ".." in parts or "" in parts or not any(re.fullmatch(pattern, name) for pattern in MEMBERS):
        raise BadFile("The archive has a part that was not asked for.")
    return name
