"""Record a training with Weights & Biases, or do as if.

In: posts, settings and a bot as the pipeline has them, and the Events of the stages. Out: an Outcome, which
says where the record is. `Tracker` and `Silence` have the same methods; no stage knows which one listens, or
that one does. What is written to W&B, and what never is, `tracking_runs.py` knows.

W&B is spoken to in threads of its own: however long it takes to answer, training does not wait for it. If
it cannot be reached, the record is kept in files, with the command that sends it. Whatever goes wrong here
costs a sentence and no bot.

transformers' own WandbCallback is not used: it writes the folders of `TrainingArguments` into the run, waits
for the network inside the training, and knows neither minutes nor bits per character. Our own callback in
the Trainer, the Course, tells of every step; what it tells is logged under the names which that callback
uses (`train/loss`, `train/learning_rate`, `train/global_step`, `eval/…`), so that its panels fit.

Tracking does not ask for drafts on the way, whose time would be the training's: with `--watch` there are
some, and they are logged. Of the bot itself a few are written at the end, within 1.5 % of the minutes.
"""

import netrc
import os
import queue
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from utils import environment
from utils.bot import Bot
from utils.cleaning import CleanTimeline
from utils.copies import CopyIndex
from utils.errors import OutOfMemory
from utils.events import Event
from utils.settings import WritingSettings
from utils.story import public_names
from utils.timelines import Timeline
from utils.timelines.samples import NAMES
from utils.tracking_runs import Material, RawPosts, Runs, end_helper, first_line, import_quietly

if TYPE_CHECKING:
    from utils.dataset import PostDataset
    from utils.generation import Draft

END_SECONDS = 6.0
"""`finish` takes no longer than this."""

OPENING_SECONDS = 3.0
"""The address of the run is waited for so long, at the end of the training."""

DRAFTS = 5
"""Of the finished bot: enough to hear its voice, and written side by side they take little longer than one."""

SHARE_FOR_DRAFTS, MOST_SECONDS_FOR_DRAFTS = 0.015, 10.0
"""Of the minutes, for drafts of the finished bot: 4.5 of 300 s. What is not written by then is left."""

MODES = {"online": "online", "run": "online", "disabled": "off", "off": "off"}
"""What WANDB_MODE may say, and what that is called here. Whatever else it says is "offline": nothing is sent."""


@dataclass(frozen=True)
class Outcome:
    """Where the record is: `train --json` prints it as `tracking`.

    mode: "off", "offline" or "online", as it came out. url: of the training's run, if it is online.
    folder: where its files are. sync: the command that sends them, unless all was sent.
    sentence: that in words. problem: what went wrong, in words, or "".
    """

    mode: str = "off"
    url: str | None = None
    folder: str | None = None
    sync: str | None = None
    sentence: str = ""
    problem: str = ""


class Silence:
    """The Tracker of those who want none.

    seconds_for_drafts, seconds_at_end: what to leave of the minutes for drafts of the bot, and for `finish`.
    url: the address of the training's run, if there is one.
    """

    seconds_for_drafts = 0.0
    seconds_at_end = 0.0
    url: str | None = None

    def read(self, timeline: Timeline) -> None:
        """Posts were read, as they were written."""

    def begin(
        self, timelines: Sequence[CleanTimeline], parts: "PostDataset", weights: Path, config: dict[str, Any]
    ) -> None:
        """All that the training starts from is there.

        weights: the folder from which the model was loaded. config: settings, `seed` and `model` among them,
        versions and device.
        """

    def note(self, event: Event) -> None:
        """A stage tells something."""

    def finish(self, bot: Bot, folder: Path) -> Outcome:
        """The bot is saved in a folder. Says where the record is."""
        return Outcome()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leaving the block without `finish` means that there is no bot."""


def logged_in() -> bool:
    """Whether there is a key of W&B: in the environment, or where `wandb login` puts it."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").netloc
    chosen = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in filter(None, map(environment.find_path, chosen)):
        with suppress(netrc.NetrcParseError, OSError, ValueError):
            return netrc.netrc(path).authenticators(host) is not None
    return False


def default_mode() -> str:
    """What WANDB_MODE says; without it online if somebody is logged in, else offline."""
    if os.environ.get("WANDB_DISABLED", "").lower() in ("1", "true", "yes", "on"):
        return "off"
    if chosen := os.environ.get("WANDB_MODE", "").strip().lower():
        return MODES.get(chosen, "offline")
    return "online" if logged_in() else "offline"


def start(mode: str | None = None, send_posts: bool = False, minutes: float = 0.0) -> Silence:
    """A Tracker, which gets ready meanwhile, or Silence. mode: "off", "offline", "online"; see `default_mode`."""
    mode = mode or default_mode()
    os.environ.pop("WANDB_MODE", None)  # heard; transformers would print a line about it where JSON is expected
    return Silence() if mode == "off" else Tracker(mode == "online", send_posts, minutes)


class Tracker(Silence):
    """Two runs of W&B. No method takes time but `finish`, and that one no more than `END_SECONDS`."""

    def __init__(self, online: bool, send_posts: bool, minutes: float) -> None:
        self._runs = Runs(online and logged_in())
        if online and not self._runs.online:
            self._runs.problem = (
                "Nobody is logged in to W&B here (wandb login does that); the training was tracked on this machine."
            )
        self._send_posts, self._fictional, self._raw = send_posts, True, RawPosts()
        self.seconds_for_drafts = min(SHARE_FOR_DRAFTS * minutes * 60, MOST_SECONDS_FOR_DRAFTS)
        self._best = float("inf")
        self._drafts: list[tuple[str, dict[str, Any]]] = []
        self._is_over, self._opened = False, threading.Event()
        self._clerk, self._second_clerk = _Clerk(), _Clerk()
        self._clerk.do(import_quietly)

    @property
    def seconds_at_end(self) -> float:
        """What `finish` takes as a rule, W&B being well."""
        return 3.0 if self._runs.online else 0.5

    @property
    def url(self) -> str | None:
        """The address of the training's run, if it is online."""
        if self._runs.online:
            self._opened.wait(OPENING_SECONDS)  # only a training of seconds is over before its run is open
        return self._runs.url

    @property
    def _may_send(self) -> bool:
        """Whether posts may be sent: of fictional authors always, else if the user said so."""
        return self._send_posts or self._fictional

    def read(self, timeline: Timeline) -> None:
        """Posts were read, as they were written. Where they are not to be sent, a digest is kept."""
        self._fictional &= timeline.source in {f"sample:{name}" for name in NAMES}
        texts = [post.text for post in timeline.posts]
        self._clerk.do(self._raw.add, texts, self._may_send)

    def begin(
        self, timelines: Sequence[CleanTimeline], parts: "PostDataset", weights: Path, config: dict[str, Any]
    ) -> None:
        """Open both runs, with what is known before the training."""
        self._clerk.do(self._open_runs, timelines, parts, weights, config)
        self._clerk.do(self._opened.set)

    def _open_runs(
        self, timelines: Sequence[CleanTimeline], parts: "PostDataset", weights: Path, config: dict[str, Any]
    ) -> None:
        learned_and_scored = {"training": parts.training, "validation": parts.validation, "held_out": parts.held_out}
        texts = {name: [example.text for example in examples] for name, examples in learned_and_scored.items()}
        posts = sum((Counter(timeline.counts()) for timeline in timelines), Counter())
        if environment.find_path(config["model"]) == weights:
            config = {**config, "model": weights.resolve().name}  # where a folder lies is nobody's business
        authors = public_names(timeline.author for timeline in timelines)
        material = Material(authors, dict(posts), parts.counts(), texts, config, weights)
        try:
            if not os.environ.get("WANDB_SWEEP_ID"):  # all runs of a sweep have the same data set; none makes it anew
                for job in self._runs.open_preprocess(material, self._raw, self._may_send):
                    self._second_clerk.do(job)  # some wait for W&B; the training's figures do not wait for them
        finally:
            self._runs.open_train(material)

    def note(self, event: Event) -> None:
        """Log what a step, a validation or a draft tells; the rest is not for W&B."""
        data = event.data
        axes = {"train/global_step": data.get("step"), "train/seconds": data.get("seconds"),
                "train/tokens": data.get("tokens")}  # fmt: skip
        if event.kind == "loss":
            names = ("loss", "learning_rate", "tokens_per_second", "peak_memory_bytes")
            self._clerk.do(self._runs.log, {**axes, **{f"train/{name}": data.get(name) for name in names}})
        elif event.kind == "validation":
            figure = data["bits_per_character"]
            self._best = min(self._best, figure)
            figures = {"eval/bits_per_character": figure, "eval/best_bits_per_character": self._best}
            self._clerk.do(self._runs.log, {**axes, **figures})
        elif event.kind == "draft":
            self._drafts.append((event.sentence, data))

    def finish(self, bot: Bot, folder: Path) -> Outcome:
        """Log the last figures, the tables and the bot, and close the runs; what is not sent in time stays here.

        Ctrl-C ends the waiting: the bot is saved.
        """
        try:
            in_time = self._is_finished(bot, folder)
        except KeyboardInterrupt:
            in_time = False
        outcome = self._outcome(in_time)
        if not in_time:
            end_helper()  # else the program would wait for it once more at its end
        return outcome

    def _is_finished(self, bot: Bot, folder: Path) -> bool:
        drafts = self._write(bot)
        until = time.monotonic() + END_SECONDS
        self._is_over = True
        self._clerk.do(self._log_tables, drafts, bot.copies())
        self._clerk.do(self._runs.log_bot, bot.story, folder)
        self._clerk.do(lambda: self._runs.use_inputs(self._second_clerk.is_done(until - time.monotonic() - 1)))
        self._clerk.do(self._runs.close)
        return self._clerk.is_done(END_SECONDS) and self._second_clerk.is_done(until - time.monotonic())

    def _write(self, bot: Bot) -> "list[Draft]":
        """Drafts of the finished bot, as many as are finished in time; none where memory does not suffice."""
        from utils import generation

        until = time.monotonic() + self.seconds_for_drafts
        settings = WritingSettings(seed=bot.story.settings["seed"])
        with suppress(OutOfMemory):
            return generation.write(bot, "", DRAFTS, settings, should_stop=lambda: time.monotonic() > until).drafts
        return []

    def _log_tables(self, drafts: "list[Draft]", copies: CopyIndex) -> None:
        on_the_way = [[when, *self._shown(data["post"], copies.find(data["text"]))] for when, data in self._drafts]
        finished = [
            [*self._shown(draft.as_dict()["post"], draft.copied_from), draft.bits_per_character] for draft in drafts
        ]
        columns = ["draft", "repeats a post"]
        self._runs.log_table("drafts/on_the_way", ["when", *columns], on_the_way)
        self._runs.log_table("drafts/finished_bot", [*columns, "bits per character"], finished)

    def _shown(self, post: str, copied: str | None) -> tuple[str, bool]:
        """A draft as W&B may see it, and whether it is a copy. A copy of posts that stay here stays here, too."""
        return ("…" if copied and not self._may_send else post), bool(copied)

    def _outcome(self, in_time: bool) -> Outcome:
        runs, failure = self._runs, self._clerk.failure or self._second_clerk.failure
        if not runs.folders:
            why = first_line(failure) if failure else "it did not start in time"
            return Outcome("off", problem=f"The training was not tracked; the bot is not affected. (W&B: {why})")
        if runs.online and in_time and not failure:
            return Outcome("online", runs.url, str(runs.folders[-1]), None, f"Tracked with W&B: {runs.url}")
        problem = runs.problem
        if runs.online and not in_time:
            problem = "W&B did not take all of it in time."
        elif failure:
            problem = f"Not all of the training could be tracked; the bot is not affected. (W&B: {first_line(failure)})"
        sync = shlex.join(["wandb", "sync", *map(str, runs.folders)])
        sentence = f"Tracked on this machine. To send it to W&B: {sync}"
        mode = "online" if runs.online else "offline"
        return Outcome(mode, runs.url, str(runs.folders[-1]), sync, sentence, problem)

    def __exit__(self, *error: object) -> None:
        """Close the training's run as one that failed, with a second's patience, unless it ended well."""
        if not self._is_over and self._runs.folders:
            self._clerk.do(self._runs.close, 1)
            self._clerk.is_done(1.0)


class _Clerk:
    """Does one thing after the other in a thread of its own, and remembers the first error."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[..., Any], tuple]] = queue.SimpleQueue()
        self.failure: Exception | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def do(self, job: Callable[..., Any], *arguments: Any) -> None:
        """Do this when all before it is done."""
        self._jobs.put((job, arguments))

    def is_done(self, seconds: float) -> bool:
        """Whether all of it is done, now or in so many seconds."""
        done = threading.Event()
        self.do(done.set)
        return done.wait(max(seconds, 0.05))

    def _work(self) -> None:
        while True:
            job, arguments = self._jobs.get()
            try:
                job(*arguments)
            except Exception as error:  # noqa: BLE001  whatever W&B raises is no reason to lose a bot
                self.failure = self.failure or error
