"""Archives in all forms that X has handed out, made on the spot from a few posts."""

import io
import json
import zipfile
from pathlib import Path

POST = {"id_str": "2", "created_at": "Fri Mar 06 13:02:05 +0000 2026", "full_text": "salt &amp; pepper"}
REPOST = {"id_str": "1", "created_at": "Thu Mar 05 08:00:00 +0000 2026", "full_text": "RT @b: the words of b"}
TWEETS = [{"tweet": POST}, {"tweet": REPOST}]


def javascript(name: str, value: object) -> str:
    """A value as X's scripts hold it."""
    return f"window.YTD.{name}.part0 = {json.dumps(value)}"


def manifest(handle: str = "someone", **kinds: list[str]) -> str:
    """A manifest that lists members, like `manifest(tweets=["data/tweets.js"])`."""
    types = {kind: {"files": [{"fileName": name} for name in names]} for kind, names in kinds.items()}
    content = {"userInfo": {"accountId": "77", "userName": handle, "displayName": "S"}, "dataTypes": types}
    return "window.__THAR_CONFIG = " + json.dumps(content)


def note(text: str, created_at: str, number: str = "500") -> dict:
    """A full text as `note-tweet.js` holds it."""
    return {"noteTweet": {"noteTweetId": number, "createdAt": created_at, "core": {"text": text}}}


def write_zip(path: Path, members: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def write_folder(path: Path, members: dict[str, str | bytes]) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zip_bytes(members: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return buffer.getvalue()
