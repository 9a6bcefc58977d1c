"""A bot that stays in memory: its first call, later ones and many drafts, by turns with plain `generate()`.

In: a bot's folder and how often, as JSON on standard input. Out: seconds, as JSON. Both sides have the same weights,
each its own copy as it was loaded, the same precision, temperature and nucleus, and write as many drafts at a time.
`generate()` is left alone with its tokens: nobody looks whether they make a post, or marks copies.
"""

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from utils import environment
from utils.bot import Bot
from utils.events import Event
from utils.generation import write
from utils.language_model import load_folder
from utils.post_length import fits
from utils.sampling import writing_precision
from utils.scoring import autocast
from utils.settings import WritingSettings


@dataclass
class Tally:
    """What one side took for so many drafts. first: seconds until there was one. whole: drafts that make a post.

    tokens: in all its drafts, each one's end included; what was written and thrown away is not in there.
    """

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    drafts: int = 0
    whole: int = 0
    tokens: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The tally as JSON values."""
        speed = self.tokens / sum(self.seconds)
        return {
            "seconds": self.seconds,
            "first_draft": self.first,
            "whole": round(self.whole / self.drafts, 3),
            "tokens_per_second": round(speed, 1),
            "tokens_a_draft": round(self.tokens / self.drafts, 1),
        }


class Writers:
    """Both of them, with one bot. told: the job, the settings of the recipe included."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.told, self.bot = told, Bot.load(Path(told["bot"]))
        self.untouched = load_folder(Path(told["bot"]), self.bot.language_model.device)

    def ours(self, count: int, seed: int, tally: Tally) -> None:
        """Write as the program does."""
        began, first = time.perf_counter(), []
        settings = WritingSettings(self.told["temperature"], self.told["top_p"], seed)

        def on_event(event: Event) -> None:
            if event.kind == "draft" and not first:
                first.append(round(time.perf_counter() - began, 3))

        writing = write(self.bot, "", count, settings, on_event)
        tally.seconds.append(round(time.perf_counter() - began, 3))
        tally.first += first
        tally.drafts += count
        tally.whole += len(writing.drafts)
        tally.tokens += sum(len(self.untouched.encode_opening(draft.text)) + 1 for draft in writing.drafts)

    def plain(self, count: int, seed: int, tally: Tally) -> None:
        """Write with `generate()`, a batch at a time; the first draft comes with all others of its batch."""
        torch.manual_seed(seed)
        began, texts = time.perf_counter(), []
        for done in range(0, count, self.told["drafts"]):
            texts += self._generate(min(self.told["drafts"], count - done))
            if not done:
                tally.first.append(round(time.perf_counter() - began, 3))
        tally.seconds.append(round(time.perf_counter() - began, 3))
        tally.drafts += count
        tally.whole += sum(ended and fits(text) for text, ended, _ in texts)
        tally.tokens += sum(tokens for _, _, tokens in texts)

    def _generate(self, rows: int) -> list[tuple[str, bool, int]]:
        """Texts, whether each came to its end, and how many tokens it has."""
        model, told = self.untouched, self.told
        opening = torch.tensor([model.beginning] * rows, device=model.device)
        with autocast(model.device, writing_precision(model.device)):
            written = model.network.generate(
                opening, attention_mask=torch.ones_like(opening), do_sample=True, temperature=told["temperature"],
                top_p=told["top_p"], top_k=0, max_new_tokens=told["longest"], eos_token_id=model.end,
                pad_token_id=model.end,
            )  # fmt: skip
        found = []
        for row in written[:, opening.shape[1] :].tolist():
            ended = model.end in row
            tokens = row[: row.index(model.end)] if ended else row
            found.append((model.decode(tokens), ended, len(tokens) + ended))
        return found


def measure(told: dict[str, Any]) -> dict[str, Any]:
    """Load the bot, and let both write: once, several times by turns, and once many drafts."""
    environment.quiet_libraries()
    writers, found = Writers(told), {}
    sides = {"ours": writers.ours, "plain": writers.plain}
    for name, rounds, count in (("first_call", 1, told["drafts"]), ("later_calls", told["rounds"], told["drafts"]),
                                ("many", 1, told["many"])):  # fmt: skip
        tallies = {side: Tally() for side in sides}
        for number in range(rounds):
            for side, run in sides.items():
                run(count, told["seed"] + number, tallies[side])
        found[name] = {side: tally.as_dict() for side, tally in tallies.items()}
    return found


if __name__ == "__main__":
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
