"""Posts from a Mastodon server, through Mastodon.py; most give them to everybody without a key.

In: a `Handle`, "name@server". Out: the account, and its posts page by page. Knows nothing about what was fetched
before. The interface: https://docs.joinmastodon.org/methods/accounts/#statuses.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import requests

from utils.errors import BadReference, NetworkFailed
from utils.events import OnEvent
from utils.timelines import Account, Fetching, Post
from utils.timelines.dates import parse_date
from utils.timelines.handles import MASTODON, Handle
from utils.timelines.markup import plain
from utils.timelines.network import (
    USER_AGENT,
    PoliteAdapter,
    as_user_error,
    count,
    explain_json,
    session,
    web_address,
)  # fmt: skip
from utils.timelines.shelf import Item, Page

POSTS_A_PAGE = 40
"""The most that Mastodon gives."""

FEWEST_OF_A_FULL_PAGE = 20
"""What servers give that allow less than Mastodon does; its own default, too."""

LONGEST_TERMS = 500_000
"""Characters of HTML that are looked through; the terms of large servers have some 50,000."""

MOST_TAGS = 5000
"""A post with more is made to take long; looking through them takes the square of their number."""

FORBID_TRAINING = ("mastodon.social", "mastodon.online")
"""Servers of Mastodon gGmbH, whose terms forbid it since 2025-07-01: https://mastodon.social/terms-of-service."""

_TRAINING = re.compile(r"(?i)\btrain(?:ing)?\b[^.]{0,80}\b(?:large language|machine learning|AI|LLMs?|models?)\b")


class MastodonServer:
    """One account on a Mastodon server. See `fetching.Source`."""

    def __init__(self, handle: Handle, fetching: Fetching, on_event: OnEvent) -> None:
        from mastodon import Mastodon

        self._handle = handle
        self._client = Mastodon(
            api_base_url=f"https://{handle.server}",
            session=session(PoliteAdapter(handle.server, on_event, fetching, self._judge)),
            ratelimit_method="throw",
            version_check_mode="none",
            user_agent=USER_AGENT,
        )

    def look_up(self) -> Account:
        """Who it is. Raises `BadReference` for an account that is not there."""
        found = self._ask(lambda: self._client.account_lookup(self._handle.name.partition("@")[0]))
        if found.get("suspended"):
            raise BadReference(f"{self._handle} has been suspended; nothing can be read there.")
        return Account(
            network=MASTODON,
            id=str(found["id"]),
            handle=str(self._handle),
            link=web_address(found.get("url")) or f"https://{self._handle.server}/@{found['username']}",
            name=str(found.get("display_name") or ""),
            avatar=web_address(found.get("avatar")),
            followers=count(found.get("followers_count")),
            posts=count(found.get("statuses_count")),
            notice=self._notice(),
        )

    def pages(self, account: Account, since: str | None, cursor: str | None) -> Iterator[Page]:
        """The posts of the account, newest first; reposts are left out by the server."""
        while True:
            found = self._ask(
                lambda cursor=cursor: self._client.account_statuses(
                    account.id, exclude_reblogs=True, limit=POSTS_A_PAGE, since_id=since, max_id=cursor
                ),
                list,
            )
            items = [item for status in found if (item := _item(status, account))]
            link = getattr(found, "_pagination_next", None) or {}
            # Some servers give fewer at once than they are asked for, and no link; a short page is the last there.
            oldest = items[-1].post.id if len(items) >= FEWEST_OF_A_FULL_PAGE else None
            cursor = str(link["max_id"]) if link.get("max_id") else oldest
            yield Page(items, cursor)
            if cursor is None:
                return

    def _notice(self) -> str:
        """What the server's terms say about training, where they say something."""
        server = self._handle.server
        forbids = server in FORBID_TRAINING
        if not forbids:
            try:
                terms = self._ask(self._client.instance_terms_of_service)
                forbids = bool(_TRAINING.search(_text(terms.get("content")) or ""))
            except (BadReference, NetworkFailed):  # a server without terms, or before Mastodon 4.4
                return ""
        return f"The terms of {server} speak against training models on posts there; ask the author." if forbids else ""

    def _ask(self, request: Callable[[], Any], kind: type = dict) -> Any:
        """What the server answers. Raises what `_judge` raised, unwrapped from the client library's errors."""
        from mastodon import MastodonError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecations are for the authors of programs
                found = request()
        except MastodonError as error:
            problem = as_user_error(error)
            raise problem or NetworkFailed(f"{self._handle.server} does not answer as Mastodon does.") from None
        if not isinstance(found, kind) or kind is dict and "error" in found:
            raise NetworkFailed(f"{self._handle.server} answers, but not as Mastodon does. Check the name.")
        return found

    def _judge(self, response: requests.Response) -> None:
        """Raise what an answer means where it is no success."""
        status, server = response.status_code, self._handle.server
        if status == 429 or 300 <= status < 400:
            return
        if status in (401, 403, 422):
            raise NetworkFailed(
                f"{server} shows posts only to people who are logged in there. If the account is yours, "
                "download its archive in the settings and give that."
            )
        if status in (404, 410):
            raise BadReference(f"There is no {self._handle}, or it has been closed. Check the name and the server.")
        if status >= 400:
            raise NetworkFailed(f"{server} does not give the posts of {self._handle} (status {status}).")
        explain_json(response, dict | list, MASTODON)


def _item(status: Any, account: Account) -> Item | None:
    """A post as its readers saw it, and why it is none to learn from."""
    if not isinstance(status, dict) or not status.get("id"):
        return None
    text = _text(status.get("content"))
    date = status.get("created_at")
    post = Post(str(status["id"]), parse_date(date.isoformat() if hasattr(date, "isoformat") else date), text or "")
    answered = status.get("in_reply_to_account_id")
    if status.get("reblog"):
        return Item(post, "reposts")
    if status.get("visibility") not in (None, "public", "unlisted"):
        return Item(post, "private")
    if status.get("spoiler_text"):
        return Item(post, "warned")
    if answered and str(answered) != account.id:
        return Item(post, "replies")
    return Item(post, "unreadable" if text is None else None)


def _text(content: Any) -> str | None:
    """HTML as text; None for what is none, or is made to take long."""
    if not isinstance(content, str) or len(content) > LONGEST_TERMS or content.count("<") > MOST_TAGS:
        return None
    return plain(content)
