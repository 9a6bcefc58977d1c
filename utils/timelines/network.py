"""Manners on the network: every request to a network of people goes through the one session made here.

In: requests of Tweepy, of Mastodon.py, or of ours. Out: answers. A request has a time-out, three tries, and an
answer of bearable size; where a network asks to wait, it is waited, with a countdown. Knows nothing about posts.
"""

import io
import ipaddress
import re
import socket
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError, SSLError

from utils import environment
from utils.errors import NetworkFailed, UserError
from utils.events import Event, OnEvent
from utils.timelines import Fetching

USER_AGENT = "HuggingTweets (reads the posts of one account because somebody asked for it)"

SECONDS_TO_CONNECT, SECONDS_OF_SILENCE, SECONDS_IN_ALL = 10, 20, 60
"""Of one try. The last bounds a body that comes drop by drop."""

LARGEST_ANSWER = 20_000_000
"""Bytes. A page of a hundred posts has 0.2 to 1 MB."""

PAUSES = (1.0, 4.0)
"""Seconds between the three tries after a fault of the server or a connection that broke."""

PAUSES_WITHOUT_A_TIME = (15.0, 60.0)
"""Seconds to wait where a network says "too many requests" and not until when."""

MOST_WAITS = 6
"""How often one request is put off; a network that never says yes is left alone."""

LONGEST_WAIT = 16 * 60
"""The windows in which X and Bluesky count requests are 15 minutes and 5; who says longer is told to the user."""


class Stopped(Exception):
    """The user wants no more."""


class PoliteAdapter(HTTPAdapter):
    """Sends requests with a time-out, tries again, waits where it is asked to, and says why it gives up.

    network: its name, for sentences.
    judge: looks at each answer that is no fault of the server, and raises a `UserError` for those that mean one;
        so a client library never sees an answer that it would stumble over.
    """

    def __init__(
        self,
        network: str,
        on_event: OnEvent,
        fetching: Fetching,
        judge: Callable[[requests.Response], None],
    ) -> None:
        super().__init__()
        self._network, self._on_event, self._should_stop, self._judge = network, on_event, fetching.should_stop, judge
        self._pauses = PAUSES if fetching.pauses is None else fetching.pauses
        self._pauses_without_a_time = PAUSES_WITHOUT_A_TIME if fetching.pauses is None else fetching.pauses

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """One answer, after as many tries and waits as it takes. Raises a `UserError`, or `Stopped`."""
        host = urlsplit(request.url).hostname
        if environment.is_public() and not _is_in_the_open(host):
            raise NetworkFailed(f"{host} is not a server on the internet. Check the name.")
        pauses, waits = list(self._pauses), list(self._pauses_without_a_time)
        waited = 0
        while True:
            if self._should_stop():
                raise Stopped
            response, fault = self._try(request, options)
            if response is not None and response.status_code == 429:
                self._judge(response)
                seconds = seconds_to_wait(response)
                if seconds is None and waits:
                    seconds = waits.pop(0)
                waited += 1
                if seconds is None or seconds > LONGEST_WAIT or waited > MOST_WAITS:
                    raise NetworkFailed(self._come_back(seconds))
                self._wait(seconds, f"{self._network} asks to wait")
            elif fault is None:
                self._judge(response)
                return response
            elif not pauses:
                raise NetworkFailed(f"{fault} Three tries failed; try again later.")
            else:
                asked = seconds_to_wait(response) if response is not None else None
                self._wait(min(max(asked or 0.0, pauses.pop(0)), LONGEST_WAIT), fault)

    def _try(
        self, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> tuple[requests.Response | None, str | None]:
        """The whole answer, or what went wrong, in a sentence; both for a fault of the server."""
        host = urlsplit(request.url).hostname
        options = {**options, "timeout": (SECONDS_TO_CONNECT, SECONDS_OF_SILENCE), "stream": True}
        try:
            response = super().send(request, **options)
            response.raw = io.BytesIO(_whole(response))
        except (requests.exceptions.SSLError, SSLError) as error:
            if "CERTIFICATE_VERIFY_FAILED" not in str(error):
                return None, f"The connection to {host} broke."
            raise NetworkFailed(f"{host} has no valid certificate, so nothing is fetched from it.") from None
        except requests.exceptions.ConnectTimeout:
            return None, f"{host} does not answer."
        except (requests.exceptions.ReadTimeout, ReadTimeoutError, TimeoutError):
            return None, f"{host} is too slow to answer."
        except DecodeError as error:
            raise NetworkFailed(f"{host} gave an answer that cannot be read ({error}).") from None
        except (requests.exceptions.ConnectionError, ProtocolError) as error:
            if "resolve" in str(error).lower():
                return None, f"{host} cannot be found; is the name right, and is this machine on the internet?"
            return None, f"The connection to {host} broke."
        if response.status_code >= 500:
            return response, f"{host} has a problem of its own (status {response.status_code})."
        return response, None

    def _come_back(self, seconds: float | None) -> str:
        when = "in a quarter of an hour" if seconds is None else f"in {_in_words(seconds)}"
        return f"{self._network} lets nobody ask so often. What was fetched is kept; go on {when}."

    def _wait(self, seconds: float, why: str) -> None:
        """Let time pass, and count it down where somebody watches."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._should_stop():
                raise Stopped
            if seconds >= 1:
                sentence = f"{why.rstrip('.?')}; going on in {_in_words(left)}"
                self._on_event(Event("stage", sentence, 1 - left / seconds))
            time.sleep(min(left, 1.0))


def session(adapter: PoliteAdapter) -> requests.Session:
    """A session that reaches the network through this adapter and over TLS alone."""
    made = _Session()
    made.adapters.clear()
    made.mount("https://", adapter)
    made.headers["User-Agent"] = USER_AGENT
    made.auth = lambda request: request  # else requests sends what a .netrc holds for the host
    return made


class _Session(requests.Session):
    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """On a redirect: nothing that was meant for the first host, and nothing that a .netrc holds for the second."""
        if self.should_strip_auth(response.request.url, prepared_request.url):
            prepared_request.headers.pop("Authorization", None)


def seconds_to_wait(response: requests.Response) -> float | None:
    """How long a network asks to wait, from what it sends along; None where it does not say.

    `Retry-After` holds seconds or a date, the reset of a rate limit seconds since 1970 (X, Bluesky) or a date
    (Mastodon). Moments are taken against the answer's own `Date`, because the clock of this machine may be wrong.
    """
    headers = response.headers
    now = _moment(headers.get("Date", "")) or time.time()
    for name in ("Retry-After", "x-rate-limit-reset", "ratelimit-reset", "X-RateLimit-Reset"):
        value = headers.get(name, "").strip()
        if name == "Retry-After" and value.isdigit():
            return float(min(max(int(value[:12]), 1), 10**9))
        if value and (moment := _moment(value)) is not None:
            return max(moment - now, 0.0) + 1.0
    return None


def explain_json(response: requests.Response, kind: type, network: str) -> Any:
    """The JSON of an answer. Raises `NetworkFailed` where it is none, or not a dict or list as expected."""
    try:
        value = response.json()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, kind):
        host = urlsplit(response.url or "").hostname
        raise NetworkFailed(f"{host} answers, but not as {network} does. Check the name, or try again later.")
    return value


def count(value: Any) -> int | None:
    """A count that a network gave, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def web_address(value: Any) -> str | None:
    """An address that a network gave, None for anything but https."""
    return value if isinstance(value, str) and re.match(r"https://[!-~]+\Z", value) else None


def as_user_error(error: BaseException) -> UserError | Stopped | None:
    """What was raised here, found again inside an exception that a client library wrapped around it."""
    while error is not None:
        if isinstance(error, UserError | Stopped):
            return error
        error = error.__cause__ or error.__context__
    return None


def _whole(response: requests.Response) -> bytes:
    """The body of an answer, within bounds of size and time."""
    end = time.monotonic() + SECONDS_IN_ALL
    body = bytearray()
    with closing(response.raw) as raw:
        while piece := raw.read1(65536, decode_content=True):
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise DecodeError(f"more than {LARGEST_ANSWER:,} bytes")
            if time.monotonic() > end:
                raise TimeoutError
    return bytes(body)


def _moment(text: str) -> float | None:
    """Seconds since 1970, from a number, an HTTP date or an ISO date."""
    try:
        if text.isdigit():
            return float(text) if len(text) < 12 else None
        date = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds > 90 else f"{max(seconds, 1):.0f} s"


def _is_in_the_open(host: str | None) -> bool:
    """Whether a name leads to addresses of the internet alone, and to none of the machine's own network."""
    try:
        found = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
    except OSError:
        return True  # it cannot be reached either, unless through a proxy, which has rules of its own
    return all(is_global(ipaddress.ip_address(address[4][0].partition("%")[0])) for address in found)


def is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the internet, and holds none of IPv4's that is not."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    number = int(address)
    is_translated = address in ipaddress.ip_network("64:ff9b::/96") or number < 2**32
    inside = (
        address.ipv4_mapped or address.sixtofour or (ipaddress.IPv4Address(number % 2**32) if is_translated else None)
    )
    if inside is not None:
        return is_global(inside)
    return address.is_global and not (address.is_multicast or address.is_site_local)
