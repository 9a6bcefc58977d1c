"""A bot that stays in memory and writes when it is asked: the other end of the page's Write button.

In: requests, a line of JSON each: `{"request": 1, "opening": "", "count": 6, "temperature": 1.0}`, or
`{"stop": 1}` to end that one. Out: events, a line of JSON each, with the number of
the request: `draft` for every post as soon as it is finished, then `done` or `error`; `ready` comes first
of all. Ends when its input does. So a page needs no torch of its own, and memory that runs out is a
sentence and not a dead page.
"""

import json
import queue
import threading
from pathlib import Path
from typing import Any, TextIO

from utils import memory
from utils.errors import UserError
from utils.events import Event
from utils.language_model import bytes_in_memory
from utils.settings import WritingSettings

WAKING_BYTES = 500_000_000
"""What a bot takes beside its weights: PyTorch and transformers (0.3 GB, and 0.1 GB of program files), and what the
drafts of one request look back at."""

PATIENCE = "Wait until no other bot learns or writes here."

ALL = "all"
"""In the place of a request's number: nobody listens any more."""


def listen(folder: Path, requests: TextIO, answers: TextIO) -> None:
    """Serve requests until they end. A problem that a user can mend becomes an `error` event.

    A bot can be woken again, and a training would have to begin anew: where both are too much for this machine, the
    bot is not woken, and if memory runs out later, it ends before the training does.
    """

    def tell(event: Event, **data: Any) -> None:
        answers.write(json.dumps({**event.as_dict(), **data}, ensure_ascii=True) + "\n")
        answers.flush()

    memory.end_first()
    try:
        memory.check(bytes_in_memory(folder) + WAKING_BYTES, f"waking {folder.name}", mend=PATIENCE)
        from utils.bot import Bot
        from utils.generation import write

        bot = Bot.load(folder)
    except UserError as error:
        tell(Event("error", str(error)))
        return
    tell(Event("ready", f"{bot.story.voice} is listening"))
    waiting: queue.Queue[dict | None] = queue.Queue()
    stopped: set[Any] = set()
    threading.Thread(target=_read, args=(requests, waiting, stopped), daemon=True).start()
    while (request := waiting.get()) is not None:
        number = str(request.get("request"))

        def on_event(event: Event, number: str = number) -> None:
            tell(event, request=number)

        def should_stop(number: str = number) -> bool:
            return bool(stopped & {number, ALL})

        try:
            settings = WritingSettings(temperature=float(request.get("temperature", 1.0)), seed=request.get("seed"))
            opening, count = str(request.get("opening", "")), int(request.get("count", 10))
            writing = write(bot, opening, count, settings, on_event, should_stop)
        except UserError as error:
            on_event(Event("error", str(error)))
            continue
        data = {"drafts": len(writing.drafts), "dropped": writing.dropped, "stopped": writing.stopped,
                "seconds": round(writing.seconds, 2)}  # fmt: skip
        on_event(Event("done", f"{len(writing.drafts)} drafts", 1.0, data))


def _read(requests: TextIO, waiting: queue.Queue, stopped: set[Any]) -> None:
    """Put requests into the queue as they come; a request to stop does not wait its turn."""
    for line in requests:
        try:
            request = json.loads(line)
        except ValueError:
            continue
        if not isinstance(request, dict):
            continue
        if "stop" in request:
            stopped.add(str(request["stop"]))
        else:
            waiting.put(request)
    stopped.add(ALL)
    waiting.put(None)
