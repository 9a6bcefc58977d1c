"""A W&B on loopback, with as much of its protocol as a run needs; or one that refuses, or never answers."""

import gzip
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeWandb:
    """What was asked, in order: (operation, variables) of GraphQL, (path, body) of all else.

    sweep: the sweep that was made, as YAML. for_agents: what the next agent to ask is to do.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.received: list[tuple[str, str]] = []
        self.keys: set[str] = set()
        self.sweep = ""
        self.for_agents: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.answers.set()
        self.address = ""

    def history(self) -> list[dict[str, Any]]:
        """All rows of figures that arrived, of all runs."""
        streams = [json.loads(body) for path, body in self.received if path.endswith("file_stream")]
        lines = [stream.get("files", {}).get("wandb-history.jsonl", {}).get("content", []) for stream in streams]
        return [json.loads(line) for content in lines for line in content]

    def artifacts(self) -> dict[str, str]:
        """The type of each artifact that was made, by name; tables aside."""
        made = [asked["input"] for name, asked in self.asked if name == "CreateArtifact"]
        types = {one["artifactCollectionName"]: one["artifactTypeName"] for one in made}
        return {name: kind for name, kind in types.items() if kind != "run_table"}

    def answer(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """What W&B says to an operation of GraphQL."""
        number = sum(name == operation for name, _ in self.asked)
        upload = f"{self.address}/upload/"
        artifact = {"id": f"A{number}", "state": "PENDING", "artifactSequence": {"id": "S", "latestArtifact": None}}
        if operation == "UpsertBucket":
            project = {"id": "P", "name": asked["project"], "entity": {"id": "E", "name": "me"}}
            bucket = {"id": asked["name"], "name": asked["name"], "displayName": asked["displayName"], "config": "{}",
                      "description": None, "sweepName": None, "project": project, "historyLineCount": 0}  # fmt: skip
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "UpsertSweep":
            self.sweep = asked["config"]
            project = {"id": "P", "name": asked["projectName"], "entity": {"id": "E", "name": "me"}}
            return {"upsertSweep": {"sweep": {"name": "abc", "project": project}, "configValidationWarnings": []}}
        if operation in ("Sweep", "SweepWithRuns"):
            return {"project": {"sweep": {
                "id": "W", "name": "abc", "state": "RUNNING", "config": self.sweep, "runCount": 0, "description": None,
                "runCountExpected": None, "createdAt": "2026-01-01T00:00:00Z", "heartbeatAt": "2026-01-01T00:00:00Z",
                "updatedAt": None, "earlyStopJobRunning": False, "controller": None, "scheduler": None, "user": None,
                "agents": {"edges": []}, "runs": {"edges": []},
            }}}  # fmt: skip
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": "G"}}}
        if operation == "Heartbeat":
            commands, self.for_agents = json.dumps(self.for_agents), []
            return {"agentHeartbeat": {"agent": {"id": "G"}, "commands": commands}}
        if operation == "Viewer":
            return {"viewer": {"id": "U", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}
        if operation == "ArtifactType":
            return {"project": {"artifact": None}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": upload + name} for name in asked["files"]]
            return {"createRunFiles": {"runID": asked["run"], "uploadHeaders": [], "files": files}}
        if operation == "CreateArtifact":
            return {"createArtifact": {"artifact": artifact}}
        if operation == "CreateArtifactManifest":
            file = {"id": "F", "name": "m", "displayName": "m", "uploadUrl": upload + "manifest", "uploadHeaders": []}
            return {"createArtifactManifest": {"artifactManifest": {"id": "M", "file": file}}}
        if operation == "CreateArtifactFiles":
            nodes = [{"node": {"id": "F", "name": file["name"], "displayName": file["name"],
                               "uploadUrl": upload + file["name"], "uploadHeaders": [], "uploadMultipartUrls": None,
                               "storagePath": file["name"], "artifact": {"id": file["artifactID"]}}}
                     for file in asked["input"]["artifactFiles"]]  # fmt: skip
            return {"createArtifactFiles": {"files": {"edges": nodes}}}
        if operation == "CommitArtifact":
            return {"commitArtifact": {"artifact": {"id": asked["artifactID"], "digest": "d"}}}
        if operation == "UseArtifact":
            return {"useArtifact": {"artifact": {"id": asked.get("artifactID") or asked["input"]["artifactID"]}}}
        if operation == "ArtifactByID":
            made = [asked["input"] for name, asked in self.asked if name == "CreateArtifact"]
            return {"artifact": _whole_artifact(asked["id"], made[int(asked["id"][1:]) - 1])}
        return {}


def _whole_artifact(number: str, made: dict[str, Any]) -> dict[str, Any]:
    project = {"id": "P", "internalId": "UHJvamVjdEludGVybmFsSWQ6MQ==", "name": "p", "entity": {"name": "me"}}
    return {
        "__typename": "Artifact", "id": number, "versionIndex": 0, "description": None, "metadata": "{}", "tags": [],
        "artifactSequence": {
            "__typename": "ArtifactSequence", "name": made["artifactCollectionName"], "project": project,
        },
        "artifactType": {"name": made["artifactTypeName"]}, "ttlDurationSeconds": -2, "ttlIsInherited": True,
        "historyStep": None, "state": "COMMITTED", "size": 1, "digest": "d", "digestAlgorithm": "MANIFEST_MD5",
        "commitHash": None, "fileCount": 1, "createdAt": "2026-01-01T00:00:00Z", "updatedAt": None, "aliases": [],
    }  # fmt: skip


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        wandb: FakeWandb = self.server.wandb
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        wandb.keys.add(self.headers.get("Authorization") or "")
        wandb.answers.wait()
        text = body.decode("utf-8", "replace")
        if self.path != "/graphql":
            wandb.received.append((self.path, text))
            return self._say({})
        request = json.loads(text)
        operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])[1]
        asked = request.get("variables") or {}
        wandb.asked.append((operation, asked))
        return self._say({"data": wandb.answer(operation, asked)})

    do_PUT = do_POST

    def _say(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: object) -> None:
        pass  # wandb hangs up without a word


@contextmanager
def serving() -> Iterator[FakeWandb]:
    """A W&B that answers; while `answers` is cleared it takes requests and says nothing."""
    with _Server(("127.0.0.1", 0), _Door) as server:
        server.wandb = FakeWandb()
        server.wandb.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.wandb
        finally:
            server.wandb.answers.set()
            server.shutdown()


def nobody() -> str:
    """An address at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
