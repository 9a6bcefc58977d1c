"""Posts from X, through Tweepy and with the user's own key. X takes money for each post that is read.

In: a `Handle`, a bearer token, and the word that the user knows the price and the terms. Out: the account, and its
posts page by page, at most the newest 3,200. Knows nothing about what was fetched before. The interface:
https://docs.x.com/x-api/posts/get-posts. What is said here of Tweepy is of 4.17.
"""

import logging
import math
import re
from collections.abc import Iterator
from typing import Any

import requests

from utils.environment import secret
from utils.errors import BadReference, NetworkFailed
from utils.events import Event, OnEvent
from utils.timelines import Account, Fetching, Post
from utils.timelines.dates import parse_date
from utils.timelines.handles import Handle, X
from utils.timelines.markup import unescape
from utils.timelines.network import USER_AGENT, PoliteAdapter, count, explain_json, session, web_address
from utils.timelines.shelf import Item, Page

HOST = "https://api.twitter.com"
"""The host that Tweepy asks."""

POSTS_A_PAGE, FEWEST_A_PAGE = 100, 5
"""The most and the least that X gives at once."""

MOST_POSTS = 3200
"""X gives no older ones."""

DOLLARS_A_POST, DOLLARS_AN_ACCOUNT = 0.005, 0.010
"""X's list price for reading, pay as you go, 2026: https://docs.x.com/x-api/getting-started/pricing."""

TOKENS = ("X_BEARER_TOKEN", "TWITTER_BEARER_TOKEN")

NOTICE = (
    "X's developer agreement (III.A) restricts training models on posts from its API; your plan has to allow it. "
    "The archive of your own account costs nothing and has all of your posts."
)

FIELDS = ["created_at", "note_tweet", "referenced_tweets", "in_reply_to_user_id", "lang"]


class XApi:
    """One account on X. See `fetching.Source`."""

    def __init__(self, handle: Handle, fetching: Fetching, on_event: OnEvent) -> None:
        self._handle, self._on_event, self._said = handle, on_event, False
        limit = min(fetching.limit or MOST_POSTS, MOST_POSTS)
        self._page_size = max(min(limit, POSTS_A_PAGE), FEWEST_A_PAGE)
        self._left = self._most = self._page_size * math.ceil(limit / self._page_size)
        token = secret(*TOKENS) if fetching.x_token is None else fetching.x_token
        if not fetching.accept_x_terms:
            raise NetworkFailed(
                f"Fetching {handle} from X costs up to about {price(self._most)} at its list price. {NOTICE} "
                f"To fetch all the same: python -m utils fetch {handle} --accept-x-terms; on the page, tick the box in "
                "part 1, and read the account there once more."
            )
        if token and not re.fullmatch(r"[!-~]+", token):
            raise NetworkFailed(
                "The key for X has letters that no key has; copy it once more, without blanks and line breaks."
            )
        if not token:
            raise NetworkFailed(
                f"X needs a key to give the posts of {handle}: put the bearer token of your app into {TOKENS[0]} "
                "(on the page: into the field for it). One is made at https://console.x.com."
            )
        self._client = _client(token, PoliteAdapter(X, on_event, fetching, self._judge))

    def look_up(self) -> Account:
        """Who it is. Raises `BadReference` for an account that is not there, is protected or suspended."""
        self._say_price()
        answer = self._client.get_user(
            username=self._handle.name, user_fields=["name", "profile_image_url", "protected", "public_metrics"]
        )
        user = answer.data
        self._check(answer, user is not None and not user.protected)
        numbers = user.public_metrics if isinstance(user.public_metrics, dict) else {}
        posts = count(numbers.get("tweet_count"))
        return Account(
            network=X,
            id=str(user.id),
            handle=f"@{user.username}",
            link=f"https://x.com/{user.username}",
            name=str(user.name or ""),
            avatar=web_address(user.profile_image_url),
            followers=count(numbers.get("followers_count")),
            posts=None if posts is None else min(posts, MOST_POSTS),
            notice=NOTICE,
        )

    def pages(self, account: Account, since: str | None, cursor: str | None) -> Iterator[Page]:
        """The posts of the account, newest first. Here a cursor is the oldest post so far: it never grows stale."""
        from tweepy import Paginator

        self._say_price()
        if self._left <= 0:
            return
        limits = {name: value for name, value in (("since_id", since), ("until_id", cursor)) if value}
        # Leaving replies to the server, too, would cut the history to 800 posts; they are told apart here.
        for answer in Paginator(
            self._client.get_users_tweets, account.id, max_results=self._page_size, exclude=["retweets"],
            tweet_fields=FIELDS, **limits,
        ):  # fmt: skip
            posts = answer.data or []
            self._check(answer, bool(posts) or not answer.errors)
            cursor = posts[-1].data["id"] if posts else cursor
            goes_on = bool(answer.meta.get("next_token"))
            if posts or not goes_on:  # a page of nothing but reposts is empty, and not the last
                yield Page([_item(post.data, account) for post in posts], cursor if goes_on else None)
            self._left -= len(posts)
            if self._left <= 0:
                return

    def _say_price(self) -> None:
        """Once, before the first request."""
        if not self._said:
            told = f"Fetching {self._handle} costs up to about {price(self._left)} at X's list price"
            self._on_event(Event("warning", told))
            self._said = True

    def _check(self, answer: Any, is_there: bool) -> None:
        """Raise for what X answers with status 200 and no data: an account that cannot be read."""
        if is_there:
            return
        first = answer.errors[0] if answer.errors else {}
        told = f"{first.get('title', '')} {first.get('detail', '')}".lower()
        if "suspended" in told:
            raise BadReference(f"{self._handle} has been suspended on X; nothing can be read there.")
        if answer.data is not None or "authoriz" in told or "protected" in told:
            raise BadReference(
                f"The posts of {self._handle} are protected: X shows them to followers alone. Try another."
            )
        raise BadReference(f"There is no {self._handle} on X. Check the spelling.")

    def _judge(self, response: requests.Response) -> None:
        """Raise what an answer means where it is no success, before Tweepy sees it.

        Tweepy has no name for 402, and stumbles over an error that is not a JSON object.
        """
        status = response.status_code
        if 300 <= status < 400:
            return
        try:
            body = explain_json(response, dict, X)
        except NetworkFailed:
            if status < 400:
                raise
            body = {}
        told = f"{body.get('title', '')} {body.get('detail', '')} {body.get('reason', '')}".lower()
        if status == 402 or "creditsdepleted" in told.replace(" ", "") or "usagecapexceeded" in told.replace(" ", ""):
            raise NetworkFailed(
                "X says that the credits of this key are used up. Add some at https://console.x.com, "
                "or take the archive of your own account, which costs nothing."
            )
        if status == 401:
            raise NetworkFailed(
                "X does not accept the key. It has to be the bearer token of an app, whole; "
                "make a new one at https://console.x.com."
            )
        if status == 403:
            raise NetworkFailed(
                "X does not let this key read posts: its app has no plan for that. See https://console.x.com, "
                "or take the archive of your own account."
            )
        if status == 404:
            raise BadReference(f"There is no {self._handle} on X. Check the spelling.")
        if status >= 400 and status != 429:
            raise NetworkFailed(f"X does not give the posts of {self._handle} (status {status}).")


def price_list() -> str:
    """What reading an account costs, for people who have not decided yet."""
    return (
        f"X takes money for reading: up to about {price(MOST_POSTS)} for an account. Pages that came are kept and "
        "not paid again. The archive of your own account costs nothing and has all of your posts: upload it below."
    )


def price(posts: int) -> str:
    """What so many posts of one account cost at most, in words: "$16.01 (3,200 posts)"."""
    return f"${posts * DOLLARS_A_POST + DOLLARS_AN_ACCOUNT:.2f} ({posts:,} posts, replies among them)"


def _client(token: str, adapter: PoliteAdapter) -> Any:
    """Tweepy's client behind our manners. It has no time-out of its own and prints the token when it is debugged."""
    from tweepy import Client

    logging.getLogger("tweepy.client").setLevel(logging.INFO)
    client = Client(bearer_token=token)
    client.session = session(adapter)
    client.user_agent = USER_AGENT
    return client


def _item(post: dict[str, Any], account: Account) -> Item:
    """A post of X's JSON. A long one has its whole text apart; escapes are undone."""
    note = post.get("note_tweet")
    text = note.get("text") if isinstance(note, dict) else None
    text = text if isinstance(text, str) else post.get("text")
    referenced = [other.get("type") for other in post.get("referenced_tweets") or () if isinstance(other, dict)]
    answered = post.get("in_reply_to_user_id")
    reason = None
    if not isinstance(text, str):
        reason, text = "unreadable", ""
    elif "retweeted" in referenced:
        reason = "reposts"
    elif answered and str(answered) != account.id:
        reason = "replies"
    return Item(Post(str(post["id"]), parse_date(post.get("created_at")), unescape(text)), reason)
