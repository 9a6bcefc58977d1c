"""Posts by handle: real client libraries, networks on loopback, and the shelf between them."""

import gc
import ipaddress
import json
import logging
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from internet import Answer, Internet, Request
from networks import BEARER, FakeBluesky, FakeMastodon, FakeX, Network

from utils.errors import BadFile, BadReference, NetworkFailed, UserError
from utils.events import Event, ignore
from utils.timelines import Account, Fetching, Timeline, load, network, shelf, x_api
from utils.timelines.fetching import fetch as fetch_account
from utils.timelines.handles import MASTODON, Handle, parse

ASK = Fetching(newest=True, accept_x_terms=True, x_token=BEARER, pauses=(0.0, 0.0))
HANDLES = {FakeX: "@quietlife", FakeBluesky: "@quiet.bsky.social", FakeMastodon: "@quiet@fosstodon.org"}
every_network = pytest.mark.parametrize("kind", HANDLES, ids=lambda kind: kind.__name__)


def fetch(kind: type[Network], fetching: Fetching = ASK, on_event: Callable[[Event], None] = ignore) -> Timeline:
    return load(HANDLES[kind], on_event, fetching)


def texts(timeline: Timeline) -> list[str]:
    return [post.text for post in sorted(timeline.posts, key=lambda post: post.created_at)]


def always(answer: Answer) -> Callable[[Request], Answer]:
    return lambda request: replace(answer)


def broken(request: Request) -> Answer:
    return Answer({"feed": [], "data": []}, cut_after=4)


@every_network
class TestEveryNetwork:
    def test_all_posts_come_page_by_page_with_their_dates(self, kind: type[Network], internet: Internet) -> None:
        written = kind(internet, 250)
        timeline = fetch(kind)
        assert texts(timeline) == [post.text for post in written.posts]
        assert {post.created_at.isoformat() for post in timeline.posts} == {
            post.date.replace(".000Z", "+00:00") for post in written.posts
        }
        assert timeline.author == HANDLES[kind]

    def test_the_account_comes_with_what_the_network_says_of_it(self, kind: type[Network], internet: Internet) -> None:
        kind(internet, 3)
        account = fetch(kind).account
        assert (account.name, account.handle) == ("A Quiet Life", HANDLES[kind])
        assert account.followers in (321, 42, 7)
        assert account.avatar.startswith("https://") and account.link.startswith("https://")

    def test_text_comes_as_its_author_wrote_it(self, kind: type[Network], internet: Internet) -> None:
        written = ["🙃" * 300, "שלום עולם, זה ארוך", "a < b && b > c &amp; so on", "one\n\ntwo", "👩‍👩‍👧 at “home”"]
        kind(internet, written)
        assert texts(fetch(kind)) == written

    def test_a_second_fetch_makes_one_request(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 130)
        first = fetch(kind)
        asked = len(there.asked)
        assert texts(fetch(kind)) == texts(first)
        assert len(there.asked) == asked + 1

    def test_a_second_fetch_brings_what_is_newer(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 130)
        fetch(kind)
        there.write("Something new in a quiet life")
        asked = len(there.asked)
        timeline = fetch(kind)
        assert texts(timeline)[-1] == "Something new in a quiet life" and len(timeline.posts) == 131
        assert len(there.asked) == asked + 1

    def test_who_trains_after_a_fetch_asks_for_nothing(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 30)
        fetch(kind)
        asked = len(there.asked)
        assert len(load(HANDLES[kind]).posts) == 30
        assert len(there.asked) == asked

    def test_without_the_network_training_takes_what_is_on_the_shelf(
        self, kind: type[Network], internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = kind(internet, 30)
        fetch(kind)
        a_day_old(HANDLES[kind])
        there.faults = {number: broken for number in range(1, 99)}
        timeline = fetch(kind, replace(ASK, newest=False))
        assert len(timeline.posts) == 30
        assert "fetched before" in timeline.remarks[-1]

    @pytest.mark.parametrize("fault", [broken, always(Answer({}, 503)), always(Answer(b"<html>", 502))])
    def test_a_fault_that_passes_is_not_noticed(self, fault: Callable, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 130)
        there.faults = {2: fault, 3: fault}
        assert len(fetch(kind).posts) == 130

    def test_a_handshake_that_breaks_off_is_tried_again(self, kind: type[Network], internet: Internet) -> None:
        kind(internet, 3)
        internet.handshakes_to_break = 1
        assert len(fetch(kind).posts) == 3

    def test_a_fetch_that_breaks_off_keeps_its_pages_and_goes_on_from_there(
        self, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 1000)
        there.faults = {number: broken for number in range(7, 99)}
        with pytest.raises(NetworkFailed, match=r"The connection to .* broke") as caught:
            fetch(kind)
        kept = int(re.search(r"The (\d+) posts so far are kept; the next fetch goes on", str(caught.value))[1])
        there.faults = {}
        before = len(there.asked)
        there.write("Something new in a quiet life")
        assert texts(fetch(kind)) == [post.text for post in there.posts]
        pages_left = (1000 - kept) // (40 if kind is FakeMastodon else 100)
        assert kept >= 160 and len(there.asked) - before <= pages_left + 2  # one on top, one that is empty at the end

    def test_the_user_can_stop_between_pages_and_go_on_later(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 500)
        stopped = fetch(kind, replace(ASK, should_stop=lambda: len(there.asked) >= 4))
        assert 0 < len(stopped.posts) < 500
        assert "Stopped after" in stopped.remarks[-1]
        assert len(fetch(kind).posts) == 500

    def test_a_limit_takes_the_newest_and_fetches_no_more(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 500)
        timeline = fetch(kind, replace(ASK, limit=60))
        assert texts(timeline) == [post.text for post in there.posts[-60:]]
        assert len(there.asked) <= 4
        assert len(fetch(kind).posts) == 500

    def test_a_refresh_starts_over_and_keeps_the_old_posts_until_it_is_done(
        self, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 300)
        fetch(kind)
        there.posts = there.posts[:200]
        asked = len(there.asked)
        there.faults = {number: broken for number in range(asked + 3, asked + 99)}
        with pytest.raises(NetworkFailed):
            fetch(kind, replace(ASK, refresh=True))
        assert len(load(HANDLES[kind]).posts) == 300
        there.faults = {}
        assert len(fetch(kind, replace(ASK, refresh=True)).posts) == 200
        assert len(load(HANDLES[kind]).posts) == 200

    def test_a_limit_that_grows_leaves_no_gap(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 300)
        fetch(kind)
        for number in range(200):
            there.write(f"New post number {number}")
        fetch(kind, replace(ASK, limit=20))
        assert texts(fetch(kind, replace(ASK, limit=60))) == [post.text for post in there.posts[-60:]]

    def test_a_refresh_that_brings_less_leaves_what_was_there(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 300)
        fetch(kind)
        assert len(fetch(kind, replace(ASK, refresh=True, limit=5)).posts) == 5
        assert len(load(HANDLES[kind]).posts) == 300
        there.posts = []
        with pytest.raises(BadReference):
            fetch(kind, replace(ASK, refresh=True))
        assert len(load(HANDLES[kind]).posts) == 300

    def test_posts_of_one_moment_come_in_the_order_in_which_they_were_written(
        self, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 150)
        for post in there.posts:
            post.more = dict.fromkeys(("createdAt", "created_at"), "2026-03-01T12:00:00.000Z")
        newest = fetch(kind, replace(ASK, limit=10)).posts
        assert [post.text for post in newest] == [post.text for post in there.posts[-10:]]

    def test_one_damaged_line_costs_one_post(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 300)
        fetch(kind)
        path = shelf.path_of(parse(HANDLES[kind]))
        lines = path.read_bytes().splitlines(keepends=True)
        lines[20] = lines[20][:30] + b"\n"
        path.write_bytes(b"".join(lines))
        asked = len(there.asked)
        assert len(load(HANDLES[kind]).posts) == 299
        assert len(fetch(kind).posts) in (299, 300) and len(there.asked) == asked + 1  # it may come up again

    def test_a_shelf_with_any_byte_changed_is_a_shelf_or_a_sentence(
        self, kind: type[Network], internet: Internet
    ) -> None:
        kind(internet, 3)
        fetch(kind)
        path = shelf.path_of(parse(HANDLES[kind]))
        whole = path.read_bytes()
        for place in range(0, len(whole), 3):
            path.write_bytes(whole[:place] + b"7" + whole[place + 1 :])
            shelf.everything()
            with suppress(UserError):
                fetch(kind)

    def test_a_shelf_is_not_cleared_under_a_fetch(self, kind: type[Network], internet: Internet) -> None:
        kind(internet, 300)
        refused: list[str] = []

        def clear(event: Event) -> None:
            if event.data.get("pages") == 1:
                with pytest.raises(BadFile) as caught:
                    shelf.clear(shelf.Shelf(shelf.path_of(parse(HANDLES[kind]))))
                refused.append(str(caught.value))

        assert len(fetch(kind, on_event=clear).posts) == 300
        assert "is being fetched by another program" in refused[0]

    def test_a_network_that_goes_round_in_circles_is_left(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 300)
        first: list[Answer] = []

        def again(request: Request) -> Answer:
            first.append(first[0] if first else there.answer(request))
            return replace(first[0])

        there.faults = dict.fromkeys(range(3, 999), again)
        with pytest.raises(NetworkFailed, match="the same posts of .* again and again"):
            fetch(kind)
        assert len(there.asked) < 12

    @pytest.mark.parametrize(("status", "seconds"), [(503, "1"), (503, "99999999"), (429, "0")])
    def test_a_network_that_always_asks_to_wait_is_left(
        self, status: int, seconds: str, kind: type[Network], internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network, "LONGEST_WAIT", 1)
        monkeypatch.setattr(network, "MOST_WAITS", 2)
        there = kind(internet, 3)
        there.faults = {number: always(Answer({}, status, {"Retry-After": seconds})) for number in range(1, 99)}
        with pytest.raises(NetworkFailed):
            fetch(kind)
        assert len(there.asked) == 3

    def test_a_body_that_comes_drop_by_drop_is_not_waited_for(
        self, kind: type[Network], internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network, "SECONDS_IN_ALL", 0.3)
        there = kind(internet, 3)
        there.faults = {number: always(Answer(b" " * 100, drip=0.05)) for number in range(1, 99)}
        started = time.monotonic()
        with pytest.raises(NetworkFailed, match="too slow to answer"):
            fetch(kind)
        assert time.monotonic() - started < 8

    @pytest.mark.parametrize(
        "odd", [None, 5, -1, "words", "\ud800", True, [], [5], {}, {"text": 5}, 1e400, "x" * 10_000]
    )
    def test_whatever_a_field_holds_one_gets_posts_or_a_sentence(
        self, odd: object, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 2)
        about = {FakeX: "user", FakeBluesky: "profile", FakeMastodon: "account"}[kind]
        fields = ["id", "text", "created_at", "referenced_tweets", "note_tweet", "createdAt", "facets", "labels",
                  "content", "visibility", "spoiler_text", "in_reply_to_account_id", "in_reply_to_user_id",
                  "reblog"]  # fmt: skip
        for field in fields:
            there.posts[0].more = {field: odd}
            with suppress(UserError):
                fetch(kind, replace(ASK, refresh=True))
        there.posts[0].more = {}
        for field in list(getattr(there, about)):
            setattr(there, about, getattr(there, about) | {field: odd})
            with suppress(UserError):
                fetch(kind, replace(ASK, refresh=True))
            shelf.path_of(parse(HANDLES[kind])).unlink(missing_ok=True)

    def test_the_account_is_looked_up_again_after_a_day(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 30)
        fetch(kind)
        a_day_old(HANDLES[kind])
        asked = len(there.asked)
        there.write("Something new in a quiet life")
        assert len(fetch(kind).posts) == 31
        assert len(there.asked) > asked + 1

    def test_replies_to_others_and_reposts_are_counted_and_left_out(
        self, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 3)
        if kind is not FakeBluesky:  # there the network leaves them out
            there.write("@somebody That is so", answers="99")
            there.write("And another thing", answers=there.USER)
        if kind is FakeBluesky:
            there.write("Words of somebody else", reposted=True)
        timeline = fetch(kind)
        assert len(timeline.posts) == (3 if kind is FakeBluesky else 4)
        assert timeline.left_out == ({"reposts": 1} if kind is FakeBluesky else {"replies": 1})

    def test_an_account_without_posts_is_a_sentence(self, kind: type[Network], internet: Internet) -> None:
        kind(internet, 0)
        with pytest.raises(BadReference, match=f"{HANDLES[kind]} is an account on .*, but has posted nothing"):
            fetch(kind)

    def test_what_is_half_written_is_no_page(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 130)
        fetch(kind)
        path = shelf.path_of(parse(HANDLES[kind]))
        whole = path.read_bytes()
        path.write_bytes(whole + b'{"id": "9999", "created_at": null, "text": "half a page"}\n{"id": "99')
        assert len(load(HANDLES[kind]).posts) == 130
        there.write("Something new in a quiet life")
        assert len(fetch(kind).posts) == 131
        assert b"half a page" not in path.read_bytes()

    def test_a_network_that_says_until_when_is_waited_for_with_a_countdown(
        self, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 130)
        # The network's clock is three days ahead of this machine's; only the time between its two moments counts.
        there_now = datetime.now(UTC) + timedelta(days=3)
        reset = there_now + timedelta(seconds=1)
        name = {FakeX: "x-rate-limit-reset", FakeBluesky: "ratelimit-reset", FakeMastodon: "X-RateLimit-Reset"}[kind]
        value = reset.isoformat() if kind is FakeMastodon else str(int(reset.timestamp()))
        headers = {name: value, "Date": format_datetime(there_now, usegmt=True)}
        there.faults = {3: always(Answer({"title": "Too Many Requests"}, 429, headers))}
        events: list[Event] = []
        started = time.monotonic()
        assert len(fetch(kind, on_event=events.append).posts) == 130
        assert 0.9 < time.monotonic() - started < 15
        assert any("asks to wait; going on in" in event.sentence for event in events)

    def test_a_network_that_does_not_say_until_when_is_asked_again_and_then_left(
        self, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 130)
        there.faults = {2: always(Answer({}, 429))}
        assert len(fetch(kind).posts) == 130
        there.faults = {number: always(Answer({}, 429)) for number in range(1, 99)}
        with pytest.raises(NetworkFailed, match="so often. What was fetched is kept; go on in a quarter"):
            fetch(kind)

    def test_a_wait_of_hours_is_told_and_not_waited(self, kind: type[Network], internet: Internet) -> None:
        there = kind(internet, 130)
        there.faults = {1: always(Answer({}, 429, {"Retry-After": "7200"}))}
        with pytest.raises(NetworkFailed, match="go on in 120 min"):
            fetch(kind)

    def test_a_network_that_is_slow_is_not_waited_for_without_end(
        self, kind: type[Network], internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(network, "SECONDS_OF_SILENCE", 0.2)
        there = kind(internet, 130)
        there.faults = {number: always(Answer({}, seconds=0.5)) for number in range(1, 99)}
        with pytest.raises(NetworkFailed, match="too slow to answer. Three tries failed"):
            fetch(kind)

    def test_the_program_says_who_it_is(self, kind: type[Network], internet: Internet) -> None:
        kind(internet, 3)
        fetch(kind)
        assert {request.headers["User-Agent"] for request in internet.requests} == {network.USER_AGENT}
        assert network.USER_AGENT.startswith("HuggingTweets")

    @pytest.mark.parametrize("body", [b"<html>Welcome</html>", [1, 2], "words", b"\xff\xfe", b"[" * 100_000, None, {}])
    def test_an_answer_of_another_kind_is_a_sentence(
        self, body: object, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 3)
        there.faults = {number: always(Answer(body)) for number in range(1, 99)}
        with pytest.raises(UserError):
            fetch(kind)

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 410, 418, 422, 451])
    @pytest.mark.parametrize("body", [["not an object"], {"errors": "words"}, b"<html>", {"error": None, "message": 5}])
    def test_every_refusal_is_one_sentence(
        self, status: int, body: object, kind: type[Network], internet: Internet
    ) -> None:
        there = kind(internet, 3)
        there.faults = {1: always(Answer(body, status))}
        with pytest.raises(UserError) as caught:
            fetch(kind)
        assert str(caught.value).endswith((".", "costs nothing.", "com."))


def a_day_old(handle: str) -> None:
    """Let the shelf look as if it had been filled yesterday."""
    path = shelf.path_of(parse(handle))
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in lines:
        for stamped in (line, line.get("page", {})):
            if "at" in stamped:
                stamped["at"] -= 90_000
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


class TestX:
    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (Answer({"title": "CreditsDepleted", "detail": "no credits"}, 402), "the credits of this key are used up"),
            (Answer({"title": "UsageCapExceeded", "period": "Monthly"}, 429), "the credits of this key are used up"),
            (Answer({"title": "Unauthorized"}, 401), "does not accept the key"),
            (Answer({"title": "Client Forbidden", "reason": "client-not-enrolled"}, 403), "its app has no plan"),
            (Answer(["a list"], 402), "the credits of this key are used up"),
            (
                Answer({"errors": [{"title": "Not Found Error", "detail": "Could not find user"}]}),
                "There is no @quietlife",
            ),
            (
                Answer({"errors": [{"title": "Forbidden", "detail": "User has been suspended: [q]."}]}),
                "suspended",
            ),
            (Answer({"errors": [{"title": "Authorization Error", "detail": "Sorry"}]}), "are protected"),
        ],
    )
    def test_each_refusal_says_what_to_do(self, answer: Answer, sentence: str, internet: Internet) -> None:
        there = FakeX(internet, 3)
        there.faults = {1: always(answer)}
        with pytest.raises(UserError, match=sentence):
            fetch(FakeX)
        assert len(there.asked) == 1

    def test_a_protected_account_is_told_before_its_posts_are_asked_for(self, internet: Internet) -> None:
        there = FakeX(internet, 3)
        there.user["protected"] = True
        with pytest.raises(BadReference, match="protected: X shows them to followers alone"):
            fetch(FakeX)
        assert len(there.asked) == 1

    def test_credits_that_run_out_on_the_way_leave_the_pages_that_were_paid(self, internet: Internet) -> None:
        there = FakeX(internet, 500)
        there.faults = {4: always(Answer({"title": "CreditsDepleted"}, 402))}
        with pytest.raises(NetworkFailed, match="used up.* The 200 posts so far are kept"):
            fetch(FakeX)
        there.faults = {}
        asked = len(there.asked)
        assert len(fetch(FakeX).posts) == 500
        reads = [request for request in there.asked[asked:] if request.path.endswith("/tweets")]
        assert len(reads) == len(there.asked) - asked == 4  # one for newer posts, three pages of a hundred

    @pytest.mark.parametrize("fetching", [Fetching(newest=True), Fetching(), Fetching(newest=True, x_token=BEARER)])
    def test_nothing_is_asked_before_the_user_knows_price_and_terms(
        self, fetching: Fetching, internet: Internet
    ) -> None:
        there = FakeX(internet, 3)
        with pytest.raises(
            NetworkFailed, match=r"up to about \$16\.01 \(3,200 posts, replies.*III\.A.*--accept-x-terms"
        ):
            fetch(FakeX, fetching)
        assert there.asked == []

    def test_without_a_key_one_is_told_where_to_put_it(self, internet: Internet) -> None:
        there = FakeX(internet, 3)
        with pytest.raises(NetworkFailed, match="X needs a key.*X_BEARER_TOKEN"):
            fetch(FakeX, Fetching(newest=True, accept_x_terms=True))
        assert there.asked == []

    @pytest.mark.parametrize("name", ["X_BEARER_TOKEN", "TWITTER_BEARER_TOKEN"])
    def test_the_key_may_be_in_the_environment(
        self, name: str, internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        FakeX(internet, 3)
        monkeypatch.setenv(name, f" {BEARER}\n")
        assert len(fetch(FakeX, Fetching(newest=True, accept_x_terms=True)).posts) == 3

    def test_the_key_may_be_a_secret_of_colab(self, internet: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
        FakeX(internet, 3)
        colab, userdata = ModuleType("google.colab"), ModuleType("google.colab.userdata")
        userdata.SecretNotFoundError, userdata.NotebookAccessError = KeyError, PermissionError
        userdata.TimeoutException = TimeoutError
        userdata.get = {"TWITTER_BEARER_TOKEN": BEARER}.__getitem__
        colab.userdata = userdata
        for module in (ModuleType("google"), colab, userdata):
            monkeypatch.setitem(sys.modules, module.__name__, module)
        assert len(fetch(FakeX, Fetching(newest=True, accept_x_terms=True)).posts) == 3

    def test_the_price_is_said_before_the_first_request(self, internet: Internet) -> None:
        there = FakeX(internet, 300)
        said_after: list[tuple[str, int]] = []
        fetch(FakeX, replace(ASK, limit=200), lambda event: said_after.append((event.sentence, len(there.asked))))
        assert (f"Fetching @quietlife costs up to about {x_api.price(200)} at X's list price", 0) in said_after

    def test_a_page_of_nothing_but_reposts_is_not_the_last(self, internet: Internet) -> None:
        there = FakeX(internet, 120)
        for number in range(230):
            there.write(f"RT @other: {number}", reposted=True)
        there.write("Something new in a quiet life")
        there.cut_first = True
        assert len(fetch(FakeX).posts) == 121

    def test_no_more_is_read_than_the_price_was_told_for(self, internet: Internet) -> None:
        there = FakeX(internet, 0)
        for number in range(300):
            there.write(f"@somebody reply {number}", answers="99")
        for limit, read in ((1, 5), (10, 10), (150, 200)):
            said: list[str] = []
            asked = len(there.asked)
            with suppress(BadReference):
                fetch(FakeX, replace(ASK, limit=limit), lambda event, said=said: said.append(event.sentence))
            pages = [request for request in there.asked[asked:] if request.path.endswith("/tweets")]
            assert sum(int(request.query["max_results"]) for request in pages) == read
            assert any(x_api.price(read) in sentence for sentence in said)
            shelf.path_of(parse("@quietlife")).unlink()

    @pytest.mark.parametrize("token", ["two words", "line\nbreak", "curly’quote", "tab\t"])
    def test_what_cannot_be_a_key_is_not_sent(self, token: str, internet: Internet) -> None:
        there = FakeX(internet, 3)
        with pytest.raises(NetworkFailed, match="letters that no key has"):
            fetch(FakeX, replace(ASK, x_token=token))
        assert there.asked == []

    def test_long_posts_come_whole_and_quotes_stay(self, internet: Internet) -> None:
        there = FakeX(internet, 0)
        whole = "A long story. " * 40 + "R&D"
        there.write("A long story… https://t.co/abc", more={"note_tweet": {"text": whole.replace("&", "&amp;")}})
        there.write("What they say", more={"referenced_tweets": [{"type": "quoted", "id": "7"}]})
        there.write("RT @other: hello", more={"referenced_tweets": [{"type": "retweeted", "id": "8"}]})
        timeline = fetch(FakeX)
        assert texts(timeline) == [whole, "What they say"]
        assert timeline.left_out == {"reposts": 1}

    def test_3200_posts_come_in_32_pages_soon_and_in_little_memory(self, internet: Internet) -> None:
        there = FakeX(internet, 3500)
        fetch(FakeX, replace(ASK, limit=5))  # imports
        shelf.clear(shelf.everything()[0])
        gc.collect()
        asked, before, started = len(there.asked), psutil.Process().memory_info().rss, time.process_time()
        timeline = fetch(FakeX)
        seconds, growth = time.process_time() - started, psutil.Process().memory_info().rss - before
        assert len(timeline.posts) == 3200 and len(there.asked) - asked == 33
        assert seconds < 3
        assert growth < 50e6


class TestBluesky:
    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (
                Answer({"error": "InvalidRequest", "message": "Profile not found"}, 400),
                "There is no @quiet.bsky",
            ),
            (Answer({"error": "AccountTakedown", "message": "Account has been suspended"}, 400), "has been suspended"),
            (Answer({"error": "AccountDeactivated", "message": "Account is deactivated"}, 400), "is deactivated"),
            (
                Answer({"did": "d", "handle": "h", "labels": [{"val": "!no-unauthenticated"}]}),
                "only people who are logged",
            ),
        ],
    )
    def test_each_refusal_says_what_to_do(self, answer: Answer, sentence: str, internet: Internet) -> None:
        there = FakeBluesky(internet, 3)
        there.faults = {1: always(answer)}
        with pytest.raises(BadReference, match=sentence):
            fetch(FakeBluesky)

    def test_an_account_can_be_named_by_its_did(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 3)
        assert load(there.DID, ignore, ASK).author == "@quiet.bsky.social"

    def test_who_asks_later_to_be_seen_by_members_alone_is_taken_at_their_word(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 3)
        fetch(FakeBluesky)
        there.profile["labels"] = [{"val": "!no-unauthenticated"}]
        a_day_old(HANDLES[FakeBluesky])
        with pytest.raises(BadReference, match="only people who are logged in"):
            fetch(FakeBluesky)

    def test_links_come_whole_and_labelled_posts_not_at_all(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 0)
        link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://example.com/the-whole-way"}
        there.write(
            "see example.com/the…", more={"facets": [{"index": {"byteStart": 4, "byteEnd": 22}, "features": [link]}]}
        )
        there.write("careful", more={"labels": {"values": [{"val": "porn"}]}})
        timeline = fetch(FakeBluesky)
        assert texts(timeline) == ["see https://example.com/the-whole-way"]
        assert timeline.left_out == {"warned": 1}

    def test_a_repost_that_was_taken_back_and_done_again_hides_nothing(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 3)
        old = there.write("Words of somebody else", reposted=True)
        fetch(FakeBluesky)
        there.posts.remove(old)
        for number in range(150):
            there.posts.append(replace(old, number=10 + number, text=f"New post number {number}", reposted=False))
        there.posts.append(replace(old, number=200))
        there.posts[-1].number = 200
        assert len(fetch(FakeBluesky).posts) == 153

    def test_pages_of_reposts_that_are_known_do_not_hide_what_is_below(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 30)
        for number in range(250):
            there.write(f"Words of somebody else, number {number}", reposted=True)
        for _ in range(3):
            assert len(fetch(FakeBluesky).posts) == 30
            a_day_old(HANDLES[FakeBluesky])


class TestMastodon:
    def test_html_becomes_text(self, internet: Internet) -> None:
        there = FakeMastodon(internet, 0)
        content = (
            '<p>Hello <span class="h-card"><a href="https://fosstodon.org/@bob">@<span>bob</span></a></span>, see '
            '<a href="https://example.com/the/whole/way"><span class="invisible">https://</span><span class="ellipsis">'
            'example.com/the</span><span class="invisible">/whole/way</span></a></p><p>Tea &amp; cake<br>twice</p>'
        )
        there.write("", more={"content": content})
        assert texts(fetch(FakeMastodon)) == ["Hello @bob, see https://example.com/the/whole/way\n\nTea & cake\ntwice"]

    def test_what_was_not_for_everybody_or_behind_a_warning_is_counted_and_left_out(self, internet: Internet) -> None:
        there = FakeMastodon(internet, 1)
        there.write("spoilers", more={"spoiler_text": "the film"})
        there.write("for friends", more={"visibility": "private"})
        there.write("quiet public", more={"visibility": "unlisted"})
        timeline = fetch(FakeMastodon)
        assert timeline.left_out == {"private": 1, "warned": 1} and len(timeline.posts) == 2

    @pytest.mark.parametrize(
        ("terms", "forbids"),
        [
            ("<p>You may not use posts for training large language models.</p>", True),
            ("<p>No scraping to train AI systems.</p>", True),
            ("<p>We train our moderators.</p>", False),
            (None, False),
        ],
    )
    def test_terms_against_training_are_told_before_the_posts_are_fetched(
        self, terms: str | None, forbids: bool, internet: Internet
    ) -> None:
        there = FakeMastodon(internet, 50)
        there.terms = terms
        events: list[tuple[str, int]] = []
        timeline = fetch(FakeMastodon, on_event=lambda event: events.append((event.sentence, len(there.asked))))
        told = [pages for sentence, pages in events if "speak against training" in sentence]
        assert told == ([2] if forbids else [])  # after the account and the terms, before the first page
        assert bool(timeline.remarks) == forbids

    def test_a_server_that_wants_a_login_says_so(self, internet: Internet) -> None:
        there = FakeMastodon(internet, 3)
        there.faults = {1: always(Answer({"error": "This API requires an authenticated user"}, 422))}
        with pytest.raises(NetworkFailed, match="only to people who are logged in there"):
            fetch(FakeMastodon)

    def test_an_account_that_is_not_there_is_a_sentence(self, internet: Internet) -> None:
        FakeMastodon(internet, 3)
        with pytest.raises(BadReference, match="There is no @nobody@fosstodon.org"):
            load("@nobody@fosstodon.org", ignore, ASK)

    def test_a_server_that_is_not_there_is_a_sentence(self, internet: Internet) -> None:
        with pytest.raises(NetworkFailed, match="nowhere.example"):
            load("@quiet@nowhere.example", ignore, ASK)

    def test_a_server_that_gives_less_than_it_was_asked_for_is_read_to_the_end(self, internet: Internet) -> None:
        there = FakeMastodon(internet, 130)
        there.most_a_page, there.links = 20, False
        assert len(fetch(FakeMastodon).posts) == 130

    def test_a_page_of_nothing_but_reposts_is_not_the_last(self, internet: Internet) -> None:
        there = FakeMastodon(internet, 50)
        for number in range(100):
            there.write(f"Words of somebody else {number}", reposted=True)
        there.write("Something new in a quiet life")
        there.cut_first = True
        assert len(fetch(FakeMastodon).posts) == 51

    def test_deep_markup_takes_no_long_time(self, internet: Internet) -> None:
        there = FakeMastodon(internet, 3)
        there.terms = "<div>" * 500_000
        there.write("", more={"content": "<div>" * 20_000})
        started = time.process_time()
        timeline = fetch(FakeMastodon)
        assert timeline.left_out == {"unreadable": 1} and time.process_time() - started < 3

    @pytest.mark.parametrize(
        "place", ["http://fosstodon.org/", "https://[::1", "https://www.fosstodon.org/", "file:///"]
    )
    def test_a_redirect_brings_nothing_to_another_host_that_was_meant_for_neither(
        self, place: str, internet: Internet, own_home: Path
    ) -> None:
        (own_home / ".netrc").write_text("machine www.fosstodon.org login me password secret\n")
        (own_home / ".netrc").chmod(0o600)
        there = FakeMastodon(internet, 3)
        internet.hosts["www.fosstodon.org"] = always(Answer({}, 404))
        there.faults = {1: always(Answer(b"", 302, {"Location": place}))}
        with pytest.raises(UserError):
            fetch(FakeMastodon)
        assert all("Authorization" not in request.headers for request in internet.requests)

    @pytest.mark.parametrize(
        ("address", "is_open"),
        [
            ("93.184.215.14", True), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True), ("64:ff9b::5db8:d70e", True),
            ("127.0.0.1", False), ("10.1.2.3", False), ("169.254.169.254", False), ("224.0.0.1", False), ("::1", False),
            ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("fec0::1", False),
            ("::127.0.0.1", False), ("ff02::1", False), ("fd00::1", False),
        ],
    )  # fmt: skip
    def test_addresses_of_the_internet_are_told_from_those_of_a_network_of_ones_own(
        self, address: str, is_open: bool
    ) -> None:
        assert network.is_global(ipaddress.ip_address(address)) == is_open

    def test_a_page_that_others_use_reaches_no_server_of_the_machines_own_network(
        self, internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUGGINGTWEETS_PUBLIC", "1")
        internet.hosts["localhost"] = always(Answer({}))
        with pytest.raises(NetworkFailed, match="not a server on the internet"):
            fetch_account(Handle(MASTODON, "quiet@localhost"), ASK, ignore)
        assert internet.requests == []


class TestSecrets:
    def test_the_key_for_x_is_nowhere_to_be_found(
        self, internet: Internet, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        caplog.set_level(logging.DEBUG)
        there = FakeX(internet, 250)
        words: list[str] = [repr(ASK), str(ASK)]
        fetch(FakeX, on_event=lambda event: words.append(repr(event)))
        for answer in (Answer({}, 401), Answer({}, 402), Answer([BEARER], 403), Answer({}, 500), Answer(b"<", 418)):
            there.faults = {number: always(answer) for number in range(1, 999)}
            with pytest.raises(UserError) as caught:
                fetch(FakeX)
            chain: BaseException | None = caught.value
            while chain is not None:
                words += [repr(chain), str(chain)]
                chain = chain.__cause__ or chain.__context__
        words += [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
        words += [path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
        words += capfd.readouterr()
        assert all(BEARER not in text for text in words)
        assert any("quiet life" in text for text in words)

    def test_the_shelf_is_closed_to_other_users_of_the_machine(self, internet: Internet) -> None:
        FakeX(internet, 3)
        fetch(FakeX)
        assert shelf.path_of(parse("@quietlife")).parent.stat().st_mode & 0o077 == 0


class TestTwoProcesses:
    @staticmethod
    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "utils", "fetch", "@quiet.bsky.social", "--json", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_two_at_once_fetch_each_page_once(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 1000)
        there.faults = {number: lambda request: time.sleep(0.05) for number in range(1, 99)}
        both = [self.start(), self.start()]
        found = [json.loads(process.communicate(timeout=60)[0]) for process in both]
        assert [entry["authors"][0]["posts"]["fetched"] for entry in found] == [1000, 1000]
        assert len(there.asked) <= 1 + 11 + 1

    def test_one_that_is_killed_leaves_whole_pages(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 1000)
        there.faults = {number: lambda request: time.sleep(0.05) for number in range(1, 99)}
        process = self.start()
        while len(there.asked) < 5:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.communicate()
        kept = shelf.Shelf(shelf.path_of(parse("@quiet.bsky.social"))).posts
        assert kept in (200, 300, 400)
        assert texts(fetch(FakeBluesky)) == [post.text for post in there.posts]


class TestCommandLine:
    @staticmethod
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "utils", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def test_what_was_fetched_can_be_listed_trained_on_without_the_network_and_cleared(
        self, internet: Internet, taught_model: Path, tmp_path: Path
    ) -> None:
        there = FakeBluesky(internet, [post.text for post in load("sample:keeperfinch").posts[:300]])
        fetched = json.loads(self.run("fetch", "https://bsky.app/profile/quiet.bsky.social", "--json").stdout)
        assert fetched["authors"][0]["account"]["name"] == "A Quiet Life"
        assert (fetched["authors"][0]["posts"]["fetched"], fetched["stopped"]) == (300, False)
        asked = len(there.asked)
        options = ["--model", taught_model, "--steps", 2, "--out", tmp_path / "bot", "--json"]
        trained = self.run("train", "@quiet.bsky.social", *options)
        assert trained.returncode == 0, trained.stderr
        assert json.loads(trained.stdout)["authors"] == ["@quiet.bsky.social"]
        assert len(there.asked) == asked
        listed = json.loads(self.run("shelf", "--json").stdout)["shelf"]
        assert [(one["handle"], one["posts"], one["whole"]) for one in listed] == [("@quiet.bsky.social", 300, True)]
        assert "300 posts" in self.run("shelf", "@quiet.bsky.social", "--clear").stdout
        assert self.run("shelf").stdout.startswith("The shelf is empty")
        path = shelf.path_of(parse("@quiet.bsky.social"))
        shelf.Shelf(path).begin(Account("Bluesky", "did:plc:1", "@quiet.bsky.social", "https://bsky.app"))
        assert "0 posts, not all of them, nothing fetched yet" in self.run("shelf").stdout
        self.run("shelf", "--clear")
        nothing = self.run("shelf", "@quiet.bsky.social")
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert nothing.stderr == "There is nothing of @quiet.bsky.social on the shelf.\n"

    def test_who_was_fetched_by_another_name_is_found_by_the_one_that_is_listed(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 3)
        self.run("fetch", there.DID)
        assert self.run("shelf", "@quiet.bsky.social", "--clear").stdout.startswith("@quiet.bsky.social")
        assert self.run("shelf").stdout.startswith("The shelf is empty")

    def test_x_is_not_asked_without_the_word_that_its_price_and_terms_are_known(
        self, internet: Internet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        there = FakeX(internet, 200)
        monkeypatch.setenv("X_BEARER_TOKEN", BEARER)
        refused = self.run("fetch", "@quietlife")
        assert refused.returncode == 1 and "--accept-x-terms" in refused.stderr and there.asked == []
        accepted = self.run("fetch", "@quietlife", "--accept-x-terms")
        assert accepted.returncode == 0, accepted.stderr
        assert "costs up to about $16.01" in accepted.stderr
        assert "@quietlife: 200 fetched, 200 kept" in accepted.stdout
        assert BEARER not in accepted.stdout + accepted.stderr

    def test_the_first_ctrl_c_keeps_what_has_come(self, internet: Internet) -> None:
        there = FakeBluesky(internet, 2000)
        there.faults = {number: lambda request: time.sleep(0.1) for number in range(1, 99)}
        process = TestTwoProcesses.start("--events")
        for line in process.stderr:
            if json.loads(line).get("pages"):
                break
        process.send_signal(signal.SIGINT)
        found = json.loads(process.communicate(timeout=30)[0])
        assert process.returncode == 0 and found["stopped"]
        assert 0 < found["authors"][0]["posts"]["fetched"] < 2000
        assert "Stopped after" in found["authors"][0]["remarks"][-1]

    def test_ctrl_c_while_the_first_of_two_comes_keeps_what_came_of_it(
        self, internet: Internet, tmp_path: Path
    ) -> None:
        there = FakeBluesky(internet, 2000)
        there.faults = {number: lambda request: time.sleep(0.1) for number in range(1, 99)}
        out = tmp_path / "both.jsonl"
        process = TestTwoProcesses.start("@other.bsky.social", "--out", str(out), "--events")
        for line in process.stderr:
            if json.loads(line).get("pages"):
                break
        process.send_signal(signal.SIGINT)
        found, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert [author["author"] for author in json.loads(found)["authors"]] == ["@quiet.bsky.social"]
        assert "Stopped; nothing was fetched of @other.bsky.social." in said
        assert 0 < len(out.read_text("utf-8").splitlines()) < 2000
