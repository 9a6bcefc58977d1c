"""The page as Binder shows it: behind Jupyter's server, under a visitor's path, with one core."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from utils.settings import BINDER_URL, COLAB_URL

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
VISITOR = "/user/somebody/"


@pytest.fixture
def binder(tmp_path: Path) -> Iterator[str]:
    """The address to which the badge leads, on a server that is started as Binder starts it."""
    log = tmp_path / "log"
    place = urlsplit(BINDER_URL).query.removeprefix("urlpath=")
    with open(log, "w") as output:
        server = subprocess.Popen(
            [ROOT / "binder" / "start", sys.executable, "-m", "jupyter_server", "--no-browser", "--port=0",
             "--ip=127.0.0.1", "--allow-root", f"--ServerApp.base_url={VISITOR}", "--IdentityProvider.token="],
            stdout=output, stderr=output, start_new_session=True, cwd=ROOT,
            env={**os.environ, "BINDER_LAUNCH_HOST": "https://binder.example/", "CPU_LIMIT": "1.0"},
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 60
            while not (found := re.search(rf"http://127\.0\.0\.1:\d+{VISITOR}", log.read_text())):
                assert time.monotonic() < deadline and server.poll() is None, log.read_text()
                time.sleep(0.2)
            yield found[0] + place
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(20)


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
