import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from utils.bot import Bot
from utils.errors import BadSetting
from utils.events import Event
from utils.generation import TRIES, beginnings, first_begun, write
from utils.pipeline import make_bot
from utils.post_length import LIMIT, MARK, marked, weighted_length
from utils.scoring import score
from utils.settings import TrainingSettings, WritingSettings


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, taught_model: Path) -> Bot:
    """A tiny bot that writes something like words, and ends its posts."""
    folder = tmp_path_factory.mktemp("writer") / "bot"
    make_bot(["sample:unit7bakes"], TrainingSettings(steps=2, model=str(taught_model)), out=folder)
    return Bot.load(folder)


SEEDED = WritingSettings(seed=1)


def test_every_draft_is_whole_and_leaves_room_for_the_mark(bot: Bot) -> None:
    drafts = write(bot, count=12, settings=SEEDED).drafts
    assert drafts
    for draft in drafts:
        assert weighted_length(draft.text + MARK) <= LIMIT
        assert "<|" not in draft.text
        assert "\ufffd" not in draft.text, "a character of which a part is missing is no character"
        assert draft.text == draft.text.strip()
        assert draft.as_dict()["post"] == marked(draft.text) == draft.text + " 🤖 written by a bot"


def test_the_same_seed_writes_the_same_drafts_and_another_seed_others(bot: Bot) -> None:
    one, same, other = (write(bot, count=4, settings=WritingSettings(seed=seed)).drafts for seed in (1, 1, 2))
    assert one == same
    assert [draft.text for draft in one] != [draft.text for draft in other]


def test_an_opening_opens_every_draft_and_is_never_all_of_it(bot: Bot) -> None:
    for draft in write(bot, "  The oven 3 ", count=4, settings=SEEDED).drafts:
        assert draft.start == "The oven 3"
        assert draft.text.startswith("The oven 3")
        assert len(draft.text) > len("The oven 3")


def test_drafts_are_told_of_as_they_are_finished(bot: Bot) -> None:
    events: list[Event] = []
    writing = write(bot, count=5, settings=SEEDED, on_event=events.append)
    assert [event.data["text"] for event in events] == [draft.text for draft in writing.drafts]
    assert [event.kind for event in events] == ["draft"] * len(writing.drafts)


def test_the_first_draft_is_mostly_told_of_before_half_of_the_tokens_are_sampled(bot: Bot) -> None:
    def share(seed: int) -> float:
        rows_sampled: list[int] = []
        told: list[int] = []
        hook = bot.language_model.network.base_model.register_forward_pre_hook(
            lambda network, args, kwargs: rows_sampled.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        write(bot, settings=WritingSettings(seed=seed), on_event=lambda event: told.append(sum(rows_sampled)))
        hook.remove()
        return told[0] / sum(rows_sampled)

    assert statistics.median(map(share, range(7))) < 0.5


FINISHED = [
    ("those that were begun first count, in whatever order they finish", 2, "1+ 3+ 0+ 2+", "1+ 0+"),
    ("nothing is waited for once they are there", 1, "0+ ?", "0+"),
    ("one that failed is made good for by the next, which may have finished before it", 2, "2+ 1+ 0-", "1+ 0- 2+"),
    ("or finishes later", 2, "0- 1+ 3+ 2+", "0- 1+ 2+"),
    ("a spare that failed counts only when it is needed", 2, "2- 3+ 0+ 1-", "0+ 1- 2- 3+"),
    ("and not before", 2, "2- 0+ 1+ ?", "0+ 1+"),
    ("where the spares do not do, fewer are there", 2, "0- 2- 1+", "0- 2- 1+"),
]


@pytest.mark.parametrize(
    ("wanted", "finished", "told"), [row[1:] for row in FINISHED], ids=[row[0] for row in FINISHED]
)
def test_short_drafts_do_not_push_in(wanted: int, finished: str, told: str) -> None:
    def made() -> Iterator[tuple[int, str | None]]:
        for item in finished.split():
            assert item != "?", "nobody should have waited for this"
            yield int(item[0]), None if item[1] == "-" else item

    # A failure is told of without its number, so that both sides are written without it here.
    assert [draft or "-" for draft in first_begun(made(), wanted)] == [
        "-" if item[1] == "-" else item for item in told.split()
    ]


def test_the_bits_of_a_draft_are_its_score(bot: Bot) -> None:
    apart = []
    for draft in write(bot, count=9, settings=SEEDED).drafts:
        apart.append(abs(draft.bits_per_character - score(bot.language_model, [draft.text]).bits_per_character))
    assert max(apart) < 1e-3


def test_drafts_that_never_end_are_written_again_then_dropped_and_counted(bot: Bot) -> None:
    never_said = bot.language_model.tokenizer.convert_tokens_to_ids("<|im_start|>")
    endless = Bot(replace(bot.language_model, end=never_said), bot.story, bot.training)
    writing = write(endless, count=2, settings=WritingSettings(seed=1, temperature=0.05))
    assert (writing.drafts, writing.dropped) == ([], 2), "none was cut to fit"
    assert writing.rewritten == 2 * TRIES


def test_a_draft_that_repeats_a_training_post_carries_it(bot: Bot) -> None:
    text = write(bot, count=8, settings=SEEDED).drafts[0].text
    knows_it = Bot(bot.language_model, bot.story, ["something else to say", text.upper()])
    assert write(knows_it, count=8, settings=SEEDED).drafts[0].copied_from == text.upper()
    knows_nothing = Bot(bot.language_model, bot.story, ["something else to say"])
    assert write(knows_nothing, count=8, settings=SEEDED).drafts[0].copied_from is None


def test_stopping_keeps_what_was_written(bot: Bot) -> None:
    written: list[Event] = []
    writing = write(bot, count=40, settings=SEEDED, on_event=written.append, should_stop=lambda: len(written) >= 3)
    assert writing.stopped
    assert 3 <= len(writing.drafts) < 40


def test_an_opening_is_rid_of_what_no_post_can_hold(bot: Bot) -> None:
    drafts = write(bot, "\ufeffa\tb\udcff\r\nc\x07", count=6, settings=SEEDED).drafts
    assert drafts
    assert {draft.start for draft in drafts} == {"a b\nc"}


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_a_number_of_drafts_out_of_range_is_refused(bot: Bot, count: int) -> None:
    with pytest.raises(BadSetting, match="from 1 to 1,000"):
        write(bot, count=count)


def test_an_opening_that_leaves_no_room_is_refused(bot: Bot) -> None:
    with pytest.raises(BadSetting, match="The opening counts 261 characters of the 280"):
        write(bot, "ab cd " * 43 + "xyz")


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"seed": -1}]
)
def test_a_knob_turned_past_its_end_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting):
        WritingSettings(**wrong)


LENGTHS = [
    ("a letter counts one", "abc", 3),
    ("Japanese counts two", "日本", 4),
    ("an emoji counts two, however it is made", "👨‍👩‍👧", 2),
    ("a link counts 23", "https://example.com/" + "a" * 100, 23),
]


@pytest.mark.parametrize(("text", "length"), [row[1:] for row in LENGTHS], ids=[row[0] for row in LENGTHS])
def test_length_is_counted_as_x_counts(text: str, length: int) -> None:
    assert weighted_length(text) == length


def test_a_model_that_ends_nowhere_is_cut_at_a_word(bot: Bot) -> None:
    texts, same, others = (beginnings(bot.language_model, count=12, seed=seed, letters=30) for seed in (1, 1, 2))
    assert len(texts) == 12
    assert all(text == " ".join(text.split()) and len(text) <= 30 for text in texts)
    assert texts == same != others
    assert len(beginnings(bot.language_model, count=120, seed=1, letters=30)) == 120, "more than are written at a time"
