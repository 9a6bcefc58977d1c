import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from tiny import ARCHITECTURES, save_tiny_model

from utils.bot import Bot
from utils.language_model import LanguageModel, load_folder
from utils.sampling import lay_out_for_few_rows, sample, sample_texts
from utils.scoring import collate, cross_entropy, score
from utils.settings import WritingSettings

CPU = torch.device("cpu")


@pytest.fixture(params=ARCHITECTURES)
def language_model(request, tmp_path) -> LanguageModel:
    return load_folder(save_tiny_model(tmp_path, request.param), CPU)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("rows", [1, 3, 12, 40])
@pytest.mark.parametrize("opening", ["", "The oven"])
def test_the_bits_of_a_text_are_those_of_its_tokens(language_model: LanguageModel, rows: int, opening: str) -> None:
    begin = language_model.encode_opening(opening)
    ended = 0
    for text in sample_texts(language_model, opening, rows, WritingSettings(), seeded(5)):
        if text.tokens is None:
            continue
        ended += 1
        assert text.tokens[: len(begin)] == begin
        before = language_model.beginning
        batch = collate([[*before, *text.tokens, language_model.end]], [len(before)])
        with torch.no_grad():
            nats = cross_entropy(language_model.network, **batch, reduction="sum")
        assert text.bits == pytest.approx(nats.item() / math.log(2), rel=1e-4)
    assert ended >= rows // 5, "a random model ends one text of 255 tokens in three"


def test_every_row_is_told_of_once(language_model: LanguageModel) -> None:
    texts = list(
        sample_texts(language_model, "", 20, WritingSettings(), seeded(1), may_go_on=lambda text: len(text) < 90)
    )
    assert sorted(text.row for text in texts) == list(range(20))
    assert any(text.tokens is None for text in texts)


def test_laying_weights_out_anew_changes_neither_figures_nor_what_is_saved(bot: Path, tmp_path: Path) -> None:
    before, after = Bot.load(bot), Bot.load(bot)
    text = "The oven speaks, and 🦊 listens."
    lay_out_for_few_rows(after.language_model.network)
    assert score(after.language_model, [text]).bits == pytest.approx(
        score(before.language_model, [text]).bits, rel=1e-5
    )
    after.save(tmp_path / "again")
    saved = Bot.load(tmp_path / "again").language_model.network.state_dict()
    for name, weight in before.language_model.network.state_dict().items():
        assert torch.equal(saved[name], weight)


def test_a_model_that_has_written_can_still_learn(language_model: LanguageModel) -> None:
    list(sample_texts(language_model, "", 6, WritingSettings(), seeded(0), may_go_on=lambda text: len(text) < 30))
    tokens = torch.tensor([language_model.encode("Something new to learn.")])
    optimiser = torch.optim.AdamW(language_model.network.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        loss = cross_entropy(language_model.network, tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_sampling_draws_from_the_nucleus_in_proportion() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]])).expand(20_000, -1)
    drawn = Counter(sample(logits, 0.79, seeded(0)).tolist())
    assert set(drawn) == {0, 1}, "0.5 does not reach 0.79, with 0.3 it does"
    assert drawn[0] / 20_000 == pytest.approx(0.5 / 0.8, abs=0.02)
    everything = Counter(sample(logits, 1.0, seeded(0)).tolist())
    assert everything[3] / 20_000 == pytest.approx(0.05, abs=0.01)


def test_a_small_nucleus_in_a_flat_distribution_is_found_all_the_same() -> None:
    """Of 2,000 tokens nearly alike, the 20 likeliest hold about 0.01; hardly any row draws one of them in 16 tries."""
    logits = (torch.arange(2_000) * -1e-4).expand(4_000, -1)
    drawn = Counter(sample(logits, 0.01, seeded(0)).tolist())
    assert set(drawn) == set(range(19)), "their chances add up to 0.0104, those of one less to 0.0099"
    assert max(drawn.values()) < 2 * min(drawn.values())


def test_a_token_that_is_forbidden_is_never_drawn() -> None:
    logits = torch.zeros(5_000, 12)
    logits[:, [0, 5, 11]] = -torch.inf
    assert set(sample(logits, 1.0, seeded(0)).tolist()) == set(range(12)) - {0, 5, 11}


def test_a_flat_distribution_over_a_large_vocabulary_is_sampled_from_all_of_it() -> None:
    drawn = sample(torch.zeros(5_000, 8_000), 0.95, seeded(0))
    assert len(set(drawn.tolist())) > 3_000, "far more than the likeliest thousand"
