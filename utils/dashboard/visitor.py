"""Who is looking at the page, and the folder that is theirs alone.

In: a token that the visitor's browser keeps. Out: a `Visitor`, whose folder holds their uploads, runs, bots and the
drafts that they kept; after a reload it is the same one. Nobody can come to another's: the folder's name is a digest
of a secret of 128 bits, and no widget shows it.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import anywidget
import traitlets

from utils import environment
from utils.atomic import replacing_file
from utils.errors import BadReference

ASSETS = Path(__file__).parent / "assets"

KEPT = "kept.jsonl"

_TOKEN = re.compile(r"[0-9a-f]{32}")


class _Memory(anywidget.AnyWidget):
    """Keeps the token in the browser, and gives the one that was kept there before."""

    _esm = ASSETS / "visitor.js"
    proposed = traitlets.Unicode().tag(sync=True)
    token = traitlets.Unicode().tag(sync=True)


class Visitor:
    """One browser, and its folder."""

    def __init__(self) -> None:
        self._token = secrets.token_hex(16)
        self.widget = _Memory(proposed=self._token)

    def when_known(self, action: Callable[[], None]) -> None:
        """Call `action` once the browser has said who it is."""

        def heard(change: dict) -> None:
            if _TOKEN.fullmatch(change["new"]):
                self._token = change["new"]
                if environment.is_public():  # who paid for posts with a key does not share them with strangers
                    environment.keep_posts_in(self.folder / "posts")
                action()

        self.widget.observe(heard, "token")

    @property
    def folder(self) -> Path:
        """The visitor's folder, made when it is first asked for; nobody else on this machine may look into it."""
        name = hashlib.sha256(self._token.encode()).hexdigest()[:32]
        folder = _all_folders() / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def kept(self) -> list[dict[str, str]]:
        """The drafts that were kept, `post` and `text` of each; a line that is damaged is left out."""
        drafts = []
        for line in self._kept_lines():
            with suppress(ValueError, TypeError, LookupError, RecursionError):
                draft = json.loads(line)
                drafts.append({name: "" + draft[name] for name in ("post", "text")})
        return drafts

    def keep(self, draft: dict[str, str]) -> None:
        """Keep one more."""
        self._write_kept([*self._kept_lines(), json.dumps(draft)])

    def let_go(self, draft: dict[str, str]) -> None:
        """Keep this one no longer."""
        lines, gone = self._kept_lines(), json.dumps(draft)
        if gone in lines:
            lines.remove(gone)
        self._write_kept(lines)

    def _kept_lines(self) -> list[str]:
        try:
            return [line for line in (self.folder / KEPT).read_text("utf-8", "replace").split("\n") if line]
        except FileNotFoundError:
            return []

    def _write_kept(self, lines: Sequence[str]) -> None:
        with replacing_file(self.folder / KEPT) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), "utf-8")

    def check(self, reference: str) -> None:
        """Raise `BadReference` for a path that is not for this visitor.

        Whoever serves the page to others sets HUGGINGTWEETS_PUBLIC=1; then no path on the server is theirs.
        """
        path = environment.find_path(reference.strip()) if reference.strip() else None
        if not path or path.resolve().is_relative_to(self.folder.resolve()):
            return
        if environment.is_public() or path.resolve().is_relative_to(_all_folders().resolve()):
            raise BadReference("Files on the server are closed to the page. Choose the file below to upload it.")


def _all_folders() -> Path:
    return environment.cache_folder() / "visitors"
