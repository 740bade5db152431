"""Which object store do the tests talk to? moto's S3 on a free port of this machine, over real HTTP.

Every request is written down, and a test can hold one back, answer it falsely, or let it pass.
"""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Answer = Iterable[bytes]


@dataclass(frozen=True)
class Request:
    """One request: `key` is what follows the bucket, `sent` the bytes of its body."""

    method: str
    key: str
    query: str
    sent: int
    condition: str


class _Quiet(MotoRequestHandler):
    def log(self, *words: Any) -> None:
        """Say nothing."""


class ObjectServer:
    """An S3 server. `asked` lists the requests so far, `given` the bytes of the answers by key.

    Hooks: `before` may wait or raise, `instead` may answer for moto, `after` says whether the answer gets lost.
    """

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.given: dict[str, int] = {}
        self._noting = threading.Lock()
        self.before: Callable[[Request], None] = lambda request: None
        self.instead: Callable[[Request], tuple[str, bytes] | None] = lambda request: None
        self.after: Callable[[Request], bool] = lambda request: False
        self.forget_conditions = False
        # moto looks first and writes later; S3 does both in one step, and so does this.
        self._one_at_a_time = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Forget requests and hooks."""
        self.asked, self.given = [], {}
        self.before, self.instead, self.after = lambda request: None, lambda request: None, lambda request: False
        self.forget_conditions = False

    def environment(self) -> dict[str, str]:
        """Give what a client has to know."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "anyone",
            "AWS_SECRET_ACCESS_KEY": "anything",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def bucket(self, name: str) -> str:
        """Make a bucket and give its address."""
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT"), timeout=10):
            return f"s3://{name}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def sent(self, prefix: str = "") -> int:
        """Count the bytes of all writes below a prefix."""
        return sum(one.sent for one in self.asked if one.method in ("PUT", "POST") and one.key.startswith(prefix))

    def _answer(self, environ: dict[str, Any], start: Any) -> Answer:
        path = environ["PATH_INFO"].lstrip("/").partition("/")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        condition = environ.get("HTTP_IF_NONE_MATCH", "")
        request = Request(environ["REQUEST_METHOD"], path[2], environ["QUERY_STRING"], length, condition)
        with self._noting:
            self.asked.append(request)
        self.before(request)
        said = self.instead(request)
        if said:
            environ["wsgi.input"].read(length)
            start(said[0], [("Content-Type", "application/xml"), ("Content-Length", str(len(said[1])))])
            return [said[1]] if request.method != "HEAD" else []
        if self.forget_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._one_at_a_time:
            answer = list(self._moto(environ, start))
        with self._noting:
            self.given[request.key] = self.given.get(request.key, 0) + sum(map(len, answer))
        if self.after(request):
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError("the answer is lost")
        return answer
