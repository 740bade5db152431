"""What does the small web shop do with one request?"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from resp import RespClient, RespError

REPORT = (
    "SELECT md5(n::text) AS line, sum(amount) FROM orders, generate_series(1, %s) AS n"
    " WHERE orders.id = n %% 97 + 1 GROUP BY line ORDER BY line DESC LIMIT 5"
)


class PoolTimeout(Exception):
    """Say that no database connection became free in time."""


class Pool:
    """Lend a few PostgreSQL connections, each renewed when it is old or broken."""

    def __init__(self, dsn: str, size: int, wait_s: float, max_age_s: float) -> None:
        self.dsn, self.wait_s, self.max_age_s = dsn, wait_s, max_age_s
        self.slots: queue.Queue[tuple[psycopg.Connection | None, float]] = queue.Queue()
        for _ in range(size):
            self.slots.put((None, 0.0))

    @contextlib.contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """Lend a connection inside one transaction; raise `PoolTimeout` when none is free."""
        try:
            held, born = self.slots.get(timeout=self.wait_s)
        except queue.Empty:
            raise PoolTimeout(f"no connection free after {self.wait_s:.0f} s") from None
        try:
            if held is None or held.closed or time.monotonic() - born > self.max_age_s:
                if held is not None:
                    held.close()
                held = None
                held, born = psycopg.connect(self.dsn), time.monotonic()
            with held.transaction():
                yield held
        finally:
            self.slots.put((held, born))


class Shop:
    """Answer requests with a status, a body and a word for the log."""

    def __init__(self, dsn: str, redis_port: int, spool: Path) -> None:
        self.pool = Pool(dsn, size=4, wait_s=3.0, max_age_s=30.0)
        self.redis_port = redis_port
        self.caches: queue.LifoQueue[RespClient] = queue.LifoQueue()
        self.spool = spool
        self.routes: dict[str, Callable[[str, bytes], tuple[int, str, str]]] = {
            "items": self.item,
            "search": self.search,
            "cart": self.cart,
            "checkout": self.checkout,
            "login": self.login,
            "report": self.report,
        }

    def answer(self, target: str, body: bytes) -> tuple[int, str, str]:
        """Route `/api/<name>...`; unknown names are 404."""
        parts = urlsplit(target)
        words = parts.path.strip("/").split("/")
        route = self.routes.get(words[1]) if len(words) > 1 else None
        if route is None:
            return 404, "not found\n", "unknown"
        return route(words[2] if len(words) > 2 else parts.query, body)

    @contextlib.contextmanager
    def cache(self) -> Iterator[RespClient]:
        """Lend a Redis connection; a refused command keeps it, a broken one drops it."""
        try:
            client = self.caches.get_nowait()
        except queue.Empty:
            client = RespClient(self.redis_port)
        try:
            yield client
        except RespError:
            self.caches.put(client)
            raise
        self.caches.put(client)

    def item(self, number: str, body: bytes) -> tuple[int, str, str]:
        """Show one item: from the cache, or from the database and then cached for 40 s."""
        key = f"item:{int(number)}"
        with self.cache() as cache:
            known = cache.call("GET", key)
        if isinstance(known, str):
            return 200, known, "hit"
        with self.pool.connection() as database:
            row = database.execute("SELECT name, price FROM items WHERE id = %s", [int(number)]).fetchone()
        if row is None:
            return 404, "no such item\n", "unknown"
        page = json.dumps({"id": int(number), "name": row[0], "price": row[1], "text": row[0] * 20})
        with self.cache() as cache:
            cache.call("SETEX", key, 40, page)
        return 200, page, "miss"

    def search(self, query: str, body: bytes) -> tuple[int, str, str]:
        """List the items whose name contains a word."""
        word = parse_qs(query).get("q", [""])[0]
        with self.pool.connection() as database:
            rows = database.execute(
                "SELECT id, name FROM items WHERE name LIKE %s ORDER BY price LIMIT 20", [f"%{word}%"]
            ).fetchall()
        return 200, json.dumps(rows), f"{len(rows)} found"

    def cart(self, customer: str, body: bytes) -> tuple[int, str, str]:
        """Put one more item into a cart that lives for two minutes."""
        with self.cache() as cache:
            cache.call("HINCRBY", f"cart:{customer}", body.decode(), 1)
            cache.call("EXPIRE", f"cart:{customer}", 120)
        return 200, "ok\n", "added"

    def checkout(self, customer: str, body: bytes) -> tuple[int, str, str]:
        """Store an order and its receipt; an order number that was sent twice is 409."""
        order = json.loads(body)
        try:
            with self.pool.connection() as database:
                database.execute(
                    "INSERT INTO orders (number, customer, amount) VALUES (%s, %s, %s)",
                    [order["number"], customer, order["amount"]],
                )
                database.execute("UPDATE items SET stock = stock - 1 WHERE id = %s", [order["item"]])
        except psycopg.errors.UniqueViolation:
            return 409, "already ordered\n", "twice"
        receipt = self.spool / f"receipt-{customer}.txt"
        receipt.write_text(f"order {order['number']}\n" + "item\n" * 400)
        return 201, "thank you\n", "ordered"

    def login(self, customer: str, body: bytes) -> tuple[int, str, str]:
        """Open a session; a wrong pass phrase is 401."""
        with self.pool.connection() as database:
            row = database.execute("SELECT phrase FROM customers WHERE name = %s", [customer]).fetchone()
        if row is None or row[0] != body.decode():
            return 401, "wrong pass phrase\n", "refused"
        with self.cache() as cache:
            cache.call("SETEX", f"session:{customer}", 180, os.urandom(8).hex())
        return 200, "welcome\n", "welcome"

    def report(self, days: str, body: bytes) -> tuple[int, str, str]:
        """Run the one query of the shop that is slow and sorts on disk."""
        with self.pool.connection() as database:
            rows = database.execute(REPORT, [2000 * int(days)]).fetchall()
        return 200, json.dumps([str(row[1]) for row in rows]), "report"
