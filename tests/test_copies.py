import random

import pytest

from utils.copies import CopyIndex, first_words, five_grams, fold, near_duplicates, words

POST = "Lit up at dusk, and the goat said nothing about the biscuits at all."

COPIES = [
    ("the same text", POST, True),
    ("another case and other spaces", "LIT UP at dusk, and  the goat said\nnothing about the biscuits at all.", True),
    ("eight words of it", "Well: the goat said nothing about the biscuits at, um, tea", True),
    ("eight words, other punctuation", "the goat said: nothing about the biscuits. At last", True),
    ("seven words of it", "Well: the goat said nothing about the biscuits, um", False),
    ("its words in another order", "biscuits the about nothing said goat the and dusk at up lit", False),
]


@pytest.mark.parametrize(("text", "copied"), [row[1:] for row in COPIES], ids=[row[0] for row in COPIES])
def test_a_copy_is_the_same_text_or_a_run_of_eight_words(text: str, copied: bool) -> None:
    assert CopyIndex(["something else entirely", POST]).find(text) == (POST if copied else None)


def test_eight_signs_of_japanese_are_no_copy_but_sixteen_are() -> None:
    index = CopyIndex(["昨日は友達と一緒に映画を見に行きました。楽しかったです。"])
    assert index.find("週末は家族と一緒に山を見に行きました。") is None
    assert index.find("昨日は友達と一緒に映画を見に行きましたよ") is not None


def test_a_short_post_is_copied_only_whole() -> None:
    index = CopyIndex(["Good morning, sea."])
    assert index.find("good MORNING, sea.") == "Good morning, sea."
    assert index.find("Good morning, sea. You look well.") is None


def test_words_keep_contractions_and_numbers_whole() -> None:
    assert words("I can't — it's 3.14, isn't it?") == ["I", "can't", "it's", "3.14", "isn't", "it"]


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("Day eight. Admiral and I aren't speaking.", "Day eight. Admiral"),
        ("Admiral sneezed, twice.", "Admiral"),
        ("Morning!", ""),
        ("昨日は友達と一緒に映画を見に行きました。", "昨日は"),
    ],
)
def test_what_a_text_begins_with_is_never_all_of_it(text: str, beginning: str) -> None:
    assert first_words(text, 3) == beginning


def test_near_duplicates_are_exactly_those_that_comparing_all_pairs_finds() -> None:
    rng = random.Random(0)

    def variant(text: str) -> str:
        letters = list(text)
        for _ in range(rng.randrange(12)):
            letters[rng.randrange(len(letters))] = rng.choice("abcdefgh ")
        return "".join(letters)

    references = ["".join(rng.choice("abcdefgh ") for _ in range(80)) for _ in range(40)] + ["abc", ""]
    texts = [variant(rng.choice(references[:40])) for _ in range(300)] + ["ABC", "unrelated"]

    def similarity(one: str, other: str) -> float:
        a, b = five_grams(one), five_grams(other)
        return len(a & b) / len(a | b)

    expected = {i for i, text in enumerate(texts) if any(similarity(text, other) >= 0.7 for other in references)}
    assert near_duplicates(texts, references) == expected
    assert 20 < len(expected) < 280, "the test should see both kinds"


def test_folding_ignores_case_and_space_alone() -> None:
    assert fold(" Straße\n und  SEE ") == fold("STRASSE und see")
    assert fold("see!") != fold("see")
