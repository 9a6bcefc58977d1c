"""X, Bluesky and a Mastodon server as their public documentation describes them, for `internet.py` to host."""

import html
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from internet import Answer, Internet, Request

BEARER = "a-made-up-token-for-the-tests"
FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)

Fault = Callable[[Request], Answer | None]


@dataclass
class Written:
    """A post of a fake account. number: its place in time, from 1."""

    number: int
    text: str
    answers: str | None = None
    reposted: bool = False
    more: dict = field(default_factory=dict)

    @property
    def date(self) -> str:
        """An hour after the one before."""
        return (FIRST + timedelta(hours=self.number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Network:
    """What the three have in common: one account with posts, and faults for some of the requests.

    faults: a fault for the request with this number, from 1; it may answer in the network's place, or return None.
    cut_first: reposts are taken out after a page was cut, so that it is short or empty, as networks do it.
    """

    HOST = ""

    def __init__(self, internet: Internet, texts: list[str] | int = 0) -> None:
        texts = (
            [f"Post number {number + 1} of a quiet life" for number in range(texts)]
            if isinstance(texts, int)
            else texts
        )
        self.posts = [Written(number, text) for number, text in enumerate(texts, 1)]
        self.faults: dict[int, Fault] = {}
        self.cut_first = False
        self.asked: list[Request] = []
        internet.hosts[self.HOST] = self._answer

    def write(self, text: str, **about: object) -> Written:
        """A new post."""
        self.posts.append(Written(len(self.posts) + 1, text, **about))
        return self.posts[-1]

    def _answer(self, request: Request) -> Answer:
        self.asked.append(request)
        fault = self.faults.get(len(self.asked))
        answer = (fault and fault(request)) or self.answer(request)
        answer.headers.setdefault("Date", format_datetime(datetime.now(UTC), usegmt=True))
        return answer

    def answer(self, request: Request) -> Answer:
        """What the network says to a request."""
        raise NotImplementedError

    def newest_first(self, since: int = 0, until: int | None = None) -> list[Written]:
        """Posts with numbers above `since` and below `until`."""
        return [post for post in reversed(self.posts) if post.number > since and (not until or post.number < until)]


class FakeX(Network):
    """https://docs.x.com/x-api: users by name, and posts by user with pagination tokens."""

    HOST = "api.twitter.com"
    USER = "1234567890"
    MOST = 3200

    def __init__(self, internet: Internet, texts: list[str] | int = 0) -> None:
        super().__init__(internet, texts)
        self.user: dict = {"id": self.USER, "username": "quietlife", "name": "A Quiet Life", "protected": False,
                           "profile_image_url": "https://pbs.twimg.com/profile_images/1/quiet_normal.jpg",
                           "public_metrics": {"followers_count": 321, "tweet_count": len(self.posts)}}  # fmt: skip
        self.missing: dict | None = None

    def answer(self, request: Request) -> Answer:
        """See `Network`."""
        if request.headers.get("Authorization") != f"Bearer {BEARER}":
            return Answer(
                {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}, 401
            )
        if request.path.startswith("/2/users/by/username/"):
            return Answer({"errors": [self.missing]} if self.missing else {"data": self.user})
        if request.path != f"/2/users/{self.USER}/tweets":
            return Answer({"title": "Not Found Error"}, 404)
        query = request.query
        size, token = int(query["max_results"]), query.get("pagination_token")
        if not 5 <= size <= 100:
            return Answer({"errors": [{"message": "max_results must be between 5 and 100"}]}, 400)
        known = self.newest_first(int(query.get("since_id", 0)), int(query.get("until_id", 0)) or None)[: self.MOST]
        if "retweets" in query.get("exclude", "") and not self.cut_first:
            known = [post for post in known if not post.reposted]
        start = int(token.removeprefix("page-")) if token else 0
        posts = [post for post in known[start : start + size] if not (self.cut_first and post.reposted)]
        meta: dict = {"result_count": len(posts)}
        if posts:
            meta |= {"newest_id": str(posts[0].number), "oldest_id": str(posts[-1].number)}
        if start + size < len(known):
            meta["next_token"] = f"page-{start + size}"
        return Answer({"data": [self._post(post) for post in posts], "meta": meta} if posts else {"meta": meta})

    def _post(self, post: Written) -> dict:
        text = html.escape(post.text, quote=False)
        made: dict = {"id": str(post.number), "text": text, "created_at": post.date, "lang": "en",
                      "edit_history_tweet_ids": [str(post.number)]}  # fmt: skip
        if post.answers:
            made |= {"in_reply_to_user_id": post.answers, "referenced_tweets": [{"type": "replied_to", "id": "1"}]}
        return made | post.more


class FakeBluesky(Network):
    """https://docs.bsky.app: app.bsky.actor.getProfile and app.bsky.feed.getAuthorFeed."""

    HOST = "public.api.bsky.app"
    DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"

    def __init__(self, internet: Internet, texts: list[str] | int = 0) -> None:
        super().__init__(internet, texts)
        self.profile: dict = {"did": self.DID, "handle": "quiet.bsky.social", "displayName": "A Quiet Life",
                              "avatar": "https://cdn.bsky.app/img/avatar/plain/x/y", "followersCount": 42,
                              "postsCount": len(self.posts), "labels": []}  # fmt: skip

    def answer(self, request: Request) -> Answer:
        """See `Network`."""
        if request.query.get("actor") not in (self.profile["handle"], self.DID):
            return Answer({"error": "InvalidRequest", "message": "Profile not found"}, 400)
        if request.path == "/xrpc/app.bsky.actor.getProfile":
            return Answer(self.profile)
        if request.path != "/xrpc/app.bsky.feed.getAuthorFeed" or not 1 <= int(request.query["limit"]) <= 100:
            return Answer({"error": "InvalidRequest", "message": "limit must be at most 100"}, 400)
        cursor, limit = request.query.get("cursor"), int(request.query["limit"])
        known = self.newest_first(until=int(cursor) if cursor else None)
        posts = known[:limit]
        more = {"cursor": str(posts[-1].number)} if posts else {}
        return Answer({"feed": [self._entry(post) for post in posts], **more})

    def _entry(self, post: Written) -> dict:
        author = "did:plc:somebodyelse" if post.reposted else self.DID
        record = {"$type": "app.bsky.feed.post", "text": post.text, "createdAt": post.date, **post.more}
        entry: dict = {"post": {"uri": f"at://{author}/app.bsky.feed.post/3k{post.number:011}", "cid": "bafy",
                                "author": {"did": author}, "record": record, "indexedAt": post.date}}  # fmt: skip
        if post.reposted:
            entry["reason"] = {"$type": "app.bsky.feed.defs#reasonRepost", "by": {"did": self.DID}}
        return entry


class FakeMastodon(Network):
    """https://docs.joinmastodon.org: accounts/lookup, accounts/:id/statuses, instance/terms_of_service."""

    HOST = "fosstodon.org"
    USER = "109876"

    def __init__(self, internet: Internet, texts: list[str] | int = 0) -> None:
        super().__init__(internet, texts)
        self.terms: str | None = "<p>Be kind.</p>"
        self.most_a_page, self.links = 40, True
        self.account: dict = {"id": self.USER, "username": "quiet", "acct": "quiet", "display_name": "A Quiet Life",
                              "url": "https://fosstodon.org/@quiet", "avatar": "https://fosstodon.org/a.png",
                              "followers_count": 7, "statuses_count": len(self.posts)}  # fmt: skip

    def answer(self, request: Request) -> Answer:
        """See `Network`."""
        if request.path == "/api/v1/accounts/lookup" and request.query.get("acct") == self.account["acct"]:
            return Answer(self.account)
        if request.path == "/api/v1/instance/terms_of_service":
            return Answer({"effective_date": "2026-01-01", "effective": True, "content": self.terms})
        if request.path != f"/api/v1/accounts/{self.USER}/statuses":
            return Answer({"error": "Record not found"}, 404)
        query = request.query
        known = self.newest_first(int(query.get("since_id", 0)), int(query.get("max_id", 0)) or None)
        without_reposts = query.get("exclude_reblogs") in ("1", "true", "True")
        if without_reposts and not self.cut_first:
            known = [post for post in known if not post.reposted]
        limit = min(int(query.get("limit", 20)), self.most_a_page)
        posts = known[:limit]
        headers = {}
        if len(posts) == limit and self.links:
            link = f"https://{self.HOST}{request.path}?limit={limit}&max_id={posts[-1].number}"
            headers["Link"] = f'<{link}>; rel="next"'
        posts = [post for post in posts if not (without_reposts and post.reposted)]
        return Answer([self._status(post) for post in posts], headers=headers)

    def _status(self, post: Written) -> dict:
        content = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in post.text.split("\n\n"))
        return {"id": str(post.number), "created_at": post.date, "content": content, "visibility": "public",
                "spoiler_text": "", "sensitive": False, "in_reply_to_id": None, "reblog": None, "account": self.account,
                "in_reply_to_account_id": post.answers, "url": "", "uri": "", **post.more}  # fmt: skip
