"""The page in a container as small as Binder's: server, kernel, training and the bot that writes, all together."""

import re

import pytest
from containers import GIB
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.slow

MINUTE = 60_000


def train_on_marlowe(browser: Browser, address: str, minutes: str) -> Page:
    page = browser.new_page()
    page.goto(address)
    page.get_by_role("button", name="Try Marlowe").click(timeout=MINUTE)
    page.get_by_label("Minutes, all in all").fill(minutes)
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Train", exact=True).click(timeout=MINUTE)
    return page


@pytest.mark.parametrize("small_server", [2 * GIB], indirect=True)
def test_two_gigabytes_are_enough_to_train_and_to_write(browser: Browser, small_server: str) -> None:
    page = train_on_marlowe(browser, small_server, "2")
    done = page.get_by_text(re.compile(r"Done in .* minutes.*Memory is tight here"))
    expect(done).to_be_visible(timeout=6 * MINUTE)
    write = page.get_by_role("button", name="Write", exact=True)
    write.click()
    expect(write).to_be_disabled()
    expect(write).to_be_enabled(timeout=5 * MINUTE)
    written = page.locator(".ht-draft").or_(page.get_by_text("of the drafts did not fit into a post"))
    expect(written.first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.close()


@pytest.mark.parametrize("small_server", [3 * GIB // 2], indirect=True)
def test_with_less_there_is_a_sentence_and_the_page_goes_on(browser: Browser, small_server: str) -> None:
    page = train_on_marlowe(browser, small_server, "2")
    sentence = page.get_by_role("alert").get_by_text(re.compile("needs about .* GB of memory and .* GB is free"))
    expect(sentence).to_be_visible(timeout=3 * MINUTE)
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_enabled()
    page.close()
