"""From a handle to a Timeline: what is on the shelf, and what the network has that is newer.

In: a `Handle`. Out: the Timeline of that account. Knows nothing about any network in particular: each is a
`Source`, in a module of its own.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import requests

from utils.errors import BadReference, NetworkFailed
from utils.events import Event, OnEvent
from utils.timelines import MAXIMUM_POSTS, Account, Fetching, Timeline
from utils.timelines.handles import BLUESKY, MASTODON, Handle, X
from utils.timelines.network import Stopped
from utils.timelines.shelf import Page, Shelf, opened

LOOKED_UP_SECONDS = 24 * 3600
"""After a day the account itself is asked for again: it may have been renamed, closed, or closed to programs."""

FRESH_SECONDS = 3600
"""What was fetched within the hour is not asked for again by who wants to train, not to fetch."""


class Source(Protocol):
    """A network, as one account is read there. All methods raise `NetworkFailed`, `BadReference` or `Stopped`."""

    def look_up(self) -> Account:
        """Who it is."""

    def pages(self, account: Account, since: str | None, cursor: str | None) -> Iterator[Page]:
        """The posts, newest first: those newer than the one with the id `since`, from `cursor` on."""


def fetch(handle: Handle, fetching: Fetching, on_event: OnEvent) -> Timeline:
    """The posts of an account, those on the shelf and newer ones.

    Raises `BadReference` where there is no such account or it has no posts, `NetworkFailed` where the network does
    not give them. What came until then lies on the shelf, and the next fetch goes on from there.
    """

    def waiting() -> None:
        on_event(Event("stage", f"Waiting: {handle} is being fetched by another program here"))
        if fetching.should_stop():
            raise BadReference(f"Another program is fetching {handle}; nothing was fetched by this one.")

    if fetching.refresh and fetching.limit:  # half a new shelf would not be worth a whole old one
        return fetch(handle, replace(fetching, limit=None), on_event).newest(fetching.limit)
    with opened(handle, fetching.refresh, waiting) as shelf:
        remarks = _fill(shelf, handle, fetching, on_event)
        if not shelf.posts:
            why = "but all of its posts are reposts or replies" if shelf.items else "but has posted nothing"
            raise BadReference(f"{handle} is an account on {handle.network}, {why}. Try another one.")
        timeline = shelf.timeline()
    return replace(timeline, remarks=(*timeline.remarks, *remarks)).newest(fetching.limit)


def _fill(shelf: Shelf, handle: Handle, fetching: Fetching, on_event: OnEvent) -> list[str]:
    """Fetch what is missing; gives what is to be said about it."""
    again = "the next fetch with --refresh" if fetching.refresh else "the next fetch"
    free = handle.network != X or fetching.accept_x_terms
    if shelf.account and shelf.age() < FRESH_SECONDS and not (fetching.newest and free):
        return [] if shelf.is_whole else [f"Not all posts of {handle} have been fetched; {again} goes on from there."]
    if shelf.posts and not (fetching.newest or free):
        date = datetime.fromtimestamp(shelf.asked_at, UTC)
        return [f"The posts of {handle} are those of {date:%Y-%m-%d}; fetching newer ones from X costs money."]
    before = shelf.posts
    try:
        _ask(shelf, _source(handle, fetching, on_event), handle, fetching, on_event)
    except Stopped:
        if not shelf.posts:
            raise BadReference(f"Stopped before the first post of {handle} had come.") from None
        return [f"Stopped after {shelf.posts:,} posts; {again} goes on from there."]
    except NetworkFailed as error:
        if shelf.posts and not fetching.newest:
            return [f"{error} These are the posts that were fetched before."]
        if shelf.posts > before:
            kept = f"The {shelf.posts:,} posts so far are kept; {again} goes on from there."
            raise NetworkFailed(f"{error} {kept}") from None
        raise
    shelf.settle()
    return []


def _ask(shelf: Shelf, source: Source, handle: Handle, fetching: Fetching, on_event: OnEvent) -> None:
    if shelf.account is None or time.time() - shelf.looked_up_at > LOOKED_UP_SECONDS:
        on_event(Event("stage", f"Looking for {handle} on {handle.network}"))
        with _in_words(handle):
            account = source.look_up()
        if shelf.account and shelf.account.id != account.id:
            raise NetworkFailed(
                f"{handle} is another account now. Clear the shelf of it first: python -m utils shelf {handle} --clear"
            )
        shelf.begin(account)
    if shelf.account.notice:
        on_event(Event("warning", shelf.account.notice))
    limit = min(fetching.limit or MAXIMUM_POSTS, MAXIMUM_POSTS)
    asked = 0
    for stretch in shelf.to_do():
        if asked and shelf.posts_down_to(stretch) >= limit:
            return
        cursors, seen, repeated = {stretch.cursor}, set(), 0
        pages = source.pages(shelf.account, shelf.since(stretch), stretch.cursor)
        while page := _next(pages, handle):
            asked += 1
            shelf.add(stretch, page)
            ids = {item.post.id for item in page.items}
            repeated = repeated + 1 if ids and ids <= seen else 0
            seen |= ids
            _tell(shelf, asked, limit, on_event)
            if not stretch.is_open or shelf.posts_down_to(stretch) >= limit:
                break
            if page.cursor in cursors or repeated > 1:
                raise NetworkFailed(f"{handle.network} gives the same posts of {handle} again and again. Try later.")
            cursors.add(page.cursor)
            if fetching.should_stop():
                raise Stopped


def _next(pages: Iterator[Page], handle: Handle) -> Page | None:
    with _in_words(handle):
        return next(pages, None)


@contextmanager
def _in_words(handle: Handle) -> Iterator[None]:
    """Turn what goes wrong while an answer is taken apart into `NetworkFailed`: it was not what is documented."""
    try:
        yield
    except (requests.RequestException, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise NetworkFailed(
            f"{handle.network} answers for {handle}, but not in the way that is documented ({type(error).__name__}). "
            "Check the name, or try again later."
        ) from error


def _tell(shelf: Shelf, pages: int, limit: int, on_event: OnEvent) -> None:
    """How many have come, and of how many where the network said so."""
    expected = min(shelf.account.posts or 0, limit)
    fraction = min(shelf.posts / expected, 1.0) if expected else None
    sentence = f"{shelf.account.handle}: {shelf.posts:,} posts, {pages:,} {'page' if pages == 1 else 'pages'}"
    on_event(Event("stage", sentence, fraction, {"pages": pages, "fetched": shelf.posts}))


def _source(handle: Handle, fetching: Fetching, on_event: OnEvent) -> Source:
    """The network of an account, ready to be asked."""
    if handle.network == BLUESKY:
        from utils.timelines import bluesky

        return bluesky.Bluesky(handle, fetching, on_event)
    if handle.network == MASTODON:
        from utils.timelines import mastodon

        return mastodon.MastodonServer(handle, fetching, on_event)
    from utils.timelines import x_api

    return x_api.XApi(handle, fetching, on_event)
