"""A bot that is kept up to date, as its visitor sees it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from utils.pipeline import make_bot
from utils.settings import TrainingSettings
from utils.timelines import load

pytestmark = pytest.mark.slow

MINUTE = 60_000


def test_new_posts_are_looked_for_and_learned(
    visit: Callable[..., Page], visitors: Path, picture: Callable, taught_model: Path
) -> None:
    before = set(visitors.iterdir()) if visitors.exists() else set()
    page = visit()
    (mine,) = set(visitors.iterdir()) - before
    texts = [post.text.replace("\n", " ") for post in load("sample:unit7bakes").posts]
    posts = mine / "posts.txt"
    posts.write_text("\n".join(texts[:500]), "utf-8")
    make_bot([str(posts)], TrainingSettings(steps=3, model=str(taught_model)), out=mine / "bots" / "robot")
    page.reload()
    look = page.get_by_role("button", name="Look for new posts", exact=True)
    look.click(timeout=MINUTE)
    expect(page.get_by_text("A file that you uploaded stays as it was")).to_be_visible(timeout=MINUTE)
    posts.write_text("\n".join(texts), "utf-8")
    look.click()
    expect(page.get_by_role("progressbar", name="Updating the bot")).to_be_visible()
    outcome = page.locator(".ht-good").get_by_text("Bits per character on the old held-out posts")
    expect(outcome).to_be_visible(timeout=MINUTE)
    picture(page, "8-updated", ".ht-region:nth-of-type(6)")
    expect(look).to_be_enabled()
