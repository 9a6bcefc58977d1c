"""Keep it up to date: look for new posts of the bot's authors, and train it on them.

In: the bot at hand. Out: the same bot, better or as it was. Knows nothing about how that is decided: it
shows the events of `python -m utils update`.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from utils.bot import read_origin
from utils.dashboard import worker
from utils.dashboard.region import Progress, Region, button, row
from utils.dashboard.runs import ChildFailed, Problem, Run, unused
from utils.dashboard.visitor import Visitor
from utils.settings import UPDATE_SETTINGS


class UpdateRegion(Region):
    """A button, its progress, and what came of it."""

    TITLE = "Keep it up to date"
    SENTENCE = (
        f"Authors go on posting, and the bot can go on learning, for about {UPDATE_SETTINGS.minutes:g} minutes at a "
        "time. The new version stays only if it forgets no more than it learns."
    )
    CLOSED = "There is no bot yet."
    UPLOADS = (
        "A file that you uploaded stays as it was: read the newer one in part 1, and come back to “Learn from part 1”."
    )

    UNKNOWN = (
        "This bot does not know where its posts came from: read them in part 1 once, and press “Learn from part 1”."
    )

    def __init__(
        self,
        visitor: Visitor,
        before: Callable[[], None],
        on_update: Callable[[Path], None],
        references: Callable[[], Sequence[str]],
    ) -> None:
        super().__init__()
        self._visitor, self._before, self._on_update, self._references = visitor, before, on_update, references
        self._bot: Path | None = None
        self._run: Run | None = None
        self._asked_to_stop = False
        self._look = button("Look for new posts", "Look where the bot’s posts came from, and learn from new ones")
        self._learn = button("Learn from part 1", "Look for new posts among those that were read in part 1")
        self._stop = button("Stop", "Learn no more; what was learned so far is judged")
        self._stop.disabled = True
        self._progress = Progress("Updating the bot")
        self.body.children = [row(self._look, self._learn, self._stop), self._progress.widget, self.status.widget]
        self.controls = [self._look, self._learn]
        self.on_click(self._look, self.start)
        self.on_click(self._learn, self.learn)
        self.on_click(self._stop, self.stop)
        self.close(self.CLOSED)

    def offer(self, bot: Path) -> None:
        """Open for the bot at hand. An update that is going on is left alone."""
        self._bot = bot
        if not self.is_going:
            self.status.clear()
        self.open()

    @property
    def is_going(self) -> bool:
        """Whether an update is going on."""
        return bool(self._run and self._run.is_going())

    def start(self, references: Sequence[str] = ()) -> None:
        """Start the child process and watch it."""
        if not references and read_origin(self._bot) is None:
            self.status.say(self.UNKNOWN, "warning")
            return
        self._before()
        folder = self._visitor.folder / "updates" / time.strftime("%Y%m%d-%H%M%S")
        self.watch(Run.start_update(unused(folder), self._bot, references, UPDATE_SETTINGS.minutes))

    def learn(self) -> None:
        """Look for new posts among those of part 1."""
        references = self._references()
        if not references:
            self.status.say("There are no posts in part 1; read an author or a file there first.", "warning")
            return
        self.start(references)

    def resume(self) -> None:
        """Find an update that was started before the page was loaded anew, and whose end nobody saw."""
        run = Run.newest(self._visitor.folder / "updates")
        if run and not run.seen:
            self.watch(run)

    def watch(self, run: Run) -> None:
        """Show an update from its beginning to its end."""
        self._run, self._asked_to_stop = run, False
        self.open()
        self.freeze()
        self._stop.disabled = False
        self.say_how_to_stop()
        worker.start(self.guarded(self._follow))

    def stop(self) -> None:
        """Ask the update to end; what it has learned so far is judged as ever."""
        self._stop.disabled = True
        self._asked_to_stop = True
        self._run.stop()

    def _follow(self) -> None:
        try:
            self._progress.show(None, "Looking for new posts")
            for event in self.hear(self._run, self.stop):
                self._progress.show(event["fraction"], event["sentence"])
            report = self._run.report()
            if report["updated"]:
                self._on_update(Path(report["bot"]))
            self.status.say(self._summary(report), "good" if report["updated"] else "note")
        except (Problem, ChildFailed):  # which one depends on how far it had come
            if not self._asked_to_stop:
                raise
            self.status.say("Stopped before anything was learned; the bot is as it was.", "warning")
        finally:
            self._run.mark_as_seen()
            self._progress.hide()
            self._stop.disabled = True
            self.unfreeze()

    def _summary(self, report: dict[str, Any]) -> str:
        origin = read_origin(Path(report["bot"]))
        uploads = [text for text in origin.references if text.startswith(str(self._visitor.folder.resolve()))]
        hint = [self.UPLOADS] if uploads and not report["new_posts"]["found"] else []
        return " ".join([report["reason"], *report["warnings"], *report["remarks"], *hint])
