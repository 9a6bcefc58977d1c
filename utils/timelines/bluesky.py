"""Posts from Bluesky, which gives them to everybody without a key.

In: a `Handle`, a name or a DID. Out: the account, and its posts page by page, from the public AppView. Knows
nothing about what was fetched before. The lexicons: https://docs.bsky.app/docs/api/app-bsky-feed-get-author-feed.
"""

from collections.abc import Iterator
from typing import Any

import requests

from utils.errors import BadReference, NetworkFailed
from utils.events import OnEvent
from utils.timelines import Account, Fetching, Post
from utils.timelines.dates import parse_date
from utils.timelines.exports import bluesky_text
from utils.timelines.handles import BLUESKY, Handle
from utils.timelines.network import PoliteAdapter, count, explain_json, session, web_address
from utils.timelines.shelf import Item, Page

APP_VIEW = "https://public.api.bsky.app/xrpc/"
POSTS_A_PAGE = 100
"""The most that the AppView gives."""

ASKS_FOR_LOGIN = "!no-unauthenticated"
"""The label by which people ask that only those who are logged in see their posts."""


class Bluesky:
    """One account on Bluesky. See `fetching.Source`."""

    def __init__(self, handle: Handle, fetching: Fetching, on_event: OnEvent) -> None:
        self._handle = handle
        self._session = session(PoliteAdapter(BLUESKY, on_event, fetching, self._judge))

    def look_up(self) -> Account:
        """Who it is. Raises `BadReference` for an account that is not there or does not want to be read here."""
        found = self._get("app.bsky.actor.getProfile", actor=self._handle.name)
        did, name = str(found.get("did")), str(found.get("handle"))
        labels = found.get("labels")
        if any(isinstance(label, dict) and label.get("val") == ASKS_FOR_LOGIN for label in labels or ()):
            raise BadReference(
                f"{self._handle} asks that only people who are logged in see the posts, so they are not fetched here. "
                "If the account is yours, export it in Bluesky's settings and give the repo.car."
            )
        return Account(
            network=BLUESKY,
            id=did,
            handle=f"@{name}",
            link=f"https://bsky.app/profile/{name}",
            name=str(found.get("displayName") or ""),
            avatar=web_address(found.get("avatar")),
            followers=count(found.get("followersCount")),
            posts=count(found.get("postsCount")),
        )

    def pages(self, account: Account, since: str | None, cursor: str | None) -> Iterator[Page]:
        """The posts and threads of the account, newest first. The AppView knows no `since`."""
        while True:
            found = self._get(
                "app.bsky.feed.getAuthorFeed", actor=account.id, filter="posts_and_author_threads",
                limit=POSTS_A_PAGE, cursor=cursor,
            )  # fmt: skip
            feed = found.get("feed")
            cursor = found.get("cursor") or None
            yield Page([item for entry in feed or () if (item := _item(entry, account))], cursor and str(cursor))
            if cursor is None:
                return

    def _get(self, method: str, **parameters: str | int | None) -> dict[str, Any]:
        response = self._session.get(APP_VIEW + method, params=parameters)
        return explain_json(response, dict, BLUESKY)

    def _judge(self, response: requests.Response) -> None:
        """Raise what an answer means where it is no success: https://docs.bsky.app/docs/advanced-guides/api-directory."""
        if response.status_code < 400 or response.status_code == 429:
            return
        try:
            error = explain_json(response, dict, BLUESKY)
        except NetworkFailed:
            error = {}
        name, message = error.get("error"), str(error.get("message") or "")
        if name == "AccountTakedown" or "suspended" in message.lower():
            raise BadReference(f"{self._handle} has been suspended on Bluesky; nothing can be read there.")
        if name == "AccountDeactivated" or "deactivated" in message.lower():
            raise BadReference(
                f"{self._handle} is deactivated on Bluesky; nothing can be read until its owner returns."
            )
        if response.status_code in (400, 404):
            raise BadReference(
                f"There is no {self._handle} on Bluesky. Check the name; it is a domain, like alice.bsky.social."
            )
        raise NetworkFailed(f"Bluesky does not give the posts of {self._handle} (status {response.status_code}).")


def _item(entry: Any, account: Account) -> Item | None:
    """A post of a feed; what somebody else wrote is a repost, and what its author labelled came with a warning."""
    try:
        post, record = entry["post"], entry["post"]["record"]
        number = str(post["uri"]).rpartition("/")[2]
        if entry.get("reason") or post["author"]["did"] != account.id:
            return Item(Post(f"repost-{number}", None, ""), "reposts")
        text = bluesky_text(record)
        why_not = "unreadable" if not isinstance(text, str) else "warned" if record.get("labels") else None
        return Item(Post(number, parse_date(record.get("createdAt")), text if isinstance(text, str) else ""), why_not)
    except (LookupError, TypeError, AttributeError):
        return None
