import gc
import itertools
import math
import os
import sys
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import ARCHITECTURES, save_tiny_model

from utils import environment
from utils.adapters import Learner, count_learned, frozen_matrices, learned_by, mean, put
from utils.bot import Bot, read_origin
from utils.cleaning import clean
from utils.course import ENOUGH_TOKENS, Conditions, Training, enough_tokens
from utils.dataset import Example, PostDataset, build
from utils.errors import BadBot, BadSetting
from utils.events import Event
from utils.generation import write
from utils.language_model import LanguageModel, load_folder
from utils.pipeline import make_bot
from utils.schedule import BETAS, SHORT_BETAS, betas
from utils.scoring import cross_entropy, score
from utils.settings import TrainingSettings, WritingSettings
from utils.timelines import load
from utils.training import fine_tune

CPU = torch.device("cpu")


def learn(
    model: Path,
    events: list[Event] | None = None,
    precision: torch.dtype = torch.float32,
    validation: list[str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    interlude: Callable[[float], None] | None = None,
    times: int = 1,
    scoring_speed: float = 1e9,
    **settings: Any,
) -> tuple[LanguageModel, Training]:
    """Fine-tune a model of a folder on a bundled author; returns the model and how it went.

    times: how often each training post is there, so that a fast machine does not come to their end. scoring_speed:
    characters a second that it is said to score.
    """
    language_model = load_folder(model, CPU)
    dataset = build([clean(load("sample:unit7bakes"))], language_model.encode, seed=0)
    dataset = replace(dataset, training=dataset.training * times)
    if validation:
        examples = tuple(Example(text, 0, tuple(language_model.encode(text))) for text in validation)
        dataset = replace(dataset, validation=examples)
    wanted = TrainingSettings(**settings)
    ends = math.inf if wanted.steps else time.monotonic() + wanted.minutes * 60
    on_event = (events if events is not None else []).append
    conditions = Conditions(
        ends, precision, on_event=on_event, should_stop=should_stop, interlude=interlude, scoring_speed=scoring_speed
    )
    return language_model, fine_tune(language_model, dataset, wanted, conditions)


def validated(model: LanguageModel) -> float:
    """Bits per character of the validation posts on which `learn` looks."""
    dataset = build([clean(load("sample:unit7bakes"))], model.encode, seed=0)
    return score(model, [example.text for example in dataset.validation]).bits_per_character


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_goes_the_whole_way_from_posts_to_drafts(architecture: str, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", architecture)
    settings = TrainingSettings(steps=20, model=str(model), learning_rate=1e-2)
    _, report = make_bot(["sample:unit7bakes"], settings, out=tmp_path / "bot")
    assert report.held_out["bits_per_character"] < report.held_out["bits_per_character_before"]
    bot = Bot.load(tmp_path / "bot")
    assert bot.language_model.beginning[0] == bot.language_model.end, "all of them know <|endoftext|>"
    writing = write(bot, "The oven", count=3, settings=WritingSettings(seed=1))
    assert len(writing.drafts) + writing.dropped == 3
    assert all(draft.text.startswith("The oven") for draft in writing.drafts)


def test_the_same_seed_and_steps_give_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        make_bot(["sample:unit7bakes"], TrainingSettings(steps=4, seed=seed, model=str(model)), out=tmp_path / name)
    one, same, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "same", "other"))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_the_budget_of_minutes_is_kept_and_the_learning_rate_follows_the_clock(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    learn(model, steps=1)  # imports and first calls are not what is timed here
    events: list[Event] = []
    began = time.monotonic()
    _, training = learn(model, events, minutes=0.05, times=100)
    assert 2 < time.monotonic() - began < 8
    assert training.steps > 5
    fractions = [event.fraction for event in events if event.kind == "loss"]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.5
    rates = [event.data["learning_rate"] for event in events if event.kind == "loss"]
    peak = rates.index(max(rates))
    assert rates[: peak + 1] == sorted(rates[: peak + 1]) and rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < rates[peak] / 2


def test_a_slow_machine_takes_smaller_steps_at_the_same_rate(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    tokens, rates = [], []
    for speed in (1e9, 1.0):
        events: list[Event] = []
        learn(model, events, minutes=0.05, times=100, validation=["The oven is warm."], scoring_speed=speed)
        steps = [event.data for event in events if event.kind == "loss"]
        tokens.append(steps[-1]["tokens"] / len(steps))
        rates.append(max(step["learning_rate"] for step in steps))
    assert tokens[1] < tokens[0] / 3
    peak = TrainingSettings().learning_rate  # between two steps of a busy machine it may have come and gone
    assert all(0.7 * peak < rate <= peak for rate in rates)


def test_a_round_of_few_steps_forgets_sooner_than_a_long_one() -> None:
    post = Example("The oven is warm.", 0, tuple(range(11)))
    few, many = (PostDataset(("Unit 7",), (post,) * count, (post,), (post,), 0, ()) for count in (1_000, 10_000))
    hour = Conditions(time.monotonic() + 3600, torch.float32)
    packed = replace(many, training=(replace(post, text=""),))
    asked = [betas(TrainingSettings(steps=steps), packed, hour) for steps in (20, 75)]
    by_posts = [betas(TrainingSettings(), dataset, hour) for dataset in (few, many)]
    slow = replace(hour, ends=time.monotonic() + 60, scoring_speed=100.0)
    assert asked == by_posts == [SHORT_BETAS, BETAS] == [betas(TrainingSettings(), many, each) for each in (slow, hour)]


def test_a_model_that_is_twice_as_wide_learns_at_half_the_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rates = save_tiny_model(tmp_path / "model"), []
    for width in (64, 32, 16):  # the model has 32
        monkeypatch.setattr("utils.schedule.TUNED_WIDTH", width)
        events: list[Event] = []
        learn(model, events, steps=20)
        rates.append(max(event.data["learning_rate"] for event in events if event.kind == "loss"))
    assert rates[0] == rates[1] and rates[2] == pytest.approx(rates[1] / 2)


def test_more_time_than_the_posts_can_use_is_not_spent(tmp_path: Path) -> None:
    events: list[Event] = []
    model, training = learn(save_tiny_model(tmp_path / "model"), events, minutes=5, rounds=1)
    dataset = build([clean(load("sample:unit7bakes"))], model.encode, seed=0)
    assert training.seconds < 60
    assert training.tokens == pytest.approx(enough_tokens(dataset), rel=0.05)
    assert [event.fraction for event in events if event.kind == "loss"][-1] == 1.0, "the schedule came to its end"


def test_few_posts_are_read_more_often_than_many(tmp_path: Path) -> None:
    model = load_folder(save_tiny_model(tmp_path / "model"), CPU)
    dataset = build([clean(load("sample:unit7bakes"))], model.encode, seed=0)
    few, many = replace(dataset, training=dataset.training[:60]), replace(dataset, training=dataset.training * 20)
    assert many.training_tokens() > ENOUGH_TOKENS > 2 * few.training_tokens()
    passes = [enough_tokens(some) / some.training_tokens() for some in (few, many)]
    assert passes == pytest.approx([1.5, 1.15])


def test_time_that_is_left_goes_into_more_rounds_and_the_better_of_their_mean_and_the_first_is_kept(
    tmp_path: Path,
) -> None:
    events: list[Event] = []
    watched: list[float] = []
    after, training = learn(save_tiny_model(tmp_path / "model"), events, minutes=5, interlude=watched.append)
    dataset = build([clean(load("sample:unit7bakes"))], after.encode, seed=0)
    assert training.tokens > 3 * enough_tokens(dataset)
    assert {event.sentence.split(",")[0] for event in events if "another order" in event.sentence} == {
        "Round 2", "Round 3", "Round 4",
    }  # fmt: skip
    shares = [event.fraction for event in events if event.kind == "loss" or "another order" in event.sentence]
    first_round = [event.fraction for event in events if event.kind == "loss"]
    assert shares == sorted(shares) and first_round[-1] < 0.6 and shares[-1] == 1.0, "rounds to come are counted"
    assert len(watched) == 5 and watched == sorted(watched) and watched[-1] < 0.6, "and whoever watches is told so"
    told = [event.sentence for event in events if event.kind == "validation"]
    assert "with the mean of 4 rounds" in told[-1] and not any("mean" in sentence for sentence in told[:-1])
    best = min(bits for _, bits in training.validation)
    assert validated(after) == pytest.approx(best, abs=0.005), "what was measured is what is kept"
    assert after.network.state_dict().keys() == load_folder(tmp_path / "model", CPU).network.state_dict().keys()


def test_without_memory_for_more_there_is_one_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("utils.training.BYTES_A_ROUND", 10**15)
    events: list[Event] = []
    _, training = learn(save_tiny_model(tmp_path / "model"), events, minutes=5)
    assert training.improved and not any("another order" in event.sentence for event in events)


def test_stopping_in_a_later_round_keeps_those_that_are_whole(tmp_path: Path) -> None:
    model, events = save_tiny_model(tmp_path / "model"), []
    stopped, training = learn(
        model, events, minutes=5,
        should_stop=lambda: any(event.sentence.startswith("Round 2") for event in events),
    )  # fmt: skip
    assert training.stopped
    assert validated(stopped) == pytest.approx(min(bits for _, bits in training.validation), abs=0.005)


def test_the_mean_of_rounds_is_that_of_the_weights_that_each_would_give(tmp_path: Path) -> None:
    model, settings, found, merged = save_tiny_model(tmp_path / "model"), TrainingSettings(rank=4), [], []
    for seed in (1, 2):
        network = load_folder(model, CPU).network
        learner = Learner(network, settings)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in learner.parameters:
                parameter.normal_(std=0.1)
        found.append(learned_by(network))
        learner.finish()
        merged.append(dict(network.named_parameters()))
    network = load_folder(model, CPU).network
    learner = Learner(network, settings, rounds=2)
    put(network, mean(found))
    learner.finish()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter, (merged[0][name] + merged[1][name]) / 2, rtol=0, atol=2e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("share", "rank", "kind"), [(0.5, 0, "whole layers"), (0.5, 4, "LoRA"), (1.0, 4, "LoRA")])
def test_what_was_not_to_learn_stays_as_it_was(
    architecture: str, share: float, rank: int, kind: str, tmp_path: Path
) -> None:
    model = save_tiny_model(tmp_path / "model", architecture, layers=4)
    before = dict(load_folder(model, CPU).network.named_parameters())
    after, training = learn(model, steps=5, learning_rate=1e-2, learned_share=share, rank=rank)
    assert after.network.state_dict().keys() == load_folder(model, CPU).network.state_dict().keys(), "a plain network"
    changed = {name for name, p in after.network.named_parameters() if not torch.allclose(p, before[name], atol=1e-3)}
    layers = {name.split(".")[2] for name in changed if name.split(".")[2].isdigit()}
    assert layers == ({"2", "3"} if share == 0.5 else {"0", "1", "2", "3"})
    names = {id(p): name for name, p in after.network.named_parameters()}
    others = {name for name in changed if name.split(".")[2] not in layers}
    assert others == ({names[id(after.network.get_output_embeddings().weight)]} if rank else set()), "the head, by LoRA"
    assert (training.learned["kind"], training.learned["layers"]) == (kind, 4 * share)
    settings = TrainingSettings(learned_share=share, rank=rank)
    assert training.learned["parameters"] == count_learned(load_folder(model, CPU).network, settings)


def test_stopping_keeps_the_best_weights_so_far(tmp_path: Path) -> None:
    calls = itertools.count()
    _, training = learn(
        save_tiny_model(tmp_path / "model"), steps=1000, learning_rate=1e-2, should_stop=lambda: next(calls) >= 9
    )
    assert (training.stopped, training.steps, training.improved) == (True, 10, True)


def test_training_that_only_makes_it_worse_gives_back_the_untrained_weights(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    before = dict(load_folder(model, CPU).network.named_parameters())
    gibberish = ["#@%^ " * 10, "~~^^ ]] [[ " * 5]
    after, training = learn(model, steps=200, learning_rate=1e-2, validation=gibberish)
    assert not training.improved
    assert training.steps < 200, "it ends when validation posts have got worse often enough"
    for name, parameter in after.network.named_parameters():
        torch.testing.assert_close(parameter, before[name], rtol=1e-3, atol=1e-6)  # as half precision keeps them


def test_bfloat16_computes_with_float32_weights(tmp_path: Path) -> None:
    after, training = learn(save_tiny_model(tmp_path / "model"), steps=20, learning_rate=1e-2, precision=torch.bfloat16)
    assert training.improved
    assert {parameter.dtype for parameter in after.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("settings", [{"rank": 4}, {"rank": 0, "learned_share": 0.5}])
@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_matrices_that_stay_are_rounded_once_and_teach_what_autocast_does(
    architecture: str, settings: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, steps = save_tiny_model(tmp_path / "model", architecture), []

    def watched(network: torch.nn.Module, *batch: torch.Tensor, **how: Any) -> torch.Tensor:
        steps.append([matrix for _, matrix in frozen_matrices(network)])
        return cross_entropy(network, *batch, **how)

    def learned() -> list[torch.nn.Parameter]:
        after, _ = learn(model, steps=5, learning_rate=1e-2, precision=torch.bfloat16, **settings)
        return list(after.network.parameters())

    monkeypatch.setattr("utils.training.cross_entropy", watched)
    once = learned()
    assert {matrix.dtype for matrix in steps[0]} == {torch.bfloat16}
    assert all(one is other for step in steps[1:] for one, other in zip(steps[0], step, strict=True))
    monkeypatch.setattr("utils.training.adapters.frozen_matrices", lambda network: iter([]))
    for ours, autocast in zip(once, learned(), strict=True):
        torch.testing.assert_close(ours, autocast)


def test_what_was_rounded_is_let_go_of_when_a_training_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounded: list[weakref.ref] = []

    def watched(network: torch.nn.Module, *batch: torch.Tensor, **how: Any) -> torch.Tensor:
        rounded.extend(weakref.ref(matrix) for _, matrix in frozen_matrices(network))
        return cross_entropy(network, *batch, **how)

    monkeypatch.setattr("utils.training.cross_entropy", watched)
    gc.disable()  # a bot is saved before its Trainer, which refers to itself, is collected
    try:
        learn(save_tiny_model(tmp_path / "model"), steps=2, precision=torch.bfloat16)
        assert rounded
        assert all(matrix() is None for matrix in rounded)
    finally:
        gc.enable()


def test_two_authors_are_mixed_into_one_bot(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    bot, report = make_bot(["sample:unit7bakes", "sample:keeperfinch"], TrainingSettings(steps=2, model=str(model)))
    assert report.bot == "bots/unit7bakes+keeperfinch"
    assert bot.story.voice == "@unit7bakes and @keeperfinch"
    assert report.posts["fetched"] == 2100 == sum(report.posts.values()) - report.posts["fetched"]
    assert report.held_out["posts"] == 66 + 131


def test_a_bot_of_another_file_of_the_same_name_stays(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=1, model=str(save_tiny_model(tmp_path / "model")))
    lines = [post.text.replace("\n", " ") for post in load("sample:unit7bakes").posts]
    files = [tmp_path / folder / "posts.txt" for folder in ("hers", "his")]
    for file in files:
        file.parent.mkdir()
        file.write_text("\n".join(lines), "utf-8")
    hers, his, hers_again = (make_bot([str(file)], settings)[1].bot for file in (*files, files[0]))
    assert (hers, his, hers_again) == ("bots/posts", "bots/posts-2", "bots/posts")


@pytest.mark.skipif(sys.platform != "linux", reason="only there names of files are any bytes")
def test_a_file_whose_name_is_not_utf_8_makes_a_bot_that_finds_it_again(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/m\xf6n.txt"
    Path(os.fsdecode(path)).write_text("\n".join(post.text for post in load("sample:unit7bakes").posts), "utf-8")
    settings = TrainingSettings(steps=1, model=str(save_tiny_model(tmp_path / "model")))
    bot, report = make_bot([os.fsdecode(path)], settings)
    assert report.authors == ["m\ufffdn"]
    assert read_origin(Path(report.bot)).references == [os.fsdecode(path)]


def test_a_disk_without_room_for_the_bot_is_a_sentence_before_any_time_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(steps=1, model=str(save_tiny_model(tmp_path / "model")))
    monkeypatch.setattr(environment, "free_disk", lambda folder: 5_000_000)
    said: list[str] = []
    with pytest.raises(BadBot, match="The disk has 5 MB left at bots/unit7bakes, and the bot takes 2. MB. Make room"):
        make_bot(["sample:unit7bakes"], settings, on_event=lambda event: said.append(event.sentence))
    assert said[-1] == "Loading the model"


def test_two_trainings_at_once_of_files_of_one_name_leave_two_bots(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=1, model=str(save_tiny_model(tmp_path / "model")))
    lines = "\n".join(post.text.replace("\n", " ") for post in load("sample:unit7bakes").posts)
    files = [tmp_path / folder / "posts.txt" for folder in ("hers", "his")]
    for file in files:
        file.parent.mkdir()
        file.write_text(lines, "utf-8")
    others: list[str] = []

    def train_another(event: Event) -> None:
        if event.sentence == "Loading the model" and not others:
            others.append("")
            others[0] = make_bot([str(files[1])], settings)[1].bot

    mine = make_bot([str(files[0])], settings, on_event=train_another)[1].bot
    assert {mine, *others} == {"bots/posts", "bots/posts-2"}


@pytest.mark.parametrize(
    "wrong",
    [{"minutes": 0}, {"minutes": -1}, {"minutes": float("nan")}, {"minutes": float("inf")}, {"steps": 0}, {"seed": -1}],
)
def test_a_setting_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting):
        TrainingSettings(**wrong)


def test_one_can_watch_before_training_and_after_each_fifth_of_it(taught_model: Path) -> None:
    pauses: list[float] = []
    learn(taught_model, steps=20, interlude=pauses.append)
    assert pauses == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_watching_changes_nothing_about_what_is_learned(taught_model: Path, tmp_path: Path) -> None:
    settings, events = TrainingSettings(steps=10, model=str(taught_model)), []
    _, alone = make_bot(["sample:unit7bakes"], settings, out=tmp_path / "alone")
    _, watched = make_bot(["sample:unit7bakes"], settings, events.append, out=tmp_path / "watched", watch=True)
    assert alone.held_out == watched.held_out
    drafts = [event for event in events if event.kind == "draft"]
    assert [draft.sentence for draft in drafts][:2] == ["What the untrained model writes", "After 20% of the training"]
    assert all(draft.data["text"].strip("…") for draft in drafts)
