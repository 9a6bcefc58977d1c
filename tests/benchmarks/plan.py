"""Which runs there are, and how long each takes.

In: authors, seeds, and whether it has to be quick. Out: a list of `Run`s in the order in which they are done.
Knows nothing about how a run is measured.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.material import Author
from benchmarks.recipes import BESIDES, TRIED, is_trl, settings

QUICK_RECIPES = ("ancestor", "ours", "trl", "run_clm")
RECIPES = (*QUICK_RECIPES, *BESIDES)
"""What is measured unless others are named; `--quick` has no time for more than training."""

FAIR_MINUTES = 5.0
"""The budget at which all are compared, each with every seed."""

CURVE_MINUTES = (0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 2.0, 3.0, 15.0)
"""Budgets that ours gets besides, so that it has a curve; one seed each."""

QUICK_MINUTES, QUICK_BLOCKS = 1.0, 24
"""`--quick`: a minute for everybody, and so many of the ancestor's blocks."""

SECONDS_AROUND = {"ours": 15.0, "ancestor": 60.0, "trl": 100.0, "run_clm": 180.0, "writing": 400.0, "reading": 90.0}
"""Around each run: measuring the machine, imports, trial steps (of run_clm two, of 8,192 tokens each), and scoring the
held-out posts seven times; of ours, all but the first is inside its minutes. What is besides training, as a whole."""

ANCESTOR_TOKENS_A_SECOND = 220.0
"""For the estimate alone: two cores of an Intel Xeon with AVX-512 took about so many in float32."""


@dataclass(frozen=True)
class Run:
    """One measurement. minutes: its budget; None for the ancestor, which takes what it takes.

    blocks: after so many blocks the ancestor is cut off; None for all.
    """

    recipe: str
    author: str
    seed: int
    minutes: float | None = None
    blocks: int | None = None

    @property
    def settings(self) -> dict[str, Any]:
        return settings(self.recipe, self.minutes)

    @property
    def title(self) -> str:
        budget = "" if self.minutes is None else f", {self.minutes:g} min"
        cut = "" if self.blocks is None else f", its first {self.blocks} blocks"
        return f"{self.recipe} on {self.author}{budget}{cut}, seed {self.seed}"

    def seconds(self, author: Author) -> float:
        """About how long it will take."""
        if self.minutes is not None:
            return self.minutes * 60 + SECONDS_AROUND["trl" if is_trl(self.recipe) else self.recipe]
        if self.recipe in BESIDES:
            return SECONDS_AROUND[self.recipe]
        tokens = self.settings["epochs"] * author.tokens
        if self.blocks is not None:
            tokens = min(tokens, self.blocks * self.settings["block"])
        return tokens / ANCESTOR_TOKENS_A_SECOND + SECONDS_AROUND["trl" if is_trl(self.recipe) else self.recipe]


def plan(
    authors: Sequence[str],
    seeds: Sequence[int] = (0, 1, 2),
    only: Container[str] | None = None,
    quick: bool = False,
    minutes: float | None = None,
) -> list[Run]:
    """All runs, author by author; the comparison of a first seed comes before the other seeds.

    only: recipes; None for `RECIPES`, or `QUICK_RECIPES`. minutes: another budget at which all are compared.
    """
    runs = []
    only = only or (QUICK_RECIPES if quick else RECIPES)
    fair = minutes or (QUICK_MINUTES if quick else FAIR_MINUTES)
    for name in authors:
        for seed in seeds[:1] if quick else seeds:
            runs += [Run(recipe, name, seed, fair) for recipe in ("ours", "trl", *TRIED, "run_clm")]
            if seed == seeds[0]:
                runs.append(Run("ancestor", name, seed, blocks=QUICK_BLOCKS if quick else None))
                runs += [Run("ours", name, seed, budget) for budget in (() if quick else CURVE_MINUTES)]
                if name == authors[0]:
                    runs += [Run(recipe, name, seed) for recipe in BESIDES]
    return [run for run in runs if run.recipe in only]
