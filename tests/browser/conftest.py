"""A real browser before a real Voilà, started by the command that `make demo` runs."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from containers import entering, group
from playwright.sync_api import Browser, Page, sync_playwright
from serving import serving

from utils import environment

ROOT = Path(__file__).parents[2]
REAL_CACHE = environment.cache_folder()
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ADDRESS = r"http://(?:localhost|127\.0\.0\.1):\d+/"
CHROMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def visitors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the folders of all visitors."""
    return tmp_path_factory.mktemp("home") / "cache" / "visitors"


@contextmanager
def _serving(home: Path, **options: Any) -> Iterator[tuple[str, subprocess.Popen]]:
    """A Voilà as `make demo` starts it, with this home and the real weights: its address, and its process.

    options: those of `subprocess.Popen`.
    """
    cache = home / "cache"
    cache.mkdir(exist_ok=True)
    (REAL_CACHE / "models").mkdir(parents=True, exist_ok=True)
    (cache / "models").symlink_to(REAL_CACHE / "models")
    command = re.search(r"^demo:.*\n\t(.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    for name, value in (("RUN", sys.executable), ("CURDIR", ROOT), ("VOILA", f"--no-browser --port={_free_port()}")):
        command = command.replace(f"$({name})", str(value))
    kept = {
        name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHONPATH", "WANDB_MODE")
    }
    surroundings = {**kept, "HOME": str(home), "HUGGINGTWEETS_CACHE": str(cache)}
    with serving(command, home / "log", ADDRESS, shell=True, cwd=ROOT, env=surroundings, **options) as served:
        yield served


@pytest.fixture(scope="session")
def address(visitors: Path) -> Iterator[str]:
    """The address of the Voilà that the tests share."""
    with _serving(visitors.parent.parent) as (address, _):
        yield address


@pytest.fixture
def small_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a Voilà in a container: it and all that it starts may take so many bytes of memory together."""
    with group(request.param) as container, _serving(tmp_path, preexec_fn=entering(container)) as (address, _):
        yield address


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address and the process of a Voilà of one test's own."""
    with _serving(tmp_path) as serving:
        yield serving


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium: the distribution's where there is one, else the one that Playwright downloads."""
    found = next(filter(None, map(shutil.which, CHROMES)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """A function that opens the page as a new visitor; afterwards nothing may have gone wrong in the browser."""
    contexts, faults, elsewhere = [], [], []

    def open_page(width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", accept_downloads=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: _note_other_hosts(request.url, address, elsewhere))
        page.goto(address)
        page.get_by_role("button", name="Try Marlowe").wait_for(timeout=30_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
    assert elsewhere == []


def _note_other_hosts(url: str, address: str, elsewhere: list[str]) -> None:
    if url.startswith(("http", "ws")) and not re.sub("^ws", "http", url).startswith(address):
        elsewhere.append(url)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Page, str], None]:
    """A function that keeps a screenshot of the whole page or a part, in `$SCREENSHOTS` where that is set."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path)

    def take(page: Page, name: str, part: str = "body") -> None:
        with _at_full_height(page):
            page.locator(part).screenshot(path=folder / f"{name}.png")

    return take


@pytest.fixture
def picture_for_readme(tmp_path: Path) -> Callable[[Page, str, str], None]:
    """A function that keeps a part of the page as the README shows it, for light pages and for dark ones, in
    `$PICTURES` where that is set (`make pictures`)."""
    folder = Path(os.environ.get("PICTURES") or tmp_path)

    def take(page: Page, name: str, part: str, height: int = 1000) -> None:
        with _at_full_height(page):
            whole = page.locator(part).bounding_box()
            shown = {**whole, "height": min(whole["height"], height)}
            for scheme, ending in (("light", ""), ("dark", "-dark")):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                page.screenshot(path=folder / f"{name}{ending}.png", clip=shown, animations="disabled")
            page.emulate_media(color_scheme="light", reduced_motion="no-preference")

    return take


@contextmanager
def _at_full_height(page: Page) -> Iterator[None]:
    """A window in which the whole page shows, for the time of the block."""
    height = page.evaluate("document.querySelector('.ht-page').getBoundingClientRect().height + 40")
    before = page.viewport_size
    page.set_viewport_size({"width": before["width"], "height": int(height)})
    yield
    page.set_viewport_size(before)
