"""How do we talk to Redis without a client library?"""

from __future__ import annotations

import socket

Reply = str | int | list["Reply"] | None


class RespError(Exception):
    """Carry an error that Redis answered with, e.g. `OOM command not allowed`."""


class RespClient:
    """Send commands over one TCP connection and read the answers."""

    def __init__(self, port: int, timeout_s: float = 2.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.reader = self.socket.makefile("rb")

    def call(self, *words: str | int) -> Reply:
        """Run one command; raise `RespError` when Redis refuses it."""
        parts = [str(word).encode() for word in words]
        head = b"*%d\r\n" % len(parts)
        self.socket.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def close(self) -> None:
        """Close the connection."""
        self.reader.close()
        self.socket.close()

    def _reply(self) -> Reply:
        line = self.reader.readline()
        if not line:
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:].strip().decode()
        if kind == b"-":
            raise RespError(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == "-1" else self.reader.read(int(rest) + 2)[:-2].decode()
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        return rest
