"""Posts by handle as visitors of the page meet them: a real page, real client libraries, networks on loopback."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from internet import Answer, Internet
from networks import BEARER, FakeBluesky, FakeX
from playwright.sync_api import Browser, Page, expect

from utils.timelines import load

pytestmark = pytest.mark.slow


@pytest.fixture
def page(internet: Internet, own_server: tuple[str, subprocess.Popen], browser: Browser) -> Iterator[Page]:
    """The page of a server whose networks are ours."""
    made = browser.new_page(viewport={"width": 390, "height": 900})
    made.goto(own_server[0])
    made.get_by_role("button", name="Try Marlowe").wait_for(timeout=30_000)
    yield made
    made.close()


def read(page: Page, handle: str) -> None:
    page.get_by_label("Handle, author or file").fill(handle)
    page.get_by_role("button", name="Read the posts").click()


def test_a_handle_is_fetched_while_one_watches_and_can_be_stopped(
    page: Page, internet: Internet, picture: Callable, tmp_path: Path
) -> None:
    there = FakeBluesky(internet, [post.text for post in load("sample:keeperfinch").posts])
    there.faults = {number: lambda request: time.sleep(0.4) for number in range(3, 99)}
    page.get_by_label("Handle, author or file").fill("@quiet.bsky.social")
    expect(page.get_by_text("@quiet.bsky.social on Bluesky, free to read")).to_be_visible()
    expect(page.get_by_label("Your key for X")).to_be_hidden()
    page.get_by_role("button", name="Read the posts").click()
    expect(page.get_by_text("@quiet.bsky.social: 200 posts, 2 pages")).to_be_visible(timeout=10_000)
    page.get_by_role("button", name="Stop fetching").click()
    expect(page.get_by_text("A Quiet Life", exact=True)).to_be_visible(timeout=10_000)
    expect(page.get_by_text("Stopped after")).to_be_visible()
    expect(page.get_by_role("link", name="@quiet.bsky.social")).to_have_attribute(
        "href", "https://bsky.app/profile/quiet.bsky.social"
    )
    expect(page.get_by_text("42 followers")).to_be_visible()
    picture(page, "10-handle")
    page.get_by_role("button", name="Take away").click()
    read(page, "@quiet.bsky.social")
    expect(page.get_by_text("1,400 fetched")).to_be_visible(timeout=20_000)


def test_x_wants_a_key_and_a_tick_and_the_key_stays_nowhere(
    page: Page, internet: Internet, picture: Callable, tmp_path: Path
) -> None:
    there = FakeX(internet, [post.text for post in load("sample:unit7bakes").posts])
    page.get_by_label("Handle, author or file").fill("https://x.com/quietlife")
    expect(page.get_by_text("@quietlife on X, with your own key")).to_be_visible()
    expect(page.get_by_text("up to about $16.01")).to_be_visible()
    picture(page, "11-x")
    page.get_by_role("button", name="Read the posts").click()
    expect(page.get_by_text("on the page, tick the box")).to_be_visible(timeout=10_000)
    assert there.asked == []
    page.get_by_label("I know that X takes money").check()
    page.get_by_label("Your key for X").fill("not-a-key")
    page.get_by_role("button", name="Read the posts").click()
    expect(page.get_by_text("X does not accept the key")).to_be_visible(timeout=10_000)
    page.get_by_label("Your key for X").fill(BEARER)
    page.get_by_role("button", name="Read the posts").click()
    expect(page.get_by_text("700 fetched")).to_be_visible(timeout=20_000)
    expect(page.get_by_label("Your key for X")).to_have_value("")
    assert BEARER not in page.content()
    assert all(BEARER not in path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file())


def test_a_network_that_is_away_is_a_sentence_and_the_page_goes_on(page: Page, internet: Internet) -> None:
    there = FakeBluesky(internet, 3)
    there.faults = {1: lambda request: Answer({"error": "InvalidRequest", "message": "Profile not found"}, 400)}
    read(page, "@nobody.bsky.social")
    expect(page.get_by_text("There is no @nobody.bsky.social on Bluesky")).to_be_visible(timeout=10_000)
    page.get_by_role("button", name="Try Marlowe").click()
    expect(page.get_by_text("@keeperfinch", exact=True)).to_be_visible(timeout=20_000)
