"""How surprised is a model by a text? Bits per character, the yardstick of the project.

In: a LanguageModel and texts. Out: the negative log2-likelihood of each text's tokens and end token, scored alone after
what begins a post, over the number of Unicode characters. Dividing by characters and not by tokens makes models with
different tokenizers comparable. Training minimises the same sum.
"""

import math
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from utils import threads
from utils.head import Head
from utils.language_model import LanguageModel

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel

IGNORED = -100
"""The label of padding, which PyTorch's cross-entropy leaves out."""

LINEAR_HEADS = {"gpt2", "llama", "mistral", "qwen2", "qwen3"}
"""Architectures whose logits are the last hidden state times the output embeddings and nothing else, so
that the loss can be taken in pieces. For others the model's own logits are used."""

SCORING_TOKENS = 512
"""Tokens in one batch while scoring, padding included. The 131 held-out posts of `sample:keeperfinch` took two cores
with bfloat16 2.4 s in batches of 1,024 or 512 and 2.6 s of 256, older ones 11 s, 12 s, and 15 s of 128. The smaller,
the sooner comes a look at the clock."""


@dataclass(frozen=True)
class Score:
    """What a model makes of some texts: how many, how long, and the bits it needs to write them down."""

    posts: int
    characters: int
    bits: float

    def __add__(self, other: "Score") -> "Score":
        return Score(self.posts + other.posts, self.characters + other.characters, self.bits + other.bits)

    @property
    def bits_per_character(self) -> float:
        return self.bits / self.characters if self.characters else math.nan


def collate(sequences: Sequence[Sequence[int]], given: Sequence[int] | None = None) -> dict[str, torch.Tensor]:
    """Pad token sequences on the right to one batch: `input_ids` and `labels`, both (batch, length - 1).

    `labels[:, i]` is the token that follows `input_ids[:, : i + 1]`, `IGNORED` in the padding. No attention
    mask is needed: under causal attention a token never sees the padding behind it.
    given: how many tokens each sequence begins with that are not asked for; one each, unless it says otherwise.
    """
    given = given or [1] * len(sequences)
    length = max(map(len, sequences)) - 1
    input_ids = torch.zeros(len(sequences), length, dtype=torch.long)
    labels = torch.full((len(sequences), length), IGNORED)
    for row, (sequence, first) in enumerate(zip(sequences, given, strict=True)):
        input_ids[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
        labels[row, first - 1 : len(sequence) - 1] = torch.tensor(sequence[first:])
    return {"input_ids": input_ids, "labels": labels}


def batches_by_length(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Indices of sequences in batches of similar length, so that little of a batch is padding.

    A batch holds at most `tokens` tokens, padding included, and at least one sequence.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Lengths ascend, so this sequence would be the longest of the batch it joins.
        if not batches or (len(batches[-1]) + 1) * lengths[index] > tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


def cross_entropy(
    network: "PreTrainedModel",
    input_ids: torch.Tensor,
    labels: torch.Tensor,
    reduction: str = "mean",
    head_precision: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Negative log-likelihood in nats of the labels that are not ignored, summed or averaged over them.

    input_ids, labels: (batch, length). The large matrix of logits exists only in pieces where the architecture and the
    version of PyTorch (2.13 and later) allow it. head_precision: of those pieces, which autocast would compute in
    float32. In bfloat16 the loss is right to half a hundredth and its gradient to 1.4 %, so that is for learning alone;
    480 rows of SmolLM2's logits, with LoRA on the head, took 0.12 s and not 0.39 on two cores with AVX512-BF16.
    """
    real = labels != IGNORED
    if network.config.model_type not in LINEAR_HEADS or not hasattr(F, "linear_cross_entropy"):
        logits = network(input_ids=input_ids, use_cache=False).logits[real]
        return F.cross_entropy(logits.float(), labels[real], reduction=reduction)
    hidden = network.base_model(input_ids=input_ids, use_cache=False).last_hidden_state[real]
    with torch.autocast(hidden.device.type, enabled=False):
        return Head.of(network).cross_entropy(hidden.to(head_precision), labels[real], reduction)


def next_token_logits(network: "PreTrainedModel", input_ids: torch.Tensor, cache: "Cache") -> torch.Tensor:
    """Logits of the token after the last one of each row, (rows, vocabulary), in float32.

    input_ids: (rows, length), the tokens that the cache does not hold yet.
    """
    if network.config.model_type not in LINEAR_HEADS:
        return network(input_ids=input_ids, past_key_values=cache).logits[:, -1].float()
    hidden = network.base_model(input_ids=input_ids, past_key_values=cache).last_hidden_state[:, -1]
    return Head.of(network).logits(hidden)


def autocast(device: torch.device, precision: torch.dtype) -> AbstractContextManager:
    """The context in which matrix products run in `precision`; for float32, nothing changes."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, precision)


@contextmanager
def rounded_operands(device: torch.device, precision: torch.dtype) -> Iterator[None]:
    """Where a CPU computes in bfloat16, the products that autocast leaves in float32, as the head's, take what they
    multiply rounded to it; they still add up in float32. Meanwhile that holds for the whole process.

    On two cores with bfloat16, the 131 held-out posts of `sample:keeperfinch` took 3.0 s and not 3.9 (medians of three
    by turns, within 0.2), and came to the same bits per character, to seven digits.
    """
    products = getattr(torch.backends.mkldnn, "matmul", None)  # of PyTorch 2.9 and later
    if device.type != "cpu" or precision != torch.bfloat16 or products is None:
        yield
        return
    before, products.fp32_precision = products.fp32_precision, "bf16"
    try:
        yield
    finally:
        products.fp32_precision = before


def score(
    language_model: LanguageModel,
    texts: Sequence[str],
    precision: torch.dtype = torch.float32,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Score:
    """Score each text alone. A text longer than the context is read in pieces that do not see each other."""
    return total(score_in_batches(language_model, texts, precision, on_progress))


def total(scores: Iterable[Score]) -> Score:
    """All scores in one."""
    return sum(scores, Score(posts=0, characters=0, bits=0.0))


def score_in_batches(
    language_model: LanguageModel,
    texts: Sequence[str],
    precision: torch.dtype = torch.float32,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Iterator[Score]:
    """Score texts a batch at a time, for those who may not have the time for all.

    The batches and their order depend on nothing but the texts and how they become tokens, so that what two models
    were asked can be compared batch by batch. Short and long texts come mixed.
    """
    sequences = [language_model.encode(text) for text in texts]
    batches = batches_by_length([len(sequence) for sequence in sequences], SCORING_TOKENS)
    random.Random(len(texts)).shuffle(batches)
    done = 0
    for batch in batches:
        pieces = _within_context(language_model, [sequences[index] for index in batch])
        tensors = {name: tensor.to(language_model.device) for name, tensor in collate(*pieces).items()}
        language_model.network.eval()
        watched = threads.watched("scoring", tensors["labels"].numel(), language_model.device)
        rounded = rounded_operands(language_model.device, precision)
        with torch.inference_mode(), autocast(language_model.device, precision), rounded, watched:
            nats = cross_entropy(language_model.network, **tensors, reduction="sum").item()
        done += len(batch)
        on_progress(done / len(texts))
        yield Score(len(batch), sum(len(texts[index]) for index in batch), nats / math.log(2))


def token_bits(language_model: LanguageModel, text: str) -> list[tuple[str, float]]:
    """Each token of a text as written, and of its end last, with the bits that the model needs for it.

    They add up to the text's `Score.bits` in float32. Raises `ValueError` for a text longer than the context.
    """
    tokens, given = language_model.encode(text), len(language_model.beginning)
    if len(tokens) - 1 > language_model.context:
        raise ValueError(f"{len(tokens) - 1} tokens do not fit into a context of {language_model.context}")
    batch = {name: tensor.to(language_model.device) for name, tensor in collate([tokens]).items()}
    with torch.inference_mode():
        logits = language_model.network(input_ids=batch["input_ids"], use_cache=False).logits[0].float()
    nats = F.cross_entropy(logits, batch["labels"][0], reduction="none")[given - 1 :]
    pieces = [language_model.decode([token]) for token in tokens[given:]]
    return list(zip(pieces, (nats / math.log(2)).tolist(), strict=True))


def word_bits(language_model: LanguageModel, text: str) -> list[tuple[str, float]]:
    """`token_bits` by words: whatever begins with white space begins one; the end stays by itself."""
    *tokens, end = token_bits(language_model, text)
    words: list[tuple[str, float]] = []
    for piece, bits in tokens:
        if not words or piece[:1].isspace():
            words.append(("", 0.0))
        word, so_far = words[-1]
        words[-1] = word + piece, so_far + bits
    return [*words, end]


def _within_context(language_model: LanguageModel, sequences: Iterable[list[int]]) -> tuple[list[list[int]], list[int]]:
    """Cut sequences that are longer than the context; the last token of a piece starts the next one. Also says how
    many tokens of each piece are given."""
    pieces, given, context = [], [], language_model.context
    for sequence in sequences:
        begins = range(0, len(sequence) - 1, context)
        pieces += [sequence[begin : begin + context + 1] for begin in begins]
        given += [1 if begin else len(language_model.beginning) for begin in begins]
    return pieces, given
