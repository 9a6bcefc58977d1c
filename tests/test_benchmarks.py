"""The benchmark measures what it says, keeps what it measured, and goes on where it was broken off."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import __main__ as command
from benchmarks import figure, loaded, material, overview, reading, recipes, rivals, table
from benchmarks.arithmetic import Shape, training_operations
from benchmarks.plan import Run, plan
from benchmarks.results import Results
from tiny import save_tiny_model

from utils.errors import BadFile
from utils.generation import write
from utils.language_model import load_folder
from utils.settings import WritingSettings

ROOT = Path(__file__).parent.parent
AUTHOR = "sample:unit7bakes"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("bench") / "model")


def record(recipe: str, bits: float, seconds: float, minutes: float | None = None, seed: int = 0, **more: Any) -> dict:
    """A result as the file holds it."""
    run = {"recipe": recipe, "author": AUTHOR, "seed": seed, "minutes": minutes, "blocks": more.pop("blocks", None)}
    machine = {"processor": "Abacus 2", "cores": 2, "threads": "all"}
    return {
        "conditions": {"run": run, "machine": machine, "settings": {}, "versions": {}, "posts": "", "model": "m"},
        "curve": [[0.0, 2.5], [seconds, bits]], "bits_per_character": bits, "bits_per_character_before": 2.5,
        "seconds": {"train": seconds, "total": seconds}, "tokens_per_second": 100.0, "share": 0.25,
        "held_out": {"posts": 90}, "peak_memory_bytes": 2e9, "matrix_rates": {"float32": 1e11}, "notes": [], **more,
    }  # fmt: skip


# What a token costs


def test_operations_are_those_of_a_model_small_enough_to_count_by_hand() -> None:
    shape = Shape(layers=3, hidden=4, intermediate=5, heads=2, key_value_heads=1, head_dim=2, vocabulary=10)
    # A layer: queries 4x4, keys and values 4x2 each, output 4x4, and three times 4x5 in the MLP: 108. The head: 40.
    assert (shape.layer_weights, shape.head_weights) == (108, 40)
    # A token in a sequence of 6 sees 3 on average: 2 products x 2 operations x 4 numbers x 3 = 48 a layer.
    forwards = 3 * (2 * 108 + 48) + 2 * 40
    everything = forwards + 3 * (2 * 108 + 2 * 48) + 2 * 40 + 2 * (3 * 108 + 40)
    assert training_operations(shape, length=6) == everything == 872 + 1016 + 728
    top = forwards + (2 * 108 + 2 * 48) + 2 * 40 + 2 * 108
    assert training_operations(shape, length=6, learned_layers=1) == top == 872 + 392 + 216
    # Of rank 2, the low-rank matrices of one layer: 2 x (4+4 + 4+2 + 4+2 + 4+4 + three times 4+5) = 110.
    thin = forwards + (2 * 108 + 2 * 48) + 2 * 40 + 3 * 2 * 110
    assert training_operations(shape, length=6, learned_layers=1, low_rank=110) == thin == 872 + 392 + 660


def test_without_attention_all_weights_cost_six_operations_each_as_in_the_scaling_laws(model: Path) -> None:
    shape = Shape.of(json.loads((model / "config.json").read_text()))
    network = load_folder(model, torch.device("cpu")).network
    matrices = sum(parameter.numel() for parameter in network.parameters() if parameter.dim() == 2)
    assert training_operations(shape, length=0) == 6 * matrices, "the embedding is the head, too, and counts once"


# What the rivals learn from


def test_the_ancestors_file_holds_each_post_four_times_and_no_two_epochs_in_one_order(model: Path) -> None:
    language_model = rivals.load(model, torch.device("cpu"))
    parts = material.parts(material.author(AUTHOR, model), language_model, seed=0)
    examples = material.to_learn(parts)
    tokens = rivals.shuffled_epochs(examples, epochs=4, seed=0)
    posts = language_model.decode(tokens).split("<|endoftext|>")
    assert (posts[0], posts[-1]) == ("", "")
    assert Counter(posts[1:-1]) == {text: 4 * count for text, count in Counter(e.text for e in examples).items()}
    assert not {example.text for example in parts.held_out} & set(posts)
    epochs = [posts[1 + n * len(examples) : 1 + (n + 1) * len(examples)] for n in range(4)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(epochs[0])] * 4
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_blocks_are_whole_and_hold_the_tokens_in_order() -> None:
    blocks = rivals.Blocks(list(range(10)), 4)
    assert [blocks[index]["input_ids"] for index in range(len(blocks))] == [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.parametrize(
    ("recipe", "rows", "minutes", "step", "expected"),
    [
        ("ancestor", 123, None, 0.0, 123),
        ("trl", 40, 5.0, 2.0, 150),
        ("run_clm", 80, 5.0, 10.0, 30),
        ("run_clm", 41, 5.0, 10.0, 18),  # three epochs of six steps, the last of each with one block
        ("trl", 40, 0.1, 60.0, 1),
    ],
)
def test_the_schedule_ends_when_the_minutes_or_the_epochs_do(
    recipe: str, rows: int, minutes: float | None, step: float, expected: int
) -> None:
    assert rivals.steps_of(recipe, rows, recipes.settings(recipe, minutes), minutes, step) == expected


@pytest.mark.parametrize("recipe", ["ancestor", "run_clm", "trl"])
def test_a_rival_learns_all_weights_at_the_rate_of_its_recipe_down_to_zero(
    recipe: str, model: Path, tmp_path: Path
) -> None:
    if recipe == "trl":
        pytest.importorskip("trl")
    language_model = load_folder(model, torch.device("cpu"))
    before = {name: weight.clone() for name, weight in language_model.network.named_parameters()}
    examples = material.to_learn(material.parts(material.author(AUTHOR, model), language_model, seed=0))
    settings = {**recipes.SETTINGS[recipe], "batch": 1}
    made = rivals.trainer(recipe, language_model, examples, settings, steps=4, seed=0, folder=str(tmp_path))
    counts = rivals.count_tokens(made)
    watch = rivals.Stopwatch(lambda: 1.5)
    made.add_callback(watch)
    rates = []
    step = made.training_step
    made.training_step = lambda *given: (rates.append(made.optimizer.param_groups[0]["lr"]), step(*given))[1]
    made.train()
    assert max(rates) == pytest.approx(settings["learning_rate"])
    assert max(made.lr_scheduler.get_last_lr()) == pytest.approx(0, abs=1e-9)
    assert all((weight != before[name]).any() for name, weight in language_model.network.named_parameters())
    assert len(watch.steps) == 4
    assert [bits for _, bits in watch.curve] == [1.5] * 5, "POINTS that fall on one step are one point"
    assert watch.curve[0][0] == 0.0
    assert watch.curve[-1][0] == pytest.approx(watch.seconds, abs=0.01)
    if recipe != "trl":
        assert counts[0] == 255, "a block of 256 tokens has 255 to predict"


def test_packed_posts_do_not_see_each_other(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    language_model = load_folder(model, torch.device("cpu"))
    examples = material.to_learn(material.parts(material.author(AUTHOR, model), language_model, seed=0))
    told = {"steps": 1, "seed": 0, "folder": str(tmp_path)}
    made = rivals.trainer("trl", language_model, examples, recipes.TRL, **told)
    batch = {name: value for name, value in next(iter(made.get_train_dataloader())).items() if name != "labels"}
    second = int((batch["position_ids"][0] == 0).nonzero()[1])
    with torch.no_grad():
        logits = language_model.network(**batch).logits
        batch["input_ids"][0, :second] = 7
        others = language_model.network(**batch).logits
    assert torch.equal(logits[0, second:], others[0, second:])
    assert not torch.equal(logits[0, :second], others[0, :second])


def test_scoring_does_not_count_as_training(model: Path, tmp_path: Path) -> None:
    language_model = load_folder(model, torch.device("cpu"))
    examples = material.to_learn(material.parts(material.author(AUTHOR, model), language_model, seed=0))
    told = {"steps": 2, "seed": 0, "folder": str(tmp_path)}
    made = rivals.trainer("ancestor", language_model, examples, recipes.ANCESTOR, **told)
    watch = rivals.Stopwatch(lambda: time.sleep(3) or 1.5)
    made.add_callback(watch)
    began = time.perf_counter()
    made.train()
    assert time.perf_counter() - began >= 9
    assert watch.seconds < 3


# What is to be done


def test_everybody_gets_the_same_seeds_and_minutes_and_ours_a_curve() -> None:
    runs = plan([AUTHOR])
    five = Counter(run.recipe for run in runs if run.minutes == 5)
    assert five == {"ours": 3, "trl": 3, "run_clm": 3}
    ours = [run.minutes for run in runs if run.recipe == "ours" and run.seed == 0]
    assert sorted(ours) == [0.35, 0.4, 0.5, 0.6, 0.8, 1, 2, 3, 5, 15]
    assert [run for run in runs if run.recipe == "ancestor"] == [Run("ancestor", AUTHOR, 0)]


def test_quick_takes_about_ten_minutes(model: Path) -> None:
    author = material.author("sample:keeperfinch", model)
    runs = plan([author.reference], quick=True)
    assert Counter(run.recipe for run in runs) == {"ours": 1, "trl": 1, "run_clm": 1, "ancestor": 1}
    assert 5 * 60 < sum(run.seconds(author) for run in runs) <= 12 * 60


# What comes out


def test_the_table_gives_means_spreads_and_the_ratio_of_the_first_budget_that_is_good_enough() -> None:
    records = [
        record("ancestor", 1.60, 1000), record("trl", 1.62, 300, 5, notes=["packed"]),
        record("ours", 1.70, 60, 1), record("ours", 1.59, 118, 2),
        record("ours", 1.54, 298, 5), record("ours", 1.52, 300, 5, seed=1), record("ours", 1.53, 299, 5, seed=2),
    ]  # fmt: skip
    text = table.text(records)
    assert "Abacus 2" in text
    assert "float32 100 GFLOP/s" in text
    assert "1.530 ± 0.010" in text
    assert "ended at 1.600 after 1,000 s" in text
    assert "after 118 s, everything included, which is 1/8.5 of the time" in text
    assert "TRL, packing, seed 0: packed" in text


def test_there_is_no_ratio_to_a_recipe_that_was_cut_off_and_none_where_nothing_got_there() -> None:
    assert table.headline([record("ancestor", 2.0, 60, blocks=24), record("ours", 1.7, 60, 1)]) is None
    assert "No budget" in table.headline([record("ancestor", 1.5, 60), record("ours", 1.7, 60, 1)])


def test_the_headline_says_what_the_ratio_is_of_everything_and_of_training_alone() -> None:
    ours = record("ours", 1.58, 30, 0.5)
    ours["seconds"]["train"] = 20.0
    told = table.headline([record("ancestor", 1.6, 600), record("ours", 1.7, 15, 0.25), ours])
    assert "ended at 1.600 after 600 s of training" in told
    assert "after 30 s, everything included, which is 1/20.0 of the time; 20 s of these were training, 1/30.0." in told


def of_today(*records: dict) -> list[dict]:
    """Those records as if they were measured with the settings that the recipes have."""
    for one in records:
        run = one["conditions"]["run"]
        one["conditions"] |= {"settings": recipes.settings(run["recipe"], run["minutes"]), "model": recipes.MODEL}
    return list(records)


def test_the_readmes_table_has_authors_beside_each_other_and_says_what_is_owed(tmp_path: Path) -> None:
    other = record("ours", 1.1, 58, 1)
    other["conditions"]["run"]["author"] = "/home/somebody/mine.csv"
    records = of_today(
        record("ours", 1.7, 58, 1),
        record("trl", 1.6, 300, 5, curve=[[0.0, 2.5], [100.0, 1.55], [300.0, 1.6]]),
        record("trl", 1.7, 310, 5, seed=1, curve=[[0.0, 2.5], [110.0, 1.57], [310.0, 1.7]], tokens_per_second=300.0),
        other,
    )
    records.append(record("ours", 1.0, 58, 2))  # measured with other settings
    records += of_today(record("ours", 1.0, 58, 3))
    records[-1]["conditions"]["model"] = "another"
    readme = tmp_path / "README.md"
    readme.write_text(f"Before.\n\n{overview.BEGIN}{overview.END}\n\nAfter.\n")
    shown = overview.shown(records, records[0]["conditions"]["machine"])
    overview.write(shown, readme)
    text = readme.read_text()
    assert text.startswith("Before.\n") and text.endswith("\nAfter.\n")
    assert "| recipe | `unit7bakes` | mine | tokens a second |" in text
    assert (
        "| TRL, packing | 1.650 ± 0.050 after 305 s; at best 1.560 after 105 s | owed | 100 to 300 | 25 % | 2.0 GB |"
        in text
    )
    assert "| HuggingTweets, 1 min | 1.700 after 58 s | 1.100 after 58 s | 100 | 25 % | 2.0 GB |" in text
    assert "2 min" not in text and "3 min" not in text
    assert overview.written(readme) == ("Abacus 2, 2 cores", overview.render(shown))


def test_a_machine_that_has_measured_nothing_leaves_the_readme_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{overview.BEGIN}The table.{overview.END}")
    with pytest.raises(BadFile, match="Nothing is measured with today's settings on Abacus 3, 1 cores"):
        shown = overview.shown(
            of_today(record("ours", 1.7, 58, 1)), {"processor": "Abacus 3", "cores": 1, "threads": "all"}
        )
        overview.write(shown, readme)
    assert "The table." in readme.read_text()


def test_the_readme_says_what_the_results_do() -> None:
    records = Results(ROOT / "tests/benchmarks/results.json").records
    machine, block = overview.written(ROOT / "README.md")
    machines = [one["conditions"]["machine"] for one in records]
    measured = [one for one in machines if overview.name(one) == machine]
    assert measured, "the README's machine has results"
    assert overview.render(overview.shown(records, measured[0])) == block, "make benchmark BENCHMARK=--readme renews it"


def curves(author: str) -> list[dict]:
    """What three seeds of two rivals, the ancestor and four budgets of ours might come to."""
    made = [record("ours", bits, 60 * minutes - 2, minutes) for minutes, bits in ((1, 1.7), (2, 1.59), (15, 1.5))]
    for seed, noise in enumerate((0.0, 0.01, -0.01)):
        made.append(record("ours", 1.52 + noise, 298, 5, seed))
        for recipe, bits in (("trl", 1.62), ("run_clm", 1.83)):
            points = [[0.0, 2.5], [30.0, 2.2], [150.0, 1.9], [300.0 + seed, bits + noise]]
            made.append(record(recipe, bits + noise, 300 + seed, 5, seed, curve=points))
    made.append(record("ancestor", 1.6, 1000, curve=[[0.0, 2.5], [100.0, 2.1], [1000.0, 1.6]]))
    for one in made:
        one["conditions"]["run"]["author"] = author
    return made


def test_the_picture_is_told_in_words_with_its_figures() -> None:
    told = figure.description(curves("sample:unit7bakes") + curves("/home/somebody/mine.csv"))
    assert (
        "sample:unit7bakes: untrained 2.50; huggingtweets of 2020 1.60 after 1,000 s; run_clm 1.83 after 301 s" in told
    )
    assert "HuggingTweets 1.70 after 58 s, 1.59 after 118 s, 1.52 after 298 s, 1.50 after 898 s." in told
    assert "mine.csv: untrained" in told
    assert "somebody" not in told, "where a file lies is nobody's business"


def test_the_picture_shows_every_author_and_is_the_same_for_the_same_results(tmp_path: Path) -> None:
    records = curves("sample:keeperfinch") + curves("sample:unit7bakes")
    for name in ("one", "two"):
        told = figure.draw(records, tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.txt").read_text() == told + "\n"
    picture = (tmp_path / "one.svg").read_text()
    assert picture == (tmp_path / "two.svg").read_text()
    # Three seeds thin and their mean thick; of ours the same, and one line that joins the budgets.
    assert picture.count("stroke-width: 2.4") == 2 * 4
    assert {colour for colour in figure.COLOURS.values() if colour not in picture} == set()
    assert "#ffffff" not in picture, "the page shows through"


def test_the_names_of_the_lines_are_on_the_picture_and_not_on_each_other() -> None:
    from matplotlib.transforms import Bbox

    made, (names,) = figure.picture(curves(AUTHOR))
    assert [name.get_text().split()[0] for name in names] == ["huggingtweets", "run_clm", "TRL,", "HuggingTweets"]
    boxes = [name.get_window_extent() for name in names]
    for number, box in enumerate(boxes):
        assert 0 < box.x0 < box.x1 < made.bbox.x1
        assert 0 < box.y0 < box.y1 < made.bbox.y1
        assert not [other for other in boxes[:number] if Bbox.intersection(box, other)]


@pytest.mark.parametrize(
    ("runs", "labels"),
    [
        ([(58, 1), (250, 5), (260, 15)], ["1 min", "5, 15 min"]),
        ([(24, 0.4), (29, 0.5), (35, 0.6), (118, 2)], ["0.4 to 0.6 min", "2 min"]),
    ],
)
def test_budgets_that_ended_nearly_together_share_a_label(runs: list[tuple[int, float]], labels: list[str]) -> None:
    made, _ = figure.picture([record("ours", 1.6, *run) for run in runs])
    assert [text.get_text() for text in made.axes[0].texts if "min" in text.get_text()] == labels


@pytest.mark.parametrize("colour", [figure.GREY, *figure.COLOURS.values()])
def test_colours_can_be_told_from_a_light_page_and_from_a_dark_one(colour: str) -> None:
    def luminance(code: str) -> float:
        parts = [int(code[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    least = 4 if colour == figure.GREY else 2.9
    for page in ("#ffffff", "#0d1117"):
        darker, lighter = sorted((luminance(colour), luminance(page)))
        assert (lighter + 0.05) / (darker + 0.05) >= least, page


def test_a_result_counts_only_under_the_conditions_it_was_measured_under(tmp_path: Path) -> None:
    made = record("ours", 1.54, 298, 5)
    conditions, figures = made.pop("conditions"), made
    results = Results(tmp_path / "results.json")
    results.keep(conditions, figures)
    results = Results(tmp_path / "results.json")
    assert results.find(conditions)["bits_per_character"] == 1.54
    for name, other in {"machine": {"processor": "Abacus 3", "cores": 2, "threads": "all"}, "settings": {"rate": 1},
                        "versions": {"torch": "1"}, "posts": "x", "model": "n"}.items():  # fmt: skip
        assert results.find({**conditions, name: other}) is None, name
    results.keep({**conditions, "versions": {"torch": "1"}}, figures)
    assert results.find(conditions) is None, "the older result of the same run made room"
    assert len(results.records) == 1
    elsewhere = {"processor": "Abacus 3", "cores": 2, "threads": "all"}
    results.keep({**conditions, "machine": elsewhere}, figures)
    assert len(results.records) == 2, "another machine's result stays"


# The whole of it


def start(results: Path, model: Path, *arguments: str) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    call = [sys.executable, "-m", "benchmarks", "--model", str(model), "--results", str(results), "--authors", AUTHOR]
    return subprocess.Popen(
        [*call, "--seeds", "0", "--only", "run_clm,ancestor", "--minutes", "0.01", "--matrix", "64", *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_benchmark_that_was_broken_off_goes_on_and_does_nothing_twice(model: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    broken = start(results, model)
    while not results.exists() and broken.poll() is None:
        time.sleep(0.1)
    broken.send_signal(signal.SIGINT)
    _, said = broken.communicate(timeout=60)
    assert broken.returncode == 130, said
    assert "Broken off; 1 of 2 runs are kept" in said
    first = json.loads(results.read_text())
    assert [one["conditions"]["run"]["recipe"] for one in first] == ["run_clm"]

    listing, _ = start(results, model, "--list").communicate(timeout=60)
    assert "1 of 2 runs are done; the rest takes about" in listing

    output, said = start(results, model).communicate(timeout=300)
    assert "[1/1] ancestor" in said
    second = json.loads(results.read_text())
    assert second[0] == first[0]
    assert [one["conditions"]["run"]["recipe"] for one in second] == ["run_clm", "ancestor"]
    ancestor = second[1]
    assert ancestor["steps"] == ancestor["planned_steps"] > 100
    assert ancestor["bits_per_character"] < ancestor["bits_per_character_before"]
    assert [point[1] for point in ancestor["curve"]][0] == ancestor["bits_per_character_before"]
    assert len(ancestor["curve"]) == 7
    assert 0 < ancestor["share"] < 1
    assert "huggingtweets of 2020" in output

    _, said = start(results, model).communicate(timeout=60)
    assert "[1/" not in said
    assert json.loads(results.read_text()) == second


def test_ours_is_measured_through_the_command_line(model: Path, tmp_path: Path) -> None:
    bench = command.Bench(str(model), tmp_path / "results.json", matrix=64)
    bench.read([AUTHOR])
    run = Run("ours", AUTHOR, seed=0, minutes=0.5)
    bench.measure([run], again=False)
    (found,) = bench.done([run])
    assert found["seconds"]["train"] < found["seconds"]["total"] < 45
    assert found["curve"][-1] == [found["seconds"]["total"], found["bits_per_character"]]
    assert found["bits_per_character"] < found["bits_per_character_before"]
    assert found["operations_a_token"] > 0, "whatever it is that learns by default, somebody has counted its operations"
    language_model = load_folder(model, torch.device("cpu"))
    held_out = material.parts(bench.authors[AUTHOR], language_model, seed=0).held_out
    assert found["held_out"]["posts"] == len(held_out), "all of them, however few the program had time for"
    assert not list(Path.cwd().rglob("bots")), "no bot is left behind"


def test_a_run_that_fails_is_told_and_tried_again(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bench = command.Bench(str(model), tmp_path / "results.json", matrix=64)
    bench.read([AUTHOR])
    run = Run("run_clm", AUTHOR, seed=0, minutes=0.01)
    (model / "model.safetensors").rename(model / "away")
    try:
        bench.measure([run], again=False)
    finally:
        (model / "away").rename(model / "model.safetensors")
    assert "1 runs failed; the same command tries them again" in capfd.readouterr().err
    assert bench.left([run]) == [run]


# What is measured besides training


def test_drafts_of_a_loaded_bot_are_timed_by_turns_with_plain_generate(trained_bot: Path) -> None:
    told = {**recipes.WRITING, "bot": str(trained_bot), "seed": 0, "rounds": 2, "many": 15}
    found = loaded.measure(told)
    first, later, many = found["first_call"], found["later_calls"], found["many"]
    for side in ("ours", "plain"):
        assert [len(call[side]["seconds"]) for call in (first, later, many)] == [1, 2, 1]
        assert many[side]["tokens_per_second"] > 10
        assert 1 < many[side]["tokens_a_draft"] <= told["longest"]
    for draft, whole in zip(later["ours"]["first_draft"], later["ours"]["seconds"], strict=True):
        assert 0 < draft < whole
    assert later["plain"]["first_draft"] == pytest.approx(later["plain"]["seconds"], abs=0.01), "ten come at once"
    assert many["plain"]["first_draft"] < many["plain"]["seconds"], "the first ten come before the other five"


def test_plain_generate_writes_what_ours_writes_where_nothing_is_left_to_chance(trained_bot: Path) -> None:
    told = {**recipes.WRITING, "bot": str(trained_bot), "top_p": 1e-6, "drafts": 4}
    writers = loaded.Writers(told)
    ours, plain = loaded.Tally(), loaded.Tally()
    writers.ours(4, 0, ours)
    writers.plain(4, 0, plain)
    (likeliest,) = {draft.text for draft in write(writers.bot, "", 4, WritingSettings(top_p=1e-6)).drafts}
    assert [text.strip() for text, _, _ in writers._generate(2)] == [likeliest] * 2
    assert ours.tokens == plain.tokens == 4 * (len(writers.bot.language_model.encode_opening(likeliest)) + 1)
    assert (ours.whole, plain.whole) == (4, 4)


def test_posts_are_varied_enough_to_be_kept_and_learned_from(model: Path, tmp_path: Path) -> None:
    texts = material.author(AUTHOR, model).texts
    made = reading.varied(texts, 1500, recipes.READING["exchanged"], seed=0)
    reading.save(made, tmp_path / "posts.jsonl")
    seconds, counts = reading.once(tmp_path / "posts.jsonl", load_folder(model, torch.device("cpu")), seed=0)
    assert counts["kept"] > 0.97 * len(made)
    assert counts["near_duplicates"] < 0.01 * len(made)
    assert min(seconds) > 0


def test_four_times_the_posts_do_not_take_much_more_than_four_times_as_long(model: Path) -> None:
    found = reading.measure({**recipes.READING, "posts": [500, 2000], "model": str(model), "author": AUTHOR, "seed": 0})
    small, large = found["sizes"]
    assert (small["posts"], large["posts"]) == (500, 2000)
    assert sum(small["seconds"].values()) < sum(large["seconds"].values()) < 8 * sum(small["seconds"].values())
    assert table.line(found).startswith("4 times as many posts take")


def test_what_is_besides_training_is_measured_once_and_not_in_ten_minutes(model: Path) -> None:
    runs = plan(["sample:keeperfinch", AUTHOR])
    besides = [run for run in runs if run.recipe in recipes.BESIDES]
    assert besides == [Run("writing", "sample:keeperfinch", 0), Run("reading", "sample:keeperfinch", 0)]
    assert {run.recipe for run in plan([AUTHOR], quick=True)} == {"ours", "trl", "run_clm", "ancestor"}
    assert plan([AUTHOR], only=["reading"], quick=True) == [Run("reading", AUTHOR, 0)]
    assert all(run.seconds(material.author(AUTHOR, model)) < 600 for run in besides)


@pytest.mark.slow
def test_writing_and_reading_are_kept_and_shown_like_the_rest(
    taught_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"commands": 1, "rounds": 1, "many": 10, "steps": 2}.items():
        monkeypatch.setitem(recipes.WRITING, name, value)
    monkeypatch.setitem(recipes.READING, "posts", [200, 800])
    bench = command.Bench(str(taught_model), tmp_path / "results.json", matrix=64)
    bench.read([AUTHOR])
    runs = plan([AUTHOR], only=recipes.BESIDES)
    bench.measure(runs, again=False)
    assert not bench.left(runs)
    written, read = bench.done(runs)
    (cold,) = written["cold_seconds"]
    assert cold > written["first_call"]["ours"]["seconds"][0], "a command has to load the bot as well"
    assert [size["posts"] for size in read["sizes"]] == [200, 800]
    text = table.text([written, read])
    assert "10 drafts from a cold command" in text
    assert f"The bot learned from {AUTHOR} for 2 steps" in text
    assert "4 times as many posts take" in text
    said = capfd.readouterr().err
    assert "s for ten drafts from a loaded bot" in said
    bench.draw(bench.done(runs))
    assert not (tmp_path / "results.svg").exists(), "there is no curve to draw"
    assert not list(Path.cwd().rglob("bot")), "no bot is left behind"
