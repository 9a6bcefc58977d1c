"""Keep it: download the bot, put it on the Hub, or open an earlier one.

In: the visitor's folder and the bot at hand. Out: a zip without the author's posts, or an earlier bot.
Knows nothing about what is in a bot.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from utils import environment
from utils.bot import is_version_before, read_story
from utils.dashboard import worker
from utils.dashboard.publish import PublishRegion
from utils.dashboard.region import Progress, Region, Status, button, labelled, row
from utils.dashboard.visitor import ASSETS, Visitor
from utils.errors import BadBot, UserError
from utils.sharing import Maker, completed, files, shared_name, write_zip
from utils.timelines import shelf

PIECE = 1 << 22


class _Download(anywidget.AnyWidget):
    """The browser's side: asks for one piece after the other, and saves them as a file."""

    _esm = ASSETS / "download.js"
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int().tag(sync=True)


class KeepRegion(Region):
    """A download, and the bots of this visitor."""

    TITLE = "Keep it"
    SENTENCE = "Take the bot with you, or come back to an earlier one. The posts it learned from stay here."
    CLOSED = "There is no bot yet."
    DELETE = "Delete my posts and bots"
    REALLY = "Really delete all of them?"

    def __init__(
        self,
        visitor: Visitor,
        on_bot: Callable[[Path], None],
        is_training: Callable[[], bool],
        forget_bot: Callable[[], None],
    ) -> None:
        super().__init__()
        self._visitor, self._on_bot = visitor, on_bot
        self._is_training, self._forget_bot = is_training, forget_bot
        self._bot: Path | None = None
        self._zip: Path | None = None
        self._asked_to_delete = 0.0
        self._pack = button("Pack the bot", "Make a zip of the bot, without the posts it learned from")
        self._download = _Download()
        self._download.layout.display = "none"
        self._download.on_msg(self._asked)
        self._earlier = labelled(widgets.Dropdown(options=[], description="An earlier bot"))
        self._open_earlier = button("Open it", "Write with this bot")
        self._progress = Progress("Packing the bot")
        self.hub = PublishRegion()
        self._choice = widgets.VBox([self._earlier, row(self._open_earlier)])
        self.body.children = [
            row(self._pack, self.hub.unfold_button), self._progress.widget, self._download, self.hub.body, self._choice,
            self.status.widget,
        ]  # fmt: skip
        self._delete = button(self.DELETE, "Delete all that this page keeps for you: uploads, posts, bots and drafts")
        self.deleting = Status()
        # Also where there is no bot: uploads may be there.
        self.widget.children = (*self.widget.children, row(self._delete), self.deleting.widget)
        self.on_click(self._delete, self.delete)
        self.controls = [self._pack, self._earlier, self._open_earlier, self._delete]
        self.on_click(self._pack, self.pack)
        self.on_click(self._open_earlier, lambda: self._on_bot(self._visitor.folder / "bots" / self._earlier.value))
        self.close(self.CLOSED)

    def bots(self) -> list[Path]:
        """The visitor's bots, the newest first."""
        found = []
        for path in (self._visitor.folder / "bots").glob("*/bot.json"):
            half_written = path.parent.name.startswith(".")  # by a process that was killed
            if half_written or is_version_before(path.parent):
                continue
            try:
                read_story(path.parent)
            except UserError:
                continue
            found.append(path)
        return [path.parent for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]

    def offer(self, bot: Path | None) -> None:
        """Open for the bot at hand, and list the others."""
        self._bot = bot
        self._delete.description = self.DELETE
        self._download.layout.display = "none"
        self.status.clear()
        self.deleting.clear()
        there = self.bots()
        self._earlier.options = names = [path.name for path in there]
        self._earlier.value = next((name for name in names if not bot or name != bot.name), names[0] if names else None)
        self._choice.layout.display = "" if len(there) > 1 or there and not bot else "none"
        self._pack.layout.display = "" if bot else "none"
        self.hub.offer(bot)
        if there or bot:
            self.open()
        else:
            self.close(self.CLOSED)

    def delete(self) -> None:
        """Delete the visitor's folder; asks once before it does."""
        self.deleting.clear()
        if self._delete.description != self.REALLY:
            self._delete.description, self._asked_to_delete = self.REALLY, time.monotonic()
            return
        if time.monotonic() - self._asked_to_delete < worker.DOUBLE_CLICK:
            return
        self._delete.description = self.DELETE
        if self._is_training() or self.hub.busy:
            what = "A training" if self._is_training() else "An upload"
            self.deleting.say(f"{what} is going on; stop it first.", "warning")
            return
        self._forget_bot()
        shutil.rmtree(self._visitor.folder)
        self.freeze()
        said = "All that was yours here is deleted."
        if not environment.is_public() and shelf.everything():  # that serves the command line, too
            said += " What was fetched by handle stays on the shelf; `python -m utils shelf --clear` takes it off."
        self.deleting.say(f"{said} Reload the page to begin anew.", "good")

    def pack(self) -> None:
        """Make the zip, beside the page, and offer it."""
        self.work(self._make_zip, self._progress)

    def _make_zip(self) -> None:
        bot = self._bot
        name = shared_name(read_story(bot).authors)
        target = self._visitor.folder / f"{name}.zip"
        ready = files(bot, completed(bot, Maker()), name)
        write_zip(ready, name, target, lambda share: self._progress.show(share, "Packing the bot"))
        self._zip = target
        self._download.name, self._download.size = target.name, target.stat().st_size
        if environment.in_colab():
            from google.colab import files as downloads

            downloads.download(str(target))
        self._download.layout.display = ""

    def _asked(self, _: Any, content: dict[str, Any], buffers: list) -> None:
        with self.catching():
            if not self._zip or not self._zip.exists():
                self._download.send({"type": "gone"})
                raise BadBot("The packed bot is gone; pack it again.")
            with open(self._zip, "rb") as file:
                file.seek(int(content["at"]))
                self._download.send({"type": "piece", "at": int(content["at"])}, [file.read(PIECE)])
