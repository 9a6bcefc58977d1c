import random
from collections import Counter
from itertools import islice

import pytest

from utils.cleaning import CleanTimeline, check_enough, clean
from utils.dataset import build, mixed
from utils.errors import BadSetting, TooFewPosts
from utils.settings import FEWEST_POSTS, MINIMUM_POSTS
from utils.timelines import Post, Timeline, load
from utils.timelines.dates import parse_date


def encode(text: str) -> list[int]:
    return [0, *text.encode(), 0]


def author(count: int, name: str = "@a", dated: bool = True) -> CleanTimeline:
    """An author with `count` posts of random words, a day apart, oldest first."""
    rng = random.Random(name)
    texts = [" ".join("".join(rng.choices("abcdefgh", k=6)) for _ in range(rng.randrange(3, 12))) for _ in range(count)]
    posts = (
        Post(str(n), parse_date(f"{2000 + n // 336}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}") if dated else None, text)
        for n, text in enumerate(texts)
    )
    return clean(Timeline(name, "a test", tuple(posts)))


def texts(examples) -> list[str]:
    return [example.text for example in examples]


def test_held_out_are_the_newest_tenth_and_the_parts_share_no_post() -> None:
    timeline = author(300)
    dataset = build([timeline], encode, seed=0)
    every = [post.text for post in timeline.posts]
    assert texts(dataset.held_out) == every[-30:]
    assert len(dataset.validation) == 27
    assert sorted(texts(dataset.training) + texts(dataset.validation) + texts(dataset.held_out)) == sorted(every)


def test_the_parts_have_their_limits() -> None:
    dataset = build([author(5000)], encode, seed=0)
    assert (len(dataset.held_out), len(dataset.validation)) == (400, 100)


def test_without_dates_the_order_of_the_file_counts_as_oldest_first() -> None:
    timeline = author(100, dated=False)
    assert not timeline.dated
    assert texts(build([timeline], encode, seed=0).held_out) == [post.text for post in timeline.posts][-10:]


def test_the_seed_decides_the_split_and_nothing_else_does() -> None:
    timeline = author(300)
    one, same, other = (build([timeline], encode, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.validation != other.validation
    assert one.held_out == other.held_out


def test_training_posts_that_nearly_repeat_held_out_ones_are_left_out() -> None:
    timeline = author(300)
    posts = list(timeline.posts)
    posts[5] = Post("5", posts[5].created_at, posts[-1].text.upper() + "!")
    dataset = build([clean(Timeline("@a", "a test", tuple(posts)))], encode, seed=0)
    assert dataset.near_duplicates == 1
    assert posts[5].text not in texts(dataset.training)


def test_an_example_is_start_text_end_and_a_long_one_loses_its_end_only_in_training() -> None:
    timeline = author(100)
    posts = [Post("0", None, "word " * 200 + "end"), *timeline.posts]
    dataset = build([clean(Timeline("@a", "a test", tuple(posts)))], encode, seed=0)
    assert dataset.training[0].tokens == tuple(encode(dataset.training[0].text)[:512])
    assert all(e.tokens == tuple(encode(e.text)) for e in dataset.validation + dataset.held_out)


def test_authors_have_an_equal_say_whatever_their_volume() -> None:
    dataset = build([author(1000, "@loud"), author(60, "@quiet")], encode, seed=0)
    drawn = [index for batch in islice(dataset.training_batches(2000, seed=0), 100) for index in batch]
    says = Counter(dataset.training[index].author for index in drawn)
    assert says[1] / says.total() == pytest.approx(0.5, abs=0.02)
    quiet = Counter(index for index in drawn if dataset.training[index].author == 1)
    assert max(quiet.values()) - min(quiet.values()) <= 2, "each post of an author comes about as often as the others"


def test_one_author_is_read_once_through_before_any_post_comes_again() -> None:
    order = list(islice(mixed([0] * 50, seed=3), 100))
    assert sorted(order[:50]) == sorted(order[50:]) == list(range(50))
    assert order[:50] != order[50:]


def test_batches_are_full_of_similar_lengths_and_never_hold_a_post_twice() -> None:
    dataset = build([clean(load("sample:keeperfinch"))], encode, seed=0)
    real = padded = 0
    for batch in islice(dataset.training_batches(4096, seed=0), 200):
        lengths = [len(dataset.training[index].tokens) - 1 for index in batch]
        assert len(set(batch)) == len(batch)
        assert max(lengths) * len(batch) <= 4096
        real, padded = real + sum(lengths), padded + max(lengths) * len(batch)
    assert real / padded > 0.95


def test_more_than_three_authors_are_refused() -> None:
    with pytest.raises(BadSetting, match="At most 3 authors"):
        build([author(100, f"@{n}") for n in range(4)], encode, seed=0)


def test_posts_that_all_say_nearly_the_same_are_refused() -> None:
    posts = (Post(str(n), None, f"It is now {n} o'clock and all is well in the town") for n in range(200))
    with pytest.raises(TooFewPosts, match="different posts to learn from"):
        build([clean(Timeline("@clock", "a test", tuple(posts)))], encode, seed=0)


def test_the_fewest_posts_that_are_enough_leave_enough_to_learn_from() -> None:
    words = iter(text for post in author(3000).posts for text in post.text.split())
    posts = tuple(Post(str(n), None, " ".join(islice(words, 60))) for n in range(FEWEST_POSTS))
    cleaned = clean(Timeline("@a", "a test", posts))
    check_enough([cleaned])
    assert len(build([cleaned], encode, seed=0).training) == MINIMUM_POSTS


def test_a_handful_of_very_long_posts_is_refused() -> None:
    timeline = clean(Timeline("@a", "a test", tuple(Post(str(n), None, f"{n} word " * 900) for n in range(3))))
    with pytest.raises(TooFewPosts, match="training needs at least 20"):
        build([timeline], encode, seed=0)
