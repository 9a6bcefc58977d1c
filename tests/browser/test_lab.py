"""The same notebook in JupyterLab: Run All, and the first clicks."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from serving import serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """The address of the notebook in a JupyterLab of this test's own."""
    home = tmp_path / "lab"
    home.mkdir()
    shutil.copy(ROOT / "huggingtweets-demo.ipynb", home)  # JupyterLab saves what it has run
    (home / "utils").symlink_to(ROOT / "utils")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port=0", "--ip=127.0.0.1", "--allow-root",
               "--IdentityProvider.token=", f"--ServerApp.root_dir={home}"]  # fmt: skip
    surroundings = {**os.environ, "HOME": str(home), "HUGGINGTWEETS_CACHE": str(home / "cache")}
    with serving(command, home / "log", r"http://127\.0\.0\.1:\d+/", env=surroundings) as (address, _):
        yield f"{address}lab/tree/huggingtweets-demo.ipynb?reset"


def test_run_all_shows_the_page_and_it_answers(browser: Browser, lab: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(lab)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator(".lm-Menu-itemLabel").get_by_text("Run All Cells", exact=True).click()
    marlowe = page.get_by_role("button", name="Try Marlowe")
    expect(marlowe).to_be_visible(timeout=60_000)
    marlowe.click()
    expect(page.get_by_text("1,400 fetched")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_visible()
    page.locator(".ht-drop input").set_input_files(
        {"name": "few.txt", "mimeType": "text/plain", "buffer": b"one line of a post\nand another one\n"}
    )
    expect(page.get_by_text("few.txt for a post")).to_be_visible(timeout=20_000)
    page.close()
