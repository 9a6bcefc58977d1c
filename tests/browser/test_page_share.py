"""Giving away what a bot wrote, and the bot itself, as a visitor does it; the Hub is one on loopback."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import hub as loopback
import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.slow
MINUTE = 60_000
FORM = "Put it on the Hugging Face Hub"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[loopback.Hub]:
    """A Hub that the server of the page takes for the real one."""
    with loopback.serving() as hub:
        for name, value in (("HF_ENDPOINT", hub.url), ("HF_HUB_DISABLE_XET", "1"), ("HF_HUB_OFFLINE", "0")):
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def address(hub: loopback.Hub, own_server: tuple[str, subprocess.Popen]) -> str:
    """The address of a page of this test's own, which knows that Hub."""
    return own_server[0]


@pytest.fixture
def with_bot(visit: Callable[..., Page], trained_bot: Path, tmp_path: Path) -> Callable[..., Page]:
    """A function that opens the page as a visitor who has trained that bot before."""

    def open_page(width: int = 1280, dark: bool = False) -> Page:
        page = visit(width, dark)
        visitors = tmp_path / "cache" / "visitors"
        while not (new := [path for path in visitors.glob("*") if not (path / "bots").exists()]):
            page.wait_for_timeout(100)  # the page is there before its visitor is known
        folder = new[0]
        shutil.copytree(trained_bot, folder / "bots" / "unit7bakes")
        page.reload()
        expect(page.get_by_text("The voice of @unit7bakes")).to_be_visible(timeout=MINUTE)
        return page

    return open_page


def write(page: Page) -> None:
    page.get_by_role("button", name="Write", exact=True).click()
    expect(page.locator(".ht-draft").first).to_be_visible(timeout=MINUTE)
    expect(page.get_by_role("button", name="Write", exact=True)).to_be_enabled(timeout=MINUTE)


def test_every_draft_can_be_posted_with_its_mark_on_the_server_that_is_ones_own(with_bot: Callable) -> None:
    page = with_bot()
    write(page)
    text = page.locator(".ht-draft .ht-text").first.text_content()
    links = page.locator(".ht-draft").first.locator(".ht-links a")
    assert links.all_text_contents() == ["X", "Bluesky", "Mastodon"]
    for link in links.all():
        assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener noreferrer")
        assert parse_qs(urlsplit(link.get_attribute("href")).query)["text"][0].startswith(text)
        assert re.fullmatch(r"Post this draft on \w+, in a new tab", link.get_attribute("aria-label"))
    page.get_by_role("button", name="Keep", exact=True).first.click()
    server = page.get_by_label("Your Mastodon server")
    server.fill("@bob@fosstodon.org")
    server.press("Enter")
    expect(page.locator('a[href^="https://fosstodon.org/share?text="]')).to_have_count(
        page.locator(".ht-draft").count() + 1
    )
    server.fill("nowhere")
    server.press("Enter")
    expect(page.get_by_text("'nowhere' is no Mastodon server")).to_be_visible()
    expect(page.locator('a[href^="https://fosstodon.org/share?text="]')).not_to_have_count(0)


def test_a_bot_goes_to_the_hub_and_the_token_stays_nowhere(
    with_bot: Callable, hub: loopback.Hub, picture: Callable, tmp_path: Path
) -> None:
    page = with_bot()
    page.get_by_role("button", name=FORM).click()
    expect(page.get_by_label("Whose posts are they?")).to_have_value("The author is fictional")
    expect(page.get_by_label("Name of the repository")).to_have_value("huggingtweets-unit7bakes")
    expect(page.get_by_label("Only I can see it")).to_be_checked()
    token = page.get_by_label("Your token for the Hub")
    assert token.get_attribute("type") == "password"
    publish = page.get_by_role("button", name="Upload it", exact=True)

    token.fill("hf_" + "wrong")
    publish.click()
    expect(page.get_by_text("The Hub does not know this token")).to_be_visible(timeout=MINUTE)
    expect(token).to_have_value("")

    hub.slow = 0.5
    token.fill(loopback.TOKEN)
    publish.click()
    expect(page.get_by_role("progressbar", name="Uploading the bot")).to_be_visible(timeout=MINUTE)
    expect(publish).to_be_disabled()
    picture(page, "8-uploading")
    link = page.get_by_role("link", name=f"{hub.url}/somebody/huggingtweets-unit7bakes", exact=True)
    expect(link).to_be_visible(timeout=MINUTE)
    expect(page.get_by_text("Only you can see it.")).to_be_visible()
    expect(publish).to_be_enabled()
    picture(page, "8-published")
    repository = hub.repositories["somebody/huggingtweets-unit7bakes"]
    assert repository.private and "Of 20 drafts" in repository.files["README.md"].decode()
    assert not [name for name in repository.files if "private" in name]
    assert loopback.TOKEN not in page.content()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or path.is_symlink() or loopback.TOKEN.encode() not in path.read_bytes(), path


def test_an_upload_can_be_stopped_and_tried_again(with_bot: Callable, hub: loopback.Hub) -> None:
    page = with_bot()
    page.get_by_role("button", name=FORM).click()
    hub.stalls = "/storage/"
    token, publish = (
        page.get_by_label("Your token for the Hub"),
        page.get_by_role("button", name="Upload it", exact=True),
    )
    token.fill(loopback.TOKEN)
    publish.click()
    expect(page.get_by_text(re.compile("Sending model.safetensors"))).to_be_visible(timeout=MINUTE)
    page.get_by_role("button", name="Stop", exact=True).last.click()
    expect(page.get_by_text("Stopped. Nothing was published")).to_be_visible(timeout=MINUTE)
    hub.stalls = None
    page.get_by_label("Whose posts are they?").select_option("Choose one")
    token.fill(loopback.TOKEN)
    publish.click()
    expect(page.get_by_text("Say whose posts they are.")).to_be_visible()
    page.get_by_label("Whose posts are they?").select_option("The author is fictional")
    token.fill(loopback.TOKEN)
    publish.click()
    expect(page.get_by_text("Only you can see it.")).to_be_visible(timeout=MINUTE)


def test_a_kept_draft_is_there_after_a_reload_until_it_is_let_go(with_bot: Callable) -> None:
    page = with_bot()
    write(page)
    text = page.locator(".ht-draft .ht-text").first.text_content()
    page.get_by_role("button", name="Keep", exact=True).first.click()
    kept = page.locator(".ht-kept .ht-text")
    expect(kept).to_have_text([text])
    page.reload()
    expect(kept).to_have_text([text], timeout=MINUTE)
    expect(page.get_by_role("heading", name="Kept")).to_be_visible()
    page.get_by_role("button", name="Let go").click()
    expect(kept).to_have_count(0)
    expect(page.get_by_role("heading", name="Kept")).to_have_count(0)


def test_sharing_has_no_serious_fault_for_anybody(with_bot: Callable, picture: Callable) -> None:
    for width, dark in ((390, False), (390, True), (1280, False), (1280, True)):
        page = with_bot(width, dark)
        write(page)
        page.get_by_role("button", name="Keep", exact=True).first.click()
        page.get_by_role("button", name=FORM).click()
        expect(page.get_by_label("Your token for the Hub")).to_be_visible()
        picture(page, f"9-{width}-{'dark' if dark else 'light'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out to the side"
        for part in (".ht-draft", ".ht-kept", ".ht-region:has(.ht-tick)"):
            found = Axe().run(page, context=part)["violations"]
            serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
            assert [(fault["id"], [node["html"][:200] for node in fault["nodes"]]) for fault in serious] == []
        low = "b => b.offsetParent && b.getBoundingClientRect().height < 43.5"
        touched = page.locator(".ht-page button, .ht-links a, .ht-tick label")
        assert touched.evaluate_all(f"all => all.filter({low}).map(b => b.textContent)") == []
        page.close()
