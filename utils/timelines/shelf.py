"""The shelf: what was fetched from each account, so that nobody waits or pays for it twice.

In: pages of posts, newest first. Out: a file of JSON Lines for each account, to which whole pages are added and
nothing else: an account, then posts, with a line behind each page that makes it count. What a killed process
left behind the last such line is no page and is written over. Knows nothing about networks.

Posts come newest first, so a fetch that breaks off leaves a gap below. A *stretch* is a row of pages without
gaps; the next fetch opens a new one on top, down to the posts that are known, and then ends those that are open.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from utils import environment
from utils.errors import BadFile
from utils.locks import held
from utils.timelines import Account, Collector, Post, Timeline
from utils.timelines.dates import parse_date
from utils.timelines.handles import Handle
from utils.timelines.json_lines import as_json

REFRESHING = ".refresh.jsonl"
"""The ending of a file that is to take the place of the one before, when it is whole."""


LATEST = 1e11
"""Seconds since 1970 after which no moment is one."""


@dataclass(frozen=True, slots=True)
class Item:
    """A post as it was fetched, and for which reason it is not one to learn from, if there is one."""

    post: Post
    left_out: str | None = None


@dataclass(frozen=True)
class Page:
    """Posts in the order of the network, newest first; `cursor` is where the next page begins, None after the last."""

    items: list[Item]
    cursor: str | None


@dataclass
class Stretch:
    """A row of pages without gaps: its newest post, where it goes on, and whether it does."""

    number: int
    newest: str | None = None
    cursor: str | None = None
    is_open: bool = True


class Shelf:
    """One account's posts. Written by one process at a time: see `opened`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.account: Account | None = None
        self.asked_at = self.looked_up_at = 0.0
        self._items: dict[str, tuple[int, Item]] = {}
        self._usable: Counter[int] = Counter()
        self._stretches: list[Stretch] = []
        self._whole = 0
        self._read()

    def begin(self, account: Account) -> None:
        """Remember who it is. Raises `BadFile` where the disk is full or may not be written."""
        self.account, self.looked_up_at = account, time.time()
        self._append(json.dumps({"account": asdict(account), "at": self.looked_up_at}) + "\n")

    def to_do(self) -> list[Stretch]:
        """A new stretch on top, and those that broke off, newest first."""
        broken = [stretch for stretch in self._stretches if stretch.is_open]
        number = self._stretches[-1].number + 1 if self._stretches else 0
        return [Stretch(number), *reversed(broken)]

    def since(self, stretch: Stretch) -> str | None:
        """The newest post below a stretch, None where there is none."""
        below = [other.newest for other in self._stretches if other.number < stretch.number and other.newest]
        return below[-1] if below else None

    def add(self, stretch: Stretch, page: Page) -> None:
        """Write a page at the lower end of a stretch.

        The stretch ends with the last page, or where a post below it comes up.
        """
        met = any(
            self._items.get(item.post.id, (stretch.number,))[0] < stretch.number
            for item in page.items
            if item.left_out != "reposts"  # who takes one back and does it again has it on top again
        )
        own = list({item.post.id: item for item in page.items if item.post.id not in self._items}.values())
        lines = [as_json(item.post, **({"left_out": item.left_out} if item.left_out else {})) for item in own]
        is_open = page.cursor is not None and not met
        about = {"stretch": stretch.number, "cursor": page.cursor, "open": is_open, "at": time.time()}
        self._append("".join(f"{line}\n" for line in [*lines, json.dumps({"page": about})]))
        self._take(own, about)
        stretch.is_open, stretch.cursor = is_open, page.cursor

    def posts_down_to(self, stretch: Stretch) -> int:
        """How many posts one can learn from lie in this stretch and above it."""
        return sum(count for number, count in self._usable.items() if number >= stretch.number)

    @property
    def is_whole(self) -> bool:
        """Whether no fetch has broken off."""
        return bool(self._stretches) and not any(stretch.is_open for stretch in self._stretches)

    @property
    def posts(self) -> int:
        """How many posts there are to learn from."""
        return self._usable.total()

    @property
    def items(self) -> int:
        """How many posts there are, those that are left out too."""
        return len(self._items)

    def is_of(self, handle: Handle) -> bool:
        """Whether it is this account's, fetched by this handle or by another name of it."""
        name = (self.account.network, self.account.handle.lower())
        return self.path == path_of(handle) or name == (handle.network, str(handle).lower())

    def settle(self) -> None:
        """The fetch has ended well: what was fetched anew, if it is all there, takes the place of what was before."""
        before = self.path.with_name(self.path.name.replace(REFRESHING, ".jsonl"))
        if self.path != before and self.is_whole and (self.items or not before.exists()):
            self.path = self.path.replace(before)

    def age(self) -> float:
        """Seconds since the network was asked last; endless where it never was, or in the future."""
        seconds = time.time() - self.asked_at
        return seconds if self._stretches and seconds >= 0 else float("inf")

    def timeline(self) -> Timeline:
        """All that lies here, oldest first. Raises `BadFile` where there are more posts than are bearable."""
        posts = Collector()
        newest_first = sorted(self._items.values(), key=lambda numbered: -numbered[0])
        for _, item in reversed(newest_first):
            if item.left_out:
                posts.leave_out(item.left_out)
            else:
                posts.add(item.post.id, item.post.created_at, item.post.text)
        account = self.account
        remarks = [account.notice] if account.notice else []
        return posts.finished(account.handle, account.link, remarks, account)

    def _read(self) -> None:
        """Read whole pages. A line that is damaged is passed over; a page whose last line is, does not count."""
        with suppress(FileNotFoundError), open(self.path, "rb") as file:
            place, items = 0, []
            for line in file:
                place += len(line)
                try:
                    entry = json.loads(line)
                    if "account" in entry:
                        self.account, self.looked_up_at = Account(**entry["account"]), float(entry["at"])
                    elif "page" in entry:
                        self._take(items, entry["page"])
                        items = []
                    else:
                        items.append(_item(entry))
                        continue
                except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
                    continue
                if line.endswith(b"\n"):
                    self._whole = place

    def _take(self, items: list[Item], about: dict) -> None:
        """Count a page. Raises `TypeError` and its like, before anything has changed, for what is none."""
        number, cursor, is_open, at = int(about["stretch"]), about["cursor"], bool(about["open"]), float(about["at"])
        if not (cursor is None or isinstance(cursor, str)) or not 0 <= at < LATEST:
            raise ValueError("no page")
        stretch = next((known for known in self._stretches if known.number == number), None)
        if stretch is None:
            stretch = Stretch(number)
            self._stretches = sorted([*self._stretches, stretch], key=lambda stretch: stretch.number)
        stretch.newest = stretch.newest or (items[0].post.id if items else None)
        stretch.cursor, stretch.is_open, self.asked_at = cursor, is_open, at
        for item in items:
            if item.post.id not in self._items:
                self._items[item.post.id] = number, item
                self._usable[number] += item.left_out is None

    def _append(self, text: str) -> None:
        try:
            with open(self.path, "ab") as file:
                if file.tell() < self._whole:
                    raise BadFile(f"{self.path} was changed by another program meanwhile. Fetch again.")
                file.truncate(self._whole)
                file.write(text.encode("utf-8"))
                self._whole = file.tell()
        except OSError as error:
            raise BadFile(f"What is fetched cannot be kept in {self.path}: {error.strerror}.") from error


def _item(entry: dict) -> Item:
    number, text, left_out = entry["id"], entry["text"], entry.get("left_out")
    if not (isinstance(number, str) and isinstance(text, str) and isinstance(left_out, str | None)):
        raise TypeError("no post")
    return Item(Post(number, parse_date(entry["created_at"]), text), left_out)


@contextmanager
def opened(handle: Handle, refresh: bool, on_wait: Callable[[], None]) -> Iterator[Shelf]:
    """The shelf of an account, for this process alone; `on_wait` is called while another one has it.

    refresh: an empty one, or one that was begun so and broke off; `settle` puts it in the other's place.
    Raises `BadFile` where the folder may not be written.
    """
    path = path_of(handle)
    with ExitStack() as stack:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            stack.enter_context(held(path.with_suffix(".lock"), on_wait))
            shelf = Shelf(path.with_suffix(REFRESHING) if refresh else path)
        except OSError as error:
            raise BadFile(f"What is fetched cannot be kept in {path.parent}: {error.strerror}.") from error
        yield shelf


def path_of(handle: Handle) -> Path:
    """The file for an account, whatever case its name was typed in. With its "@" it is no name that Windows keeps."""
    name = str(handle).lower().replace(":", "=")
    return environment.shelf_folder() / handle.network.lower() / f"{name}.jsonl"


def everything() -> list[Shelf]:
    """All that lies on the shelf, by network and name."""
    paths = sorted(path for path in environment.shelf_folder().glob("*/*.jsonl") if path.is_file())
    shelves = (Shelf(path) for path in paths if not path.name.endswith(REFRESHING))
    return [shelf for shelf in shelves if shelf.account]


def clear(shelf: Shelf) -> None:
    """Take an account off the shelf. Raises `BadFile` where that may not be done, or not now."""

    def busy() -> None:
        raise BadFile(f"{shelf.account.handle} is being fetched by another program here. Clear it when that is done.")

    try:
        with held(shelf.path.with_suffix(".lock"), busy):
            shelf.path.unlink(missing_ok=True)
            shelf.path.with_suffix(REFRESHING).unlink(missing_ok=True)
    except OSError as error:
        raise BadFile(f"{shelf.path} cannot be removed: {error.strerror}.") from error
