"""The page as Binder shows it: behind Jupyter's server, under a visitor's path, with one core."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect
from serving import serving

from utils.settings import BINDER_URL, COLAB_URL

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VISITOR = "/user/somebody/"


@pytest.fixture
def binder(tmp_path: Path) -> Iterator[str]:
    """The address to which the badge leads, on a server that is started as Binder starts it."""
    place = urlsplit(BINDER_URL).query.removeprefix("urlpath=")
    command = [ROOT / "binder" / "start", sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0",
               "--ip=127.0.0.1", "--allow-root", "--IdentityProvider.token=",
               f"--ServerApp.base_url={VISITOR}"]  # fmt: skip
    surroundings = {**os.environ, "BINDER_LAUNCH_HOST": "https://binder.example/", "CPU_LIMIT": "1.0"}
    address = rf"http://127\.0\.0\.1:\d+{VISITOR}"
    with serving(command, tmp_path / "log", address, cwd=ROOT, env=surroundings) as (found, _):
        yield found + place


def test_the_badge_opens_a_page_that_answers_and_says_where_there_is_a_gpu(browser: Browser, binder: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(binder)
    marlowe = page.get_by_role("button", name="Try Marlowe")
    expect(marlowe).to_be_visible(timeout=60_000)
    marlowe.click()
    expect(page.get_by_text("1,400 fetched")).to_be_visible(timeout=20_000)
    expect(page.get_by_label("Minutes, all in all")).to_have_value("10")
    expect(page.get_by_text("Binder lends one processor core")).to_be_visible()
    expect(page.get_by_role("link", name="On Google Colab")).to_have_attribute("href", COLAB_URL)
    assert page.title() == "HuggingTweets", "the template of the project"
    page.close()
