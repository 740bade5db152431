"""How does the web shop run: a supervisor, its worker processes, their log lines?"""

from __future__ import annotations

import argparse
import http.server
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from shop import PoolTimeout, Shop

log = logging.getLogger("app")


class Handler(http.server.BaseHTTPRequestHandler):
    """Turn one HTTP request into one call of the shop and one log line."""

    shop: Shop
    timeout = 20

    def do_GET(self) -> None:
        """Answer a read."""
        self._serve(b"")

    def do_POST(self) -> None:
        """Answer a write."""
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def log_message(self, format: str, *args: object) -> None:
        """Leave the per-request line to `_serve`."""

    def _serve(self, body: bytes) -> None:
        started = time.monotonic()
        try:
            status, text, word = self.shop.answer(self.path, body)
        except PoolTimeout:
            log.exception("%s %s failed", self.command, self.path)
            status, text, word = 503, "busy\n", "failed"
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            status, text, word = 500, "error\n", "failed"
        spent_ms = 1000 * (time.monotonic() - started)
        level = logging.WARNING if status == 401 else logging.INFO
        log.log(level, "%s %s %d %s %.0fms", self.command, self.path, status, word, spent_ms)
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError as error:
            log.warning("client went away: %s", error)


class Server(http.server.ThreadingHTTPServer):
    """Serve from a listening socket that all workers share."""

    daemon_threads = False

    def __init__(self, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    def get_request(self) -> tuple[socket.socket, object]:
        """Take a connection; another worker may have been faster (then OSError, as expected above)."""
        connection, address = self.socket.accept()
        connection.setblocking(True)
        return connection, address


def run_worker(listener: socket.socket, shop: Shop) -> None:
    """Serve until SIGTERM, then finish what is under way."""
    Handler.shop = shop
    server = Server(listener)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("Booting worker with pid: %d", os.getpid())
    server.serve_forever(poll_interval=0.25)
    server.server_close()
    log.info("Worker exiting (pid: %d)", os.getpid())


class Supervisor:
    """Keep `n_workers` workers alive; SIGHUP replaces them, SIGTERM stops them."""

    def __init__(self, options: argparse.Namespace, n_workers: int = 2) -> None:
        self.options, self.n_workers = options, n_workers
        self.listener = socket.create_server(("127.0.0.1", options.port), backlog=64)
        self.listener.setblocking(False)
        self.workers: set[int] = set()
        self.leaving: set[int] = set()
        self.wanted: list[str] = []
        signal.signal(signal.SIGHUP, lambda *_: self.wanted.append("HUP"))
        signal.signal(signal.SIGTERM, lambda *_: self.wanted.append("TERM"))

    def run(self) -> None:
        """Look after the workers until SIGTERM."""
        log.info("Starting webapp, listening at: http://127.0.0.1:%d (%d)", self.options.port, os.getpid())
        while True:
            self._reap()
            while len(self.workers) < self.n_workers:
                self._boot()
            name = self.wanted.pop(0) if self.wanted else ""
            if name:
                log.info("Handling signal: %s", name)
                old, self.workers = self.workers, set()
                self._dismiss(old, replace=name == "HUP")
            if name == "TERM":
                break
            time.sleep(0.2)
        while self.leaving:
            self._reap()
            time.sleep(0.1)
        log.info("Shutting down: master")

    def _dismiss(self, old: set[int], *, replace: bool) -> None:
        if replace:
            log.info("Hang up: replacing %d workers", len(old))
            for _ in range(self.n_workers):
                self._boot()
            time.sleep(0.5)
        self.leaving |= old
        for pid in old:
            os.kill(pid, signal.SIGTERM)

    def _boot(self) -> None:
        pid = os.fork()
        if pid == 0:
            run_worker(self.listener, Shop(self.options.dsn, self.options.redis_port, self.options.spool))
            logging.shutdown()
            os._exit(0)
        self.workers.add(pid)

    def _reap(self) -> None:
        while self.workers or self.leaving:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if os.WIFSIGNALED(status):
                name = signal.Signals(os.WTERMSIG(status)).name
                log.error("Worker (pid:%d) was sent %s!", pid, name)
            self.workers.discard(pid)
            self.leaving.discard(pid)


def main() -> None:
    """Read the options and supervise."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--redis-port", type=int, required=True)
    parser.add_argument("--spool", type=Path, required=True)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="[%(process)d] %(levelname)s %(message)s")
    Supervisor(parser.parse_args()).run()


if __name__ == "__main__":
    main()
