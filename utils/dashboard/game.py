"""Part 4: real or bot? A game with the posts that were held out, and drafts of the same length.

In: a bot's folder and something that writes drafts. Out: a score, and what share of the drafts passed for
real. Which is which stays here: nothing that is sent to the browser tells before the guess.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets

from utils.bot import read_posts
from utils.cleaning import clean
from utils.dashboard import worker
from utils.dashboard.html import post
from utils.dashboard.region import Progress, Region, button, row
from utils.dashboard.write import WriteRegion
from utils.errors import TooFewPosts
from utils.timelines import Post, Timeline

PAIRS = 5
"""Drafts in a game, and as many real posts: a minute or two of guessing."""

SPARE = 3
"""Drafts that are written beyond that, because one that repeats a real post does not count."""


@dataclass(frozen=True)
class Question:
    """A text, and whether its author wrote it."""

    text: str
    real: bool


def questions(held_out: Sequence[str], drafts: Sequence[str], rng: random.Random) -> list[Question]:
    """As many real posts as drafts, each draft with the unused post nearest to it in length, shuffled.

    Both are cleaned alike, so that a link or a space gives nothing away. Raises `TooFewPosts`.
    """
    unused = _cleaned(held_out)
    written = _cleaned(drafts)[: min(PAIRS, len(unused))]
    if not unused:
        raise TooFewPosts("There are too few posts for a game; train on an author with more of them.")
    if not written:
        raise TooFewPosts("The bot wrote nothing that is not a copy; play again, or train it anew.")
    rng.shuffle(unused)
    real = []
    for draft in written:
        real.append(min(unused, key=lambda text, draft=draft: abs(len(text) - len(draft))))
        unused.remove(real[-1])
    asked = [Question(text, False) for text in written] + [Question(text, True) for text in real]
    rng.shuffle(asked)
    return asked


def _cleaned(texts: Sequence[str]) -> list[str]:
    posts = tuple(Post(str(number), None, text) for number, text in enumerate(texts))
    return [item.text for item in clean(Timeline("", "", posts)).posts]


class GameRegion(Region):
    """One post at a time, two buttons, a score."""

    TITLE = "4. Real or bot?"
    SENTENCE = "Up to ten posts: half of them were held back from the bot, half it wrote. Can you tell?"
    CLOSED = "This opens when there is a bot that still has its author's posts."

    def __init__(self, writing: WriteRegion) -> None:
        super().__init__()
        self._writing = writing
        self._asked: list[Question] = []
        self._shown = 0.0
        self._answers: list[bool] = []
        self._play = button("Play", "Start a game", main=True)
        self._real = button("The author wrote it", "This is a real post")
        self._bot = button("The bot wrote it", "This was generated")
        self._choice = row(self._real, self._bot)
        self._post = widgets.HTML()
        self._last = widgets.HTML()
        self._progress = Progress("Writing posts for the game")
        self.body.children = [
            row(self._play), self._progress.widget, self._last, self._post, self._choice, self.status.widget,
        ]  # fmt: skip
        self.controls = [self._play]
        self.on_click(self._play, self.start)
        self.on_click(self._real, lambda: self.guess(True))
        self.on_click(self._bot, lambda: self.guess(False))
        self.reset()
        self.close(self.CLOSED)

    def offer(self) -> None:
        """Open for the bot of part 3, if its author's posts are there."""
        self.reset()
        if read_posts(self._writing.bot, "held_out"):
            self.open()
        else:
            self.close(self.CLOSED)

    def reset(self) -> None:
        """As before the first game."""
        self._choice.layout.display = "none"
        self._post.value = self._last.value = ""
        self._asked, self._answers = [], []
        self._play.description = "Play"
        self.status.clear()

    @property
    def playing(self) -> bool:
        """Whether there is a question without an answer."""
        return len(self._answers) < len(self._asked)

    def start(self) -> None:
        """Write drafts, beside the page, and ask the first question."""
        self.reset()
        self.freeze()
        worker.start(self.guarded(self._prepare))

    def _prepare(self) -> None:
        drafts = []
        try:
            with self._writing.occupied():
                self._progress.show(None, "Waking the bot")
                for event in self._writing.write("", PAIRS + SPARE, 1.0):
                    self._progress.show(event.get("fraction"), "The bot is writing its posts")
                    if event["event"] == "draft" and not event["copied_from"]:
                        drafts.append(event["text"])
            held_out = read_posts(self._writing.bot, "held_out") or []
            self._asked, self._answers = questions(held_out, drafts, random.SystemRandom()), []
            self._ask()
        finally:
            self._progress.hide()
            self.unfreeze()

    def _ask(self) -> None:
        number = len(self._answers)
        self._shown = time.monotonic()
        self._post.value = post(self._asked[number].text, f"Post {number + 1} of {len(self._asked)}")
        self._choice.layout.display = ""
        self._play.description = "Start again"

    def guess(self, real: bool) -> None:
        """Take an answer, say whether it was right, and go on."""
        if not self.playing or time.monotonic() - self._shown < worker.DOUBLE_CLICK:
            return
        question = self._asked[len(self._answers)]
        self._answers.append(real == question.real)
        right = "Right" if self._answers[-1] else "Wrong"
        whose = "the author wrote that" if question.real else "the bot wrote that"
        self._last.value = post(question.text, f"{right}: {whose}.")
        if self.playing:
            self._ask()
            self.status.say(score(self._answers))
        else:
            self._choice.layout.display = "none"
            self._post.value = ""
            self.status.say(ending(self._asked, self._answers), "good")


def score(answers: Sequence[bool]) -> str:
    """ "3 of 4 right, 2 in a row"."""
    streak = next((n for n, right in enumerate(reversed(answers)) if not right), len(answers))
    return f"{sum(answers)} of {len(answers)} right" + (f", {streak} in a row" if streak > 1 else "")


def ending(asked: Sequence[Question], answers: Sequence[bool]) -> str:
    """The result, and what share of the drafts passed for real."""
    passed: list[Any] = [not right for question, right in zip(asked, answers, strict=True) if not question.real]
    return (
        f"You told {sum(answers)} of {len(answers)} apart. Of the bot's {len(passed)} posts, {sum(passed)} passed for "
        f"real: {sum(passed) / len(passed):.0%}. Guessing blindly, half of them would."
    )
