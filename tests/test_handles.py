"""What counts as a handle, and on which network."""

import pytest

from utils.timelines.handles import BLUESKY, MASTODON, Handle, X, other_network, parse

DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize(
    ("text", "network", "name"),
    [
        ("@jack", X, "jack"),
        ("  @jack ", X, "jack"),
        ("＠jack", X, "jack"),
        ("@Under_Score_15ch", None, None),
        ("@Under_Score_15c", X, "Under_Score_15c"),
        ("https://x.com/jack", X, "jack"),
        ("https://twitter.com/jack/status/20", X, "jack"),
        ("http://mobile.twitter.com/jack?lang=en", X, "jack"),
        ("https://www.x.com/jack/", X, "jack"),
        ("https://x.com/home", None, None),
        ("https://x.com/", None, None),
        ("https://notx.com/jack", None, None),
        ("@alice.bsky.social", BLUESKY, "alice.bsky.social"),
        ("alice.bsky.social", BLUESKY, "alice.bsky.social"),
        ("@Alice.Example.com", BLUESKY, "alice.example.com"),
        ("alice.example.com", None, None),
        ("\u2066@alice.bsky.social\u2069", BLUESKY, "alice.bsky.social"),
        ("@alice.bsky.social/", BLUESKY, "alice.bsky.social"),
        ("x.com/jack", X, "jack"),
        ("fosstodon.org/@bob/", MASTODON, "bob@fosstodon.org"),
        ("some/where", None, None),
        ("@ſtar", None, None),
        ("https://bsky.app/profile/alice.bsky.social", BLUESKY, "alice.bsky.social"),
        ("https://bsky.app/profile/alice.bsky.social/post/3k2la", BLUESKY, "alice.bsky.social"),
        (f"https://bsky.app/profile/{DID}", BLUESKY, DID),
        (DID, BLUESKY, DID),
        (f"at://{DID}/app.bsky.feed.post/3k2la", BLUESKY, DID),
        ("https://bsky.app/search", None, None),
        ("@bob@fosstodon.org", MASTODON, "bob@fosstodon.org"),
        ("bob@fosstodon.org", MASTODON, "bob@fosstodon.org"),
        ("@bob@Fosstodon.ORG", MASTODON, "bob@fosstodon.org"),
        ("https://fosstodon.org/@bob", MASTODON, "bob@fosstodon.org"),
        ("https://fosstodon.org/@bob/109876543210", MASTODON, "bob@fosstodon.org"),
        ("https://fosstodon.org/users/bob", MASTODON, "bob@fosstodon.org"),
        ("https://mastodon.social/@bob@fosstodon.org", MASTODON, "bob@fosstodon.org"),
        ("https://www.threads.net/@somebody", None, None),
        ("https://fosstodon.org/about", None, None),
        ("@bob@localhost", None, None),
        ("@bob@127.0.0.1", None, None),
        ("@bob@[::1]", None, None),
        ("https://127.0.0.1/@bob", None, None),
        ("https://fosstodon.org:8443/@bob", None, None),
        ("https://user:word@fosstodon.org/@bob", None, None),
        ("@bob@fosstodon.org/../admin", None, None),
        ("https://[::1/@bob", None, None),
        ("jack", None, None),
        ("@", None, None),
        ("", None, None),
        ("sample:keeperfinch", None, None),
        ("@" + "a." * 5000 + "social" * 20, None, None),
    ],
)
def test_a_handle_or_a_link_names_one_account_on_one_network(text: str, network: str | None, name: str | None) -> None:
    assert parse(text) == (Handle(network, name) if network else None)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("https://www.threads.net/@somebody", "Threads"),
        ("@somebody@threads.net", "Threads"),
        ("https://www.youtube.com/@somebody", "YouTube"),
        ("https://fosstodon.org/@bob", None),
        ("https://[::1", None),
    ],
)
def test_networks_that_are_not_read_are_called_by_their_names(text: str, network: str | None) -> None:
    assert other_network(text) == network
