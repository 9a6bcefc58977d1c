"""A Hugging Face Hub on loopback: it speaks the real protocol to the real library, and fails when it is told to."""

import base64
import hashlib
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_" + "aSecretThatNobodySees"
READ_ONLY = "hf_" + "aSecretThatOnlyReads"
USER = "somebody"


@dataclass
class Repository:
    """What is in a repository, by the names of its files."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0

    def large(self, name: str) -> bool:
        return name.endswith(".safetensors")

    def oid(self, name: str) -> str | None:
        """What the real Hub gives: SHA-256 for a large file, git's own digest for a small one."""
        if (content := self.files.get(name)) is None:
            return None
        if self.large(name):
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


class Hub(http.server.ThreadingHTTPServer):
    """The server, and what its tests look at.

    log: method and path of all requests. uploads: bytes of each large file that arrived whole.
    breaks: so many uploads of large files are cut off half-way. stalls: paths with this in them get no answer.
    answers: by a part of the path, the status to give instead of an answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.log: list[str] = []
        self.uploads: list[int] = []
        self.breaks = 0
        self.slow = 0.0
        self.stalls: str | None = None
        self.answers: dict[str, int] = {}
        self.tokens_on_the_way_to_storage = 0
        self.closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """The other side has left; that is what some tests are about."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_HEAD = do_GET

    def _answer(self) -> None:
        path, hub = unquote(urlsplit(self.path).path), self.server
        hub.log.append(f"{self.command} {path}")
        if hub.stalls and hub.stalls in path:
            hub.closing.wait(60)
            return
        if path.startswith("/storage/"):
            self._store(path)
            return
        body = self._body()
        if status := next((status for part, status in hub.answers.items() if part in path), None):
            self._send({"error": "for the test"}, status)
            return
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_ONLY) and "validate-yaml" not in path:
            self._send({"error": "Invalid username or password."}, 401)
            return
        for pattern, method in ROUTES:
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                method(self, *match.groups(), **({"body": body} if self.command == "POST" else {}))
                return
        self._send({"error": "no such path"}, 404)

    def _body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _send(self, value: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def whoami(self) -> None:
        self._send({"type": "user", "name": USER, "auth": {"accessToken": {"role": "write"}}})

    def create(self, body: bytes) -> None:
        asked, hub = json.loads(body), self.server
        if READ_ONLY in self.headers["Authorization"]:
            self._send({"error": "You don't have the rights to create a model under this namespace"}, 403)
            return
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        url = f"{hub.url}/{name}"
        if name in hub.repositories:
            self._send({"error": "You already created this model repo", "url": url}, 409)
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        hub.repositories[name] = Repository(private, {".gitattributes": b"*.safetensors filter=lfs\n"})
        self._send({"url": url, "name": name, "id": name})

    def validate(self, body: bytes) -> None:
        content = json.loads(body)["content"]
        errors = []
        found = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        data = yaml.safe_load(found[1]) if found else None
        if not isinstance(data, dict):
            errors.append("metadata block is missing")
        elif not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(data.get("base_model", "a/b"))):
            errors.append('"base_model" with value is not valid. Use a model id from https://hf.co/models.')
        elif any({"task", "dataset", "metrics"} - result.keys() for result in data["model-index"][0]["results"]):
            errors.append('"model-index" is not valid')
        answer = {"errors": [{"message": text} for text in errors], "warnings": []}
        self._send(answer, 400 if errors else 200)

    def preupload(self, name: str, body: bytes) -> None:
        repository = self.server.repositories[name]
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if repository.large(file["path"]) else "regular",
                "shouldIgnore": False,
                "oid": repository.oid(file["path"]),
            }
            for file in json.loads(body)["files"]
        ]
        self._send({"files": files})

    def batch(self, name: str, body: bytes) -> None:
        objects = []
        for asked in json.loads(body)["objects"]:
            url = f"{self.server.url}/storage/{asked['oid']}"
            todo = {"actions": {"upload": {"href": url, "header": {}}}}
            objects.append({**asked, "authenticated": True, **({} if asked["oid"] in self.server.stored else todo)})
        self._send({"transfer": "basic", "objects": objects})

    def _store(self, path: str) -> None:
        """Take a large file, as the storage behind the Hub does: it checks what came, and wants no token."""
        hub, size = self.server, int(self.headers["Content-Length"])
        hub.tokens_on_the_way_to_storage += "Authorization" in self.headers
        if hub.breaks:
            hub.breaks -= 1
            self.rfile.read(size // 2)
            self.connection.close()
            return
        content = bytearray()
        while len(content) < size:
            content += self.rfile.read(min(1 << 16, size - len(content)))
            time.sleep(hub.slow)
        if hashlib.sha256(content).hexdigest() != path.removeprefix("/storage/"):
            self._send({"error": "The checksum differs"}, 400)
            return
        hub.stored[path.removeprefix("/storage/")] = bytes(content)
        hub.uploads.append(len(content))
        self._send({})

    def commit(self, name: str, body: bytes) -> None:
        repository = self.server.repositories[name]
        lines = [json.loads(line) for line in body.splitlines()]
        if missing := [
            line for line in lines if line["key"] == "lfsFile" and line["value"]["oid"] not in self.server.stored
        ]:
            self._send({"error": f"{missing} was never uploaded"}, 400)
            return
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.server.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del repository.files[value["path"]]
        repository.commits += 1
        oid = f"{repository.commits:040x}"
        self._send({"success": True, "commitUrl": f"{self.server.url}/{name}/commit/{oid}", "commitOid": oid})

    def info(self, name: str) -> None:
        if not (repository := self.server.repositories.get(name)):
            self._send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [{"rfilename": file} for file in repository.files]
        oid = f"{repository.commits:040x}"
        self._send({"id": name, "modelId": name, "private": repository.private, "sha": oid, "siblings": siblings})

    def tree(self, name: str) -> None:
        repository = self.server.repositories[name]
        self._send(
            [
                {"type": "file", "path": file, "size": len(content), "oid": repository.oid(file)}
                for file, content in repository.files.items()
            ]
        )

    def resolve(self, name: str, file: str) -> None:
        repository = self.server.repositories[name]
        if file not in repository.files:
            self._send({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{repository.oid(file)}"', "X-Repo-Commit": f"{repository.commits:040x}"}
        self._send(repository.files[file], headers=headers)


NAME = r"([\w.-]+/[\w.-]+)"
ROUTES = [
    (r"GET /api/whoami-v2", Handler.whoami),
    (r"POST /api/repos/create", Handler.create),
    (r"POST /api/validate-yaml", Handler.validate),
    (rf"POST /api/models/{NAME}/preupload/main", Handler.preupload),
    (rf"POST /{NAME}\.git/info/lfs/objects/batch", Handler.batch),
    (rf"POST /api/models/{NAME}/commit/main", Handler.commit),
    (rf"GET /api/models/{NAME}(?:/revision/[\w.-]+)?", Handler.info),
    (rf"GET /api/models/{NAME}/tree/[\w.-]+", Handler.tree),
    (rf"(?:GET|HEAD) /{NAME}/resolve/[\w.-]+/(.+)", Handler.resolve),
]


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub for the time of the block."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        hub.shutdown()
        hub.server_close()
        thread.join()
