"""Does a classifier tell two kinds of texts apart, and does it take drafts for the author's?"""

import json
import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from utils.bot import Bot
from utils.errors import TooFewPosts
from utils.evaluation import FEWEST_TEXTS, recognise, style, tell_apart
from utils.pipeline import evaluate_bot, read


@pytest.fixture(scope="module")
def keeper() -> list[str]:
    """The lighthouse keeper's posts, in no order."""
    return texts("sample:keeperfinch")


@pytest.fixture(scope="module")
def robot() -> list[str]:
    """The baking robot's."""
    return texts("sample:unit7bakes")


def texts(reference: str) -> list[str]:
    found = [post.text for post in read([reference])[0].posts]
    return random.Random(0).sample(found, len(found))


def test_posts_of_one_author_are_not_told_apart(keeper: list[str]) -> None:
    splits = [random.Random(seed).sample(keeper, 300) for seed in range(4)]
    found = [tell_apart(posts[:100], posts[100:]) for posts in splits]
    assert {separation.texts for separation in found} == {100}
    assert statistics.mean(separation.auc for separation in found) == pytest.approx(0.5, abs=0.08)


def test_two_authors_are_told_apart(keeper: list[str], robot: list[str]) -> None:
    found = tell_apart(keeper[:200], robot[:200])
    assert found.auc > 0.9
    assert found.spread < 0.05


def test_fewer_texts_leave_more_doubt(keeper: list[str]) -> None:
    few, many = (tell_apart(keeper[:count], keeper[-count:]) for count in (20, 200))
    assert few.spread > 2 * many.spread


def test_the_same_seed_gives_the_same_figure(keeper: list[str], robot: list[str]) -> None:
    first, again, other = (tell_apart(keeper[:60], robot[:40], seed) for seed in (1, 1, 2))
    assert first == again != other


def test_case_and_punctuation_are_style(keeper: list[str]) -> None:
    shouted = [text.upper() for text in keeper[:60]]
    assert tell_apart(shouted, keeper[60:120]).auc > 0.95


def test_texts_that_are_on_both_sides_give_nothing_away(keeper: list[str]) -> None:
    assert tell_apart(keeper[:60], keeper[:60]).auc == pytest.approx(0.5, abs=0.01)


def test_a_text_that_comes_again_does_not_give_its_side_away(keeper: list[str]) -> None:
    """Five of each, and nearly the same: whoever had met one in another fold would know the others."""
    posts = [text for text in keeper if len(text) > 60][:48]
    repeated = [f"{text}{end}" for text in posts for end in ("", "!", " …", "?", ".")]
    assert tell_apart(repeated[:120], repeated[120:]).auc < 0.75


def test_posts_of_the_author_are_recognised_and_those_of_another_are_not(keeper: list[str], robot: list[str]) -> None:
    posts, drafts = recognise(keeper[:150], robot[:300], keeper[150:200])
    assert (posts.texts, drafts.texts) == (150, 50)
    assert posts.auc > 0.9
    assert drafts.auc == pytest.approx(posts.auc, abs=0.06)
    assert recognise(keeper[:150], robot[:300], robot[300:350])[1].auc == pytest.approx(0.5, abs=0.15)


def test_too_few_texts_give_no_figure_but_the_reason(keeper: list[str], robot: list[str]) -> None:
    with pytest.raises(TooFewPosts, match=f"takes {FEWEST_TEXTS} of each kind; of one there were 19"):
        tell_apart(keeper[:19], robot)
    judged = style(keeper[:19], keeper[100:200], robot)
    assert judged.drafts_against_posts is judged.drafts_recognised is None
    assert "of one there were 19" in judged.remark


def test_drafts_that_are_all_the_same_give_no_figure_but_the_reason(keeper: list[str], robot: list[str]) -> None:
    judged = style(["The goat is on the roof again."] * 30, keeper[:30], robot)
    assert judged.drafts_against_posts is None
    assert "all texts are the same" in judged.remark


def test_without_other_authors_drafts_are_compared_with_posts_alone(keeper: list[str]) -> None:
    judged = style(keeper[:30], keeper[30:60], [])
    assert judged.drafts_against_posts and judged.drafts_recognised is None
    assert "no posts of another author" in judged.remark


def test_a_bot_of_which_a_short_training_scored_some_posts_is_compared_on_all_of_them(bot: Path) -> None:
    loaded = Bot.load(bot)
    whole = evaluate_bot(loaded, drafts=0)["bits_per_character_before"]
    some = {**loaded.story.held_out, "posts": 3, "characters": 200, "bits_per_character_before": 9.9}
    loaded.story = replace(loaded.story, held_out=some)
    assert evaluate_bot(loaded, drafts=0)["bits_per_character_before"] == pytest.approx(whole, abs=0.01)


def test_evaluating_a_bot_says_whether_it_sounds_like_its_author(bot: Path) -> None:
    figures = json.loads(json.dumps(evaluate_bot(Bot.load(bot), drafts=FEWEST_TEXTS, against_untrained=True)))
    for judged in (figures["style"], figures["style_untrained"]):
        assert judged.keys() == {"drafts_against_posts", "posts_recognised", "drafts_recognised", "remark"}
        assert judged["remark"] is None
        assert judged["drafts_against_posts"].keys() == {"texts", "auc", "spread"}
        assert judged["drafts_against_posts"]["texts"] == FEWEST_TEXTS
        assert judged["posts_recognised"]["texts"] == figures["posts"]
    assert figures["style"]["posts_recognised"]["auc"] > 0.8
