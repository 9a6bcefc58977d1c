"""How much memory learning takes, and in how large pieces a step is computed, and how precisely, so that it fits.

In: a network that is loaded, and the settings. Out: a Footprint that fits into what is free. Knows nothing about posts,
and nothing about GPUs, whose own memory says itself when it is full.

A step in pieces teaches the same as a whole one and costs little: one core took 2.03 s for 512 tokens at once and 2.12
for four times 128, in two layers of the default model's size, with its head.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from utils import memory
from utils.adapters import backward_width, count_learned
from utils.head import PIECE

if TYPE_CHECKING:
    from torch import nn

    from utils.language_model import LanguageModel
    from utils.settings import TrainingSettings

BYTES_A_LEARNED_PARAMETER = 20
"""In float32: itself where it is added to the network (4), its gradient (4), AdamW's two moments (8), and a copy of the
best value so far (4)."""

BYTES_A_NUMBER = 6
"""What the backward pass needs of each number that goes into a linear map or comes out of one, and of those between the
maps; 4 would be the numbers alone. Six layers of the default model's size took, LoRA and logits included, at most
358 MB for 512 tokens, 229 for 256 and 138 for 128; with 6, these would be 327, 234 and 136. In bfloat16 some of them
are smaller, and others are kept twice."""

BYTES_A_ROUNDED_PARAMETER = 2
"""In half precision, each matrix is kept a second time, rounded: one that stays as long as the model learns, one that
learns from the forward to the backward pass. Before the first were kept between steps, the default model took 582 MB
beside itself in pieces of 128 tokens in float32, and 928 in bfloat16, of which this is 269."""

LOGITS = 2
"""Pieces of logits, in float32, that exist at a time: themselves and their gradient."""

BYTES_A_SAVED_PARAMETER = 4
"""While a bot is saved: its weights in half precision (2), and once more as the bytes of the file (2). What training
took is given back by then."""

WORKING_BYTES = 350_000_000
"""PEFT and W&B, which are loaded later, program files that are mapped on the way, and freed memory in pieces that do
not fit what comes next. In a container of 2 GiB the default model's size, in pieces of 256 tokens, came to 1.75 GB with
W&B beside it, of the 2.0 that are reckoned."""

SMALLEST = 128
"""Tokens that are computed together, at least. By halves from here on less and less is saved: 0.14 GB by the next."""


@dataclass(frozen=True)
class Footprint:
    """A way to learn, and what it takes.

    precision: the number format to compute in. tokens_at_once: of a step, those that are computed together; None: all.
    bytes: of memory, beside the loaded network. slower: a number format that is faster here takes too much.
    """

    precision: torch.dtype
    tokens_at_once: int | None
    bytes: int
    slower: bool

    def given_up(self) -> list[str]:
        """What is not as it was asked for, a sentence each."""
        sentences = []
        if self.tokens_at_once is not None:
            sentences.append(
                f"Memory is tight here, so each step is computed in pieces of {self.tokens_at_once} tokens. That takes "
                "a little longer, and of a post that is longer than a piece only the beginning is learned."
            )
        if self.slower:
            sentences.append("Memory is tight here, so the model learns with float32, which is slower.")
        return sentences


def fitting(
    language_model: "LanguageModel", settings: "TrainingSettings", precision: torch.dtype, free: int | None = None
) -> Footprint:
    """The footprint of the steps that were asked for, or in pieces of half, a quarter, … where memory is tight.

    precision: the number format that is the fastest here. On a CPU it is given up where the smallest pieces do not fit
    otherwise. free: bytes that may be taken; what this machine and this container have left, unless given.
    Raises `OutOfMemory` where even the smallest pieces do not fit, before any time is spent.
    """
    ways = list(_ways(language_model, settings, precision))
    if language_model.device.type != "cpu":
        return ways[0]
    free = memory.available() if free is None else free
    chosen = next((way for way in ways if way.bytes <= free), ways[-1])
    memory.check(chosen.bytes, "training this model", free)
    return chosen


def _ways(language_model: "LanguageModel", settings: "TrainingSettings", precision: torch.dtype) -> Iterator[Footprint]:
    """The ways to learn, the fastest first."""
    whole = settings.tokens_per_batch
    for dtype in dict.fromkeys((precision, torch.float32)):
        tokens = whole
        while tokens == whole or tokens >= SMALLEST:
            taken = _bytes(language_model.network, settings, dtype, tokens)
            yield Footprint(dtype, None if tokens == whole else tokens, taken, dtype != precision)
            tokens //= 2


def _bytes(network: "nn.Module", settings: "TrainingSettings", precision: torch.dtype, tokens_at_once: int) -> int:
    """What comes to the loaded network, until the bot is saved."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    learned = count_learned(network, settings) * BYTES_A_LEARNED_PARAMETER
    rounded = parameters * BYTES_A_ROUNDED_PARAMETER if precision.itemsize == 2 else 0
    activations = tokens_at_once * backward_width(network, settings) * BYTES_A_NUMBER
    vocabulary = network.get_output_embeddings().weight.shape[0]
    logits = LOGITS * min(tokens_at_once, PIECE) * vocabulary * 4
    return max(learned + rounded + activations + logits, parameters * BYTES_A_SAVED_PARAMETER) + WORKING_BYTES
