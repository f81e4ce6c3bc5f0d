"""Fixtures of the sources: a small file server on this machine, and the verbs of the command line."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from labkit.cli import main

RECORD = "/records/7236582/files/Kosiba2020.zip"


@dataclass
class FileServer:
    """What the server offers, how it misbehaves, and what it was asked."""

    address: str = ""
    content: bytes = b""
    checksum: str = ""
    breaks: int = 0  # transfers that stop halfway
    ranges: bool = True  # honour the Range header
    length: bool = True  # say how long the answer is
    size: int | None = None  # of the file, as the record states it
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.address + RECORD

    def offer(self, content: bytes) -> None:
        self.content, self.checksum = content, "md5:" + md5(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        state: FileServer = self.server.state
        state.asked.append((self.path, self.headers.get("Range", "")))
        if self.path == "/api/records/7236582":
            files = [{"key": "Kosiba2020.zip", "checksum": state.checksum, "size": state.size}]
            files[0] |= {} if state.size else {"size": len(state.content)}
            self._answer(200, json.dumps({"files": files}).encode())
        elif self.path == RECORD:
            self._file(state)
        else:
            self._answer(404, b"not here")

    def _file(self, state: FileServer) -> None:
        content, asked = state.content, self.headers.get("Range")
        start = int(asked[6:-1]) if asked and state.ranges else 0
        if start and start >= len(content):
            self._answer(416, b"", **{"Content-Range": f"bytes */{len(content)}"})
        elif start:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._answer(206, content[start:], **{"Content-Range": span})
        else:
            self._answer(200, content)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        state: FileServer = self.server.state
        self.send_response(status)
        if state.length or self.path != RECORD:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.path == RECORD and state.breaks > 0:
            state.breaks -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server that offers one file under the address of a Zenodo record."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.state = FileServer(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield http.state
        http.shutdown()
        thread.join()


@pytest.fixture
def run_verb(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a verb of the command line; its exit code, output and error."""

    def run(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--quiet", *map(str, words)])
        out, error = capsys.readouterr()
        return ended.value.code, out, " ".join(error.split())

    return run
