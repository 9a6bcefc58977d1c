"""Sample texts from a language model, side by side.

In: a LanguageModel and an opening. Out: the tokens of each text, and the bits that the model needs for them,
as soon as the text ends. Knows nothing about what makes a text a post.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from utils import environment, threads
from utils.language_model import LanguageModel
from utils.scoring import autocast, collate, cross_entropy, next_token_logits
from utils.settings import WritingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LONGEST = 400
"""Tokens after which a text is given up. A post in English takes 20 to 80; one of 130 Japanese characters
takes three a character where the tokenizer knows only their bytes."""

LOOK_EVERY = 8
"""Tokens between two looks at whether an unfinished text is already too long."""

MANY_ROWS = 4
"""Rows from which on it pays to lay a network's weights out anew; for fewer, the products took as long before."""

DRAWS = 16
"""Tokens drawn before the nucleus itself is sorted out. At a `top_p` of 0.95 one row in 20 needs a second."""


@dataclass(frozen=True)
class Text:
    """One text that was sampled.

    row: which of the texts that were begun together, from 0.
    tokens: what stands between beginning and end, opening included; None where the text grew too long.
    bits: what the untempered model needs for the tokens and the end.
    """

    row: int
    tokens: list[int] | None = None
    bits: float = math.nan


@torch.inference_mode()
def sample_texts(
    language_model: LanguageModel,
    opening: str,
    rows: int,
    settings: WritingSettings,
    generator: torch.Generator,
    should_stop: Callable[[], bool] = lambda: False,
    may_go_on: Callable[[str], bool] = lambda unfinished: True,
    unfinished: list[int] | None = None,
) -> Iterator[Text]:
    """Sample `rows` texts; yields each one when it ends, or when it has grown too long.

    may_go_on: whether a text so far may still become what is wanted; it is asked now and then.
    unfinished: a list that is filled with the tokens of a text that has not ended, for those who cannot wait.

    A row that is done leaves the batch, so that the last rows do not pay for the first.
    """
    network, device = language_model.network, language_model.device
    if rows >= MANY_ROWS:
        lay_out_for_few_rows(network)
    given = len(language_model.beginning)
    prompt = [*language_model.beginning, *language_model.encode_opening(opening)]
    forbidden = _special_tokens(language_model)
    numbers, written = torch.arange(rows, device=device), torch.tensor([prompt] * rows, device=device)
    cache = DynamicCache(config=network.config)
    with autocast(device, writing_precision(device)):
        logits = next_token_logits(network, written[:1], cache).expand(rows, -1)
        cache.batch_repeat_interleave(rows)
        nats = torch.full((rows,), _nats_of_opening(network, written[:1], given), device=device)
        for length in range(1, min(LONGEST, language_model.context - len(prompt)) + 1):
            allowed = logits.index_fill(-1, forbidden, -torch.inf)
            if length == 1:
                allowed[:, language_model.end] = -torch.inf  # an empty text is none
            token = sample(allowed / settings.temperature, settings.top_p, generator)
            nats = nats + logits.logsumexp(-1) - logits.gather(-1, token[:, None])[:, 0]
            ended = token == language_model.end
            for row in ended.nonzero()[:, 0].tolist():
                yield Text(int(numbers[row]), written[row, given:].tolist(), nats[row].item() / math.log(2))
            written = torch.cat([written, token[:, None]], dim=1)
            going = ~ended
            if unfinished is not None:
                unfinished[:] = written[0, given:].tolist()
            if length % LOOK_EVERY == 0:
                hopeless = [
                    on and not may_go_on(language_model.decode(row[given:]))
                    for on, row in zip(going.tolist(), written.tolist(), strict=True)
                ]
                given_up = torch.tensor(hopeless, device=device)
                yield from map(Text, numbers[given_up].tolist())
                going &= ~given_up
            if not going.any() or should_stop():
                return
            if not going.all():
                numbers, written, nats = numbers[going], written[going], nats[going]
                cache.batch_select_indices(going.nonzero()[:, 0])
            with threads.watched("writing", 1, device):
                logits = next_token_logits(network, written[:, -1:], cache)
    yield from map(Text, numbers.tolist())


def writing_precision(device: torch.device) -> torch.dtype:
    """The number format to sample in. On a CPU float32, whatever learning is done in.

    A step reads every weight for a few rows, and autocast would make bfloat16 of all of them again at every
    step: for ten rows of SmolLM2 on a CPU with avx512_bf16 that took 164 ms against 100 (77 laid out as
    below), for one row 124 against 43. Weights kept in bfloat16 took 93 and 58, and are less exact.
    """
    return torch.float32 if device.type == "cpu" else environment.precision(device)


def lay_out_for_few_rows(network: "PreTrainedModel") -> None:
    """Lay the weights of a network's linear layers out in memory by input and not by output; their values stay.

    For a few rows at a time the CPU's matrix product reads them so at the speed of the memory: a step took 77 ms
    and not 100 for ten rows, 135 and not 167 for fifty, on one core. It takes 0.3 s, once a network.
    """
    if network.device.type != "cpu":
        return
    with torch.inference_mode(False), torch.no_grad():  # these weights may learn again
        for module in network.base_model.modules():
            if isinstance(module, torch.nn.Linear) and module.weight.is_contiguous():
                module.weight.data = module.weight.t().contiguous().t()


def _nats_of_opening(network: "PreTrainedModel", prompt: torch.Tensor, given: int) -> float:
    """Negative log-likelihood of an opening after so many tokens that are given; prompt: (1, length), all together."""
    if prompt.shape[1] == given:
        return 0.0
    batch = {name: tensor.to(prompt.device) for name, tensor in collate(prompt.tolist(), [given]).items()}
    return cross_entropy(network, **batch, reduction="sum").item()


def _special_tokens(language_model: LanguageModel) -> torch.Tensor:
    """Ids of the tokens that are no text, the end token aside."""
    special = set(language_model.tokenizer.all_special_ids) | set(language_model.tokenizer.added_tokens_decoder)
    special |= {language_model.beginning[0]}
    return torch.tensor(sorted(special - {language_model.end}), dtype=torch.long, device=language_model.device)


def sample(logits: torch.Tensor, top_p: float, generator: torch.Generator) -> torch.Tensor:
    """Draw a token for each row from its nucleus (Holtzman et al. 2020, arXiv:1904.09751).

    logits: (rows, vocabulary), temperature applied. Returns ids, (rows,). The nucleus is the smallest set
    of likeliest tokens whose probabilities reach `top_p`. Nothing is sorted to find it: a token drawn from all
    is in it where those likelier than it do not reach `top_p`, and is drawn again where they do. For ten rows
    of 49,152 columns that takes 2 ms on one core; the thousand likeliest alone took 5.
    """
    probabilities = logits.softmax(-1)
    cumulative = probabilities.cumsum(-1)
    tokens = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    left = torch.arange(len(logits), device=logits.device)
    for _ in range(DRAWS):
        drawn = _draw(cumulative, generator)
        chance = probabilities.gather(-1, drawn)
        likelier = (probabilities * (probabilities > chance)).sum(-1)
        inside = (likelier < top_p) & (chance[:, 0] > 0)
        tokens[left[inside]] = drawn[inside, 0]
        if inside.all():
            return tokens
        left, probabilities, cumulative = left[~inside], probabilities[~inside], cumulative[~inside]
    likeliest, ids = probabilities.sort(descending=True)
    nucleus = likeliest.masked_fill(likeliest.cumsum(-1) - likeliest >= top_p, 0.0)
    tokens[left] = ids.gather(-1, _draw(nucleus.cumsum(-1), generator))[:, 0]
    return tokens


def _draw(cumulative: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw a column for each row, (rows, 1), from chances that are summed up along it, (rows, columns)."""
    mass = cumulative[:, -1:]
    point = mass * torch.rand(mass.shape, generator=generator, device=mass.device)
    return torch.searchsorted(cumulative, point, right=True).clamp(max=cumulative.shape[-1] - 1)
