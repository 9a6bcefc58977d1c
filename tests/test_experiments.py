"""Trying things out: figures that the dev notebook rests on."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
import torch
from tiny import save_tiny_model

from utils.cleaning import clean
from utils.dataset import PostDataset, build
from utils.errors import BadSetting
from utils.experiments import (
    EFFORTS,
    Effort,
    attempt,
    compare,
    copied,
    effort,
    endless,
    figures_of,
    packed,
    reordered,
    score_after,
    smaller,
    spread,
    told,
)
from utils.language_model import LanguageModel, load_folder
from utils.scoring import score
from utils.settings import TrainingSettings
from utils.timelines import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model")


@pytest.fixture
def model(folder: Path) -> LanguageModel:
    return load_folder(folder, torch.device("cpu"))


@pytest.fixture
def parts(model: LanguageModel) -> PostDataset:
    return smaller(build([clean(load("sample:unit7bakes"))], model.encode, seed=0), 10)


def test_the_effort_is_a_readers_unless_the_environment_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert effort() == EFFORTS["reader"]
    monkeypatch.setenv("HUGGINGTWEETS_EFFORT", "test")
    assert effort() == EFFORTS["test"]
    monkeypatch.setenv("HUGGINGTWEETS_EFFORT", "heroic")
    with pytest.raises(BadSetting, match="must be test, reader, recorded; it was heroic"):
        effort()


def test_an_attempt_by_steps_says_how_good_the_model_was_and_is(model: LanguageModel, parts: PostDataset) -> None:
    texts = [example.text for example in parts.validation]
    before = score(model, texts).bits_per_character
    tried = attempt(parts, TrainingSettings(steps=6, learning_rate=1e-2), language_model=model)
    assert (tried.steps, len(tried.looks)) == (6, 2)
    assert tried.looks[0] == (0.0, pytest.approx(before))
    assert tried.looks[1][0] > 0
    assert tried.bits_per_character == pytest.approx(score(model, texts).bits_per_character)
    assert tried.bits_per_character < before


def test_an_attempt_by_time_looks_on_its_way_and_what_looking_takes_is_not_counted(
    model: LanguageModel, parts: PostDataset
) -> None:
    seen = []
    many = replace(parts, training=parts.training * 100)  # so that a fast machine does not come to their end
    tried = attempt(many, TrainingSettings(), 2.0, on_look=lambda _: seen.append(1), language_model=model)
    moments = [seconds for seconds, _ in tried.looks]
    assert moments[0] == 0 and moments == sorted(moments)
    assert len(moments) == len(seen) > 3
    assert 1 < moments[-1] < 8


def test_ways_are_compared_with_the_same_steps_and_each_seed(
    folder: Path, parts: PostDataset, capsys: pytest.CaptureFixture
) -> None:
    little = Effort(TrainingSettings(steps=1), seconds=1, steps=3, tokens=256, seeds=(0, 1), posts=5, drafts=5)
    ways = {"slow": TrainingSettings(model=str(folder), learning_rate=1e-5)}
    ways["fast"] = replace(ways["slow"], learning_rate=1e-2)
    attempts = compare(parts, ways, little)
    assert {name: [tried.steps for tried in several] for name, several in attempts.items()} == {
        "slow": [3, 3],
        "fast": [3, 3],
    }
    figures = figures_of(attempts)
    assert max(figures["fast"]) < min(figures["slow"])
    assert figures["fast"][0] != figures["fast"][1]
    assert len(capsys.readouterr().out.splitlines()) == 4, "a line as each comes"


def test_a_spread_needs_more_than_one_figure() -> None:
    assert spread([1.5]) == "1.500"
    assert spread([1.4, 1.6]) == "1.500 ± 0.141"
    assert told({"LoRA": [1.4, 1.6], "everything": [1.5]}) == "LoRA 1.500 ± 0.141, everything 1.500"


def test_packed_posts_lose_no_token_and_endless_ones_only_the_last(parts: PostDataset) -> None:
    pieces = packed(parts, 64, seed=0).training
    assert {len(piece.tokens) for piece in pieces} == {65}, "64 to predict"
    stream = [token for piece in pieces for token in piece.tokens[:-1]]
    assert 0 <= parts.training_tokens() - len(stream) < 64
    assert stream.count(0) == pytest.approx(len(parts.training), abs=5), "a token between two posts"
    for post, whole in zip(endless(parts).training, parts.training, strict=True):
        assert post.tokens == whole.tokens[:-1]


def test_reordered_posts_have_the_same_sentences(parts: PostDataset, model: LanguageModel) -> None:
    twice = reordered(parts, model.encode, seed=0).training
    half = len(parts.training)
    assert twice[:half] == parts.training
    changed = 0
    for new, old in zip(twice[half:], parts.training, strict=True):
        assert sorted(new.text.split()) == sorted(old.text.split())
        assert new.tokens == tuple(model.encode(new.text))
        changed += new.text != old.text
    assert changed > half / 4


def test_examples_before_a_text_cost_nothing_themselves(model: LanguageModel, parts: PostDataset) -> None:
    texts = [example.text for example in parts.validation]
    alone = score(model, texts)
    assert score_after(model, [], texts).bits == pytest.approx(alone.bits, rel=1e-4)
    shown = score_after(model, [texts[0]], texts[:1])
    assert (shown.posts, shown.characters) == (1, len(texts[0]))
    assert math.isfinite(shown.bits)
    assert shown.bits != pytest.approx(score(model, texts[:1]).bits, rel=1e-4)


def test_texts_that_repeat_a_post_are_counted(model: LanguageModel) -> None:
    one = "The oven in the corner of the bakery is warm again today."
    parrot = build_parrot(model, one)
    assert copied(parrot, [one], drafts=8) > 0.5
    assert copied(parrot, ["Something that nobody has ever said about any bread so far."], drafts=8) == 0


def build_parrot(model: LanguageModel, text: str) -> LanguageModel:
    """The model after it has learned one text by heart."""
    network, tokens = model.network, torch.tensor([model.encode(text)])
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(150):
        loss = torch.nn.functional.cross_entropy(network(tokens[:, :-1]).logits[0], tokens[0, 1:])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert mean([loss.item()]) < 0.1
    return model
