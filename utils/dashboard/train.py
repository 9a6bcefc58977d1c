"""Part 2: train. Minutes, a model, and a child process whose progress one can watch.

In: the authors of part 1. Out: the folder of a bot. Knows nothing about how training works: it shows the
events of `python -m utils train`.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from utils import environment, tracking
from utils.dashboard import worker
from utils.dashboard.author import Author
from utils.dashboard.html import curve, escape, post, record_card
from utils.dashboard.key import KeyField
from utils.dashboard.region import Progress, Region, button, fold, labelled, row, tick
from utils.dashboard.runs import ChildFailed, Problem, Record, Run, unused
from utils.dashboard.visitor import Visitor
from utils.models import AUTO, CATALOGUE
from utils.pipeline import default_folder
from utils.settings import BINDER_MINUTES, COLAB_URL, MAXIMUM_MINUTES, TrainingSettings

SECONDS_BETWEEN_PICTURES = 0.5
"""A chart is drawn anew no more often than this; a GPU makes fifty steps in that time."""

RECORDS = [
    ("None", "off"),
    ("On this machine; it can be sent to W&B later", "offline"),
    ("On W&B (Weights & Biases), while it trains", "online"),
]

KEY_NOTE = "The key is written nowhere. Without one, the record goes to whoever is logged in on this machine."

NO_KEY = (
    "A record on W&B needs a key. Copy yours from wandb.ai/authorize into More settings, or choose a record on this "
    "machine."
)

ON_BINDER = (
    "Binder lends one processor core, so give it about ten minutes. It forgets all that you made here soon after you "
    "leave: download your bot before."
)

GPU_ELSEWHERE = "On Google Colab this page can have a GPU for free."


class TrainRegion(Region):
    """Settings, progress, two charts, and what the model writes on its way."""

    TITLE = "2. Train"
    SENTENCE = "A small language model reads the posts for a few minutes. Watch it find the voice."
    CLOSED = "This opens when there are posts to learn from: read an author above."

    def __init__(self, visitor: Visitor, before: Callable[[], None], on_bot: Callable[[Path], None]) -> None:
        super().__init__()
        self._visitor, self._before, self._on_bot = visitor, before, on_bot
        self._authors: list[Author] = []
        self._run: Run | None = None
        self._asked_to_stop = False
        defaults = TrainingSettings()
        proposed = BINDER_MINUTES if environment.in_binder() else defaults.minutes
        minutes = widgets.BoundedFloatText(proposed, min=0.5, max=MAXIMUM_MINUTES, step=0.5)
        minutes.description = "Minutes, all in all"
        self._minutes = labelled(minutes, wide=False)
        models = [(f"{name}: {entry.note}", name) for name, entry in CATALOGUE.items()]
        self._model = labelled(widgets.Dropdown(options=models, value=AUTO, description="Model to start from"))
        self._seed = labelled(
            widgets.BoundedIntText(defaults.seed, min=0, max=2**32 - 1, description="Seed"), wide=False
        )
        seed_note = widgets.HTML(
            '<p class="ht-note">The same seed, on the same machine, gives the posts the same order.</p>'
        )
        self._track = labelled(widgets.Dropdown(options=RECORDS, value="offline", description="Record of the training"))
        if not environment.is_public():
            self._track.value = tracking.default_mode()
        self._key = KeyField("Your key for W&B", "from wandb.ai/authorize")
        self._send_posts = tick("Send the posts, too")
        key_note = widgets.HTML(f'<p class="ht-note">{escape(KEY_NOTE)}</p>')
        self._online = widgets.VBox([self._key.widget, key_note, self._send_posts])
        self._track.observe(self._show_what_the_record_needs, "value")
        self._show_what_the_record_needs()
        more = fold("More settings", self._model, self._seed, seed_note, self._track, self._online)
        self._train = button("Train", "Start learning from the posts", main=True)
        self._stop = button("Stop", "End the training now and keep what was learned so far")
        self._stop.disabled = True
        self._progress = Progress("Training")
        self._charts = widgets.HTML(layout=widgets.Layout(display="none"))
        self._record = widgets.HTML()
        self._drafts = widgets.HTML()
        host_notes = [widgets.HTML(_about_binder())] if environment.in_binder() else []
        self._settings = widgets.VBox([self._minutes, *host_notes, more, row(self._train, self._stop)])
        self.body.children = [
            self._settings, self._progress.widget, self.status.widget, self._record, self._charts, self._drafts,
        ]  # fmt: skip
        self.controls = [
            self._minutes, self._model, self._seed, self._track, self._key.widget, self._send_posts, self._train,
        ]  # fmt: skip
        self.on_click(self._train, self.start)
        self.on_click(self._stop, self.stop)
        self.close(self.CLOSED)

    def offer(self, authors: Sequence[Author]) -> None:
        """Open for these authors; close where there are none. A training that is going on is left alone."""
        self._authors = list(authors)
        if self.is_training:
            return
        self._settings.layout.display = "" if self._authors else "none"
        if self._authors or self._run:  # how a training went can be read without its author, too
            self.open()
        else:
            self.close(self.CLOSED)

    def start(self) -> None:
        """Start the child process and watch it."""
        if not self._authors:
            return
        record = self._wanted_record()
        self._before()
        folder = self._visitor.folder
        bot = unused(folder / default_folder([author.posts for author in self._authors]))
        bot.mkdir(parents=True)  # taken: another tab of the same visitor looks for a name too
        references = [author.reference for author in self._authors]
        run = folder / "runs" / time.strftime("%Y%m%d-%H%M%S")
        chosen = (self._minutes.value, self._model.value, self._seed.value, record)
        self.watch(Run.start(unused(run), references, bot, *chosen))

    def _show_what_the_record_needs(self, change: object = None) -> None:
        self._online.layout.display = "" if self._track.value == "online" else "none"

    def _wanted_record(self) -> Record:
        """What was chosen."""
        mode, key = self._track.value, self._key.take()
        if mode == "online":
            own = not environment.is_public()  # else the server's own key is not the visitors'
            key = key or (own and environment.secret("WANDB_API_KEY")) or ""
            if not key and not (own and tracking.logged_in()):
                raise Problem(NO_KEY)
        return Record(mode, self._visitor.folder, key, mode == "online" and self._send_posts.value)

    def resume(self) -> None:
        """Find a training that this visitor started before the page was loaded anew, and has not seen the end of."""
        run = Run.newest(self._visitor.folder / "runs")
        if run and not run.seen:
            self.watch(run)

    @property
    def is_training(self) -> bool:
        """Whether a training of this page is going on."""
        return bool(self._run and self._run.is_going())

    def watch(self, run: Run) -> None:
        """Show a training from its beginning to its end."""
        self._run, self._asked_to_stop = run, False
        self._settings.layout.display = ""
        self.open()
        self.freeze()
        self._stop.disabled = False
        self.say_how_to_stop()
        self._record.value = ""
        worker.start(self.guarded(self._follow))

    def stop(self) -> None:
        """Ask the training to end; what it has learned is kept."""
        self._stop.disabled = True
        self._asked_to_stop = True
        self.status.say("Stopping; what was learned so far is kept.")
        self._run.stop()

    def _follow(self) -> None:
        view = _View(self._run.about)
        self._show(view, None, "Starting")
        drawn = 0.0
        try:
            for event in self.hear(self._run, self.stop):
                view.note(event)
                fast = event["event"] == "loss" and time.monotonic() - drawn < SECONDS_BETWEEN_PICTURES
                if not fast:
                    drawn = time.monotonic()
                    self._show(view, event.get("fraction"), view.sentence)
            report = self._run.report()
            self.status.say(_summary(report), "warning" if report["warnings"] else "good")
            self._record.value = record_card(report["tracking"], not environment.is_public())
            self._on_bot(Path(report["bot"]))
        except (Problem, ChildFailed):  # which one depends on how far it had come
            if not self._asked_to_stop:
                raise
            self.status.say("Stopped before the first step; there was nothing to keep yet.", "warning")
        finally:
            self._run.mark_as_seen()
            if not self._run.is_going():
                with suppress(OSError):  # what holds a bot is not empty, and stays
                    Path(self._run.about["bot"]).rmdir()
            self._progress.hide()
            self._stop.disabled = True
            self.unfreeze()
            self.offer(self._authors)

    def _show(self, view: "_View", fraction: float | None, sentence: str) -> None:
        self._progress.show(fraction, sentence)
        self._charts.value = view.charts()
        self._charts.layout.display = ""
        self._drafts.value = view.drafts()


class _View:
    """What is known of a training, as pictures."""

    def __init__(self, about: dict[str, Any]) -> None:
        self._seconds = about["minutes"] * 60
        self._losses: list[tuple[float, float]] = []
        self._validation: list[tuple[float, float]] = []
        self._drafts: list[tuple[str, str]] = []
        self.sentence = "Starting"

    def note(self, event: dict[str, Any]) -> None:
        """Take in one event of the child process."""
        kind, seconds = event["event"], event.get("seconds", 0.0)
        self.sentence = event["sentence"]
        if kind == "loss":
            self._losses.append((seconds, event["loss"]))
            if len(self._losses) > 2000:
                self._losses = self._losses[::2]
        elif kind == "validation":
            self._validation.append((seconds, event["bits_per_character"]))
        elif kind == "draft":
            self._drafts.append((event["sentence"], event["post"]))

    def charts(self) -> str:
        """Two charts over the seconds of training; room for them is there from the start."""
        untrained = self._validation[0][1] if self._validation else None
        last = max((seconds for seconds, _ in (*self._losses, *self._validation)), default=0.0)
        end = max(self._seconds * 0.8, last, 1.0)
        surprise = curve(
            self._validation, "Surprise at posts it has not seen, in bits per character (dashed: untrained)", end,
            untrained, dots=True,
        )  # fmt: skip
        loss = curve(_smooth(self._losses), "Training loss (lower is better)", end)
        return f'<div class="ht-charts">{surprise}{loss}</div>'

    def drafts(self) -> str:
        """What the model wrote so far, the newest first."""
        if not self._drafts:
            return ""
        newest, *older = [post(text, note) for note, text in reversed(self._drafts)]
        return f'<div class="ht-drafts">{newest}{"".join(older)}</div>'


def _about_binder() -> str:
    """What one should know of Binder before one trains there, and where it goes faster."""
    link = f'<a href="{escape(COLAB_URL)}" target="_blank" rel="noopener">{escape(GPU_ELSEWHERE)}</a>'
    return f'<p class="ht-note">{escape(ON_BINDER)} {link}</p>'


def _smooth(points: Sequence[tuple[float, float]], over: int = 8) -> list[tuple[float, float]]:
    """Means of so many neighbours: the loss of one batch says more about the batch than about the model."""
    return [
        (
            points[index][0],
            sum(value for _, value in points[max(0, index - over + 1) : index + 1]) / min(over, index + 1),
        )
        for index in range(len(points))
    ]


def _summary(report: dict[str, Any]) -> str:
    before, after = (report["held_out"][name] for name in ("bits_per_character_before", "bits_per_character"))
    minutes = report["seconds"]["total"] / 60
    early = " (stopped early)" if report["stopped"] else ""
    known = (
        f"it finds each letter of a new post {2 ** (before - after):.1f} times as likely as the untrained model did"
        if after < before
        else "it learned nothing that helps with new posts; give it more time or more posts"
    )
    return " ".join(
        [f"Done in {minutes:.1f} minutes{early}. On posts it never saw, it went from {before:.2f} to {after:.2f} bits "
         f"per character: {known}.", *report["warnings"]]
    )  # fmt: skip
