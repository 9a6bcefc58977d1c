"""Put a bot on the Hugging Face Hub, under the account of whoever owns the token.

In: the files that may leave, a name, a token. Out: a repository with one commit that holds them all, or, if
anything goes wrong, the repository as it was. What arrived whole is not sent again by the next try. The
token goes to the Hub and nowhere else. Knows nothing about what is in the files.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils import environment
from utils.bot import BOT_FILES, STORY
from utils.errors import SharingFailed
from utils.events import Event, OnEvent, ignore
from utils.models import HUB_ID
from utils.settings import HUB_PATIENCE

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

TRIES = 2
"""How often a request is made that got no answer; the library would go on for minutes."""

BYTES_BETWEEN_NEWS = 1_000_000

TOKENS = "https://huggingface.co/settings/tokens"

_TOKEN = re.compile(r"[!-~]{1,500}")
_OWN = {".gitattributes", ".gitignore"}


@dataclass(frozen=True)
class Published:
    """What came of it. sent: bytes of weights and other large files that had to travel this time."""

    url: str
    repository: str
    private: bool
    created: bool
    sent: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_token(given: str | None = None) -> str:
    """The token that was given, else HF_TOKEN's, that of `hf auth login`, or the secret HF_TOKEN of Colab.

    Raises `SharingFailed` where there is none, or where it cannot be one. No sentence repeats it.
    """
    token = (given or environment.secret("HF_TOKEN") or "").strip()
    if not token:
        from huggingface_hub import get_token

        token = get_token() or ""
    if not token:
        raise SharingFailed(
            f"The Hub asks who you are. Make a token with the role “write” at {TOKENS}, then give it on the page, set "
            "HF_TOKEN, or run: hf auth login."
        )
    if not _TOKEN.fullmatch(token):
        raise SharingFailed(f"This is no token of the Hub: it has blanks or other letters in it. Copy it at {TOKENS}.")
    return token


class Account:
    """The Hub as the owner of a token sees it. Every method raises `SharingFailed`, in one sentence."""

    def __init__(self, token: str, patience: float = HUB_PATIENCE, on_event: OnEvent = ignore) -> None:
        self._token, self._on_event = token, on_event
        self._impatience = _Impatience(patience)

    def repository(self, name: str) -> str:
        """Owner and name of a repository called `name`; "organisation/name" is one of an organisation's."""
        wanted = name if "/" in name else f"someone/{name}"
        if not HUB_ID.fullmatch(wanted) or "--" in wanted or ".." in wanted or wanted.endswith(".git"):
            raise SharingFailed(
                f"'{name[:80]}' cannot be the name of a repository. Use letters, digits, single “-”, “_” and “.”."
            )
        self._on_event(Event("stage", "Asking the Hugging Face Hub who you are"))
        with self._connected(name) as api:
            return name if "/" in name else f"{api.whoami()['name']}/{name}"

    def publish(
        self, files: Mapping[str, Path | bytes], repository: str, private: bool = True, replace: bool = True
    ) -> Published:
        """Make the repository, or find it again, and put the files there in one commit.

        replace: whether a bot that is there may be replaced.
        """
        with self._connected(repository) as api, ExitStack() as open_files:
            created, there = self._make(api, repository, private, replace)
            self._on_event(Event("stage", "Reading the bot", 0.0))
            additions = [_addition(name, content, open_files) for name, content in files.items()]
            sent = self._send(api, repository, additions)
            from huggingface_hub import CommitOperationDelete

            # What an earlier bot left there and this one has not, like a second form of the tokenizer.
            left_over = [CommitOperationDelete(name) for name in sorted(there & BOT_FILES - files.keys())]
            self._on_event(Event("stage", "Publishing it", 1.0))
            api.create_commit(repository, [*additions, *left_over], commit_message="Share a bot")
            return Published(f"{api.endpoint}/{repository}", repository, private, created, sent)

    def _make(self, api: "HfApi", repository: str, private: bool, replace: bool) -> tuple[bool, set[str]]:
        """Whether the repository is new, and the names of the files in it."""
        from huggingface_hub.errors import HfHubHTTPError

        self._on_event(Event("stage", f"Making the repository {repository}"))
        try:
            api.create_repo(repository, private=private)
            return True, set()
        except HfHubHTTPError as error:
            if error.response.status_code != 409:
                raise
        found = api.model_info(repository)
        there = {sibling.rfilename for sibling in found.siblings or ()}
        if there - _OWN and STORY not in there:
            raise SharingFailed(
                f"There is a repository {repository} already, with something else in it, and it stays as it is. "
                "Choose another --name."
            )
        if found.private != private:
            is_now, wanted = ("private", "public") if found.private else ("public", "private")
            raise SharingFailed(
                f"{repository} is {is_now} already, and this bot was to be {wanted}. Choose another --name, or change "
                f"it at {api.endpoint}/{repository}/settings."
            )
        if STORY in there and not replace:
            raise SharingFailed(
                f"There is a bot in {repository} already, and it may be another one. Choose another --name, or "
                f"name it in full to replace it: {repository}"
            )
        return False, there

    def _send(self, api: "HfApi", repository: str, additions: list["CommitOperationAdd"]) -> int:
        """Send the large files, one after the other, as far as the Hub lacks them; returns how many bytes went."""
        total = sum(addition.upload_info.size for addition in additions) or 1
        before = sent = 0
        for addition in additions:
            name, source = addition.path_in_repo, addition.path_or_fileobj
            counted = isinstance(source, _Counted)
            if counted:
                source.follow(self._teller(name, before, total))
            api.preupload_lfs_files(repository, [addition], free_memory=False)
            if counted:
                source.follow(None)  # small files travel with the commit
                sent += source.furthest
            before += addition.upload_info.size
        return sent

    def _teller(self, name: str, before: int, total: int) -> Callable[[int], None]:
        told = 0

        def tell(position: int) -> None:
            nonlocal told
            done = before + position
            if done - told >= BYTES_BETWEEN_NEWS or done == total or not told:
                told = done
                about = {"bytes": done, "of": total, "file": name}
                self._on_event(Event("stage", f"Sending {name} ({total / 1e6:,.1f} MB in all)", done / total, about))

        return tell

    @contextmanager
    def _connected(self, repository: str) -> Iterator["HfApi"]:
        """The library, with bounds on how long it waits, its advice silenced and its errors in our words."""
        import huggingface_hub
        from huggingface_hub.errors import HFValidationError, HTTPError
        from huggingface_hub.utils import disable_progress_bars, logging

        disable_progress_bars()
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()
        huggingface_hub.set_client_factory(self._impatience.client)
        try:
            yield huggingface_hub.HfApi(token=self._token, library_name="huggingtweets")
        except (HTTPError, HFValidationError, OSError, RuntimeError, ValueError) as error:
            # The library wraps what happens while a file travels in a RuntimeError of its own.
            cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
            if not isinstance(cause, HTTPError | HFValidationError | OSError | ValueError | SharingFailed):
                raise
            raise SharingFailed(self._sentence(cause, repository)) from error
        finally:
            huggingface_hub.set_client_factory(_plain_client)
            logging.set_verbosity(verbosity)

    def _sentence(self, error: BaseException, repository: str) -> str:
        """What went wrong, and what to do. Nothing that the Hub or the library says is passed on but a short reason."""
        from huggingface_hub.errors import HTTPError, OfflineModeIsEnabled

        if isinstance(error, SharingFailed):
            return str(error)
        if isinstance(error, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set, which keeps this machine away from the Hub. Unset it and try again."
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is None and isinstance(error, HTTPError):
            return self._impatience.sentence
        sentences = {
            401: f"The Hub does not know this token, or it has run out. Make one with the role “write” at {TOKENS}.",
            403: f"This token may not write to {repository}. Make one with the role “write” at {TOKENS}, or choose "
            "another --name.",
            404: f"The Hub has no place called {repository} for this token. Check the --name.",
            413: "The Hub finds the bot too large.",
            429: "The Hub has had too many requests from here. Wait some minutes and try again.",
        }
        if status in sentences:
            return sentences[status]
        if status is not None and status >= 500:
            return f"The Hub has trouble of its own ({status}). Nothing was published; try again in some minutes."
        reason = self._without_token((str(error).strip().splitlines() or [type(error).__name__])[-1][:200])
        return f"The Hub did not take the bot: {reason}. Nothing was published."

    def _without_token(self, text: str) -> str:
        return text.replace(self._token, "…")


class _Counted(io.BufferedReader):
    """A file of which one knows how far it was read since it began to travel."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.furthest = 0
        self._tell: Callable[[int], None] | None = None

    def follow(self, tell: Callable[[int], None] | None) -> None:
        """Count from now on, or no longer; hashing reads the file before."""
        self._tell = tell

    def read(self, size: int | None = -1, /) -> bytes:
        block = super().read(size)
        if self._tell and block:
            self.furthest = max(self.furthest, self.tell())
            self._tell(self.tell())
        return block


def _addition(name: str, content: Path | bytes, open_files: ExitStack) -> "CommitOperationAdd":
    from huggingface_hub import CommitOperationAdd

    source = content if isinstance(content, bytes) else open_files.enter_context(_Counted(content))
    return CommitOperationAdd(name, source)


def _plain_client() -> Any:
    from huggingface_hub.utils._http import default_client_factory

    return default_client_factory()


class _Impatience:
    """Makes the library's own clients, which give up a silent request, and after `TRIES` of them in a row all."""

    def __init__(self, seconds: float) -> None:
        self.sentence = (
            f"The Hub cannot be reached, or did not answer for {seconds:g} seconds. Nothing was published; try again: "
            "what arrived whole is not sent again."
        )
        self._seconds, self._unanswered = seconds, 0

    def client(self) -> Any:
        """A client; the library asks for a new one after each connection that failed."""
        client = _plain_client()
        client.timeout = self._seconds
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks["request"], self._asked],
            "response": [*hooks["response"], self._answered],
        }
        return client

    def _asked(self, request: Any) -> None:
        self._unanswered += 1
        if self._unanswered > TRIES:
            raise SharingFailed(self.sentence)

    def _answered(self, response: Any) -> None:
        self._unanswered = 0
