"""Which visitors come to the shop, how often, and what else happens on an ordinary day?"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import random
import signal
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
from resp import RespClient, RespError
from services import Stack

DAY_S = 480.0  # one "day" of busy and quiet hours, so that the clean part holds several
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0",
    "Mozilla/5.0 (iPhone) Safari/604.1",
    "shop-app/3.2",
]
WORDS = ["item", "a1", "b", "c4", "7", "ee"]
MISSING = ["/favicon.ico", "/robots.txt", "/wp-login.php", "/old/sale.html"]
ACTIONS = {
    "page": 44, "item": 20, "static": 13, "search": 7, "cart": 7, "checkout": 4,
    "login": 2.5, "missing": 1.6, "report": 0.35, "big": 0.15, "nonsense": 0.2,
}  # fmt: skip
SMALL = {"count", "letter"}  # routine that goes on while a fault is there


class Visitors:
    """Send seeded requests at a rate that rises and falls."""

    def __init__(self, stack: Stack, seed: int, per_second: float) -> None:
        self.port, self.per_second = stack.base_port, per_second
        self.chance = random.Random(seed)
        self.pool = ThreadPoolExecutor(max_workers=24)
        self.waiting = threading.Semaphore(40)
        self.stopping = threading.Event()
        self.order = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Let visitors come."""
        self.thread.start()

    def close(self) -> None:
        """Let no more visitors come."""
        self.stopping.set()
        self.thread.join()
        self.pool.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        begin = time.monotonic()
        phase = self.chance.uniform(0, 2 * math.pi)
        while True:
            now = time.monotonic() - begin
            rate = self.per_second * (1 + 0.35 * math.sin(2 * math.pi * now / DAY_S + phase))
            if self.stopping.wait(self.chance.expovariate(rate)):
                return
            name = self.chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
            steps = self._steps(name)
            if self.waiting.acquire(blocking=False):
                self.pool.submit(self._visit, steps)

    def _steps(self, name: str) -> list[tuple[str, str, str, float]]:
        """Return (method, target, body, patience in seconds) for one action."""
        chance = self.chance
        item = min(int(chance.paretovariate(0.7)), 400)
        customer = f"c{chance.randint(1, 40)}"
        api = f"/api/items/{item}"
        if name == "page":
            files = ["/", "/app.css"] if chance.random() < 0.3 else [f"/p{item % 12}.png"]
            return [("GET", target, "", 9.0) for target in [api, *files]]
        if name == "static":
            return [("GET", target, "", 9.0) for target in ["/", "/app.css", "/app.js", "/logo.png"]]
        if name == "checkout":
            self.order += chance.random() > 0.04
            body = json.dumps({"number": self.order, "item": item, "amount": item % 50})
            return [("POST", f"/api/checkout/{customer}", body, 9.0)]
        if name == "login":
            phrase = "open" + customer[1:] if chance.random() < 0.9 else "hello"
            return [("POST", f"/api/login/{customer}", phrase, 9.0)]
        simple = {
            "item": ("GET", api, "", 9.0),
            "search": ("GET", f"/api/search?q={chance.choice(WORDS)}", "", 9.0),
            "cart": ("POST", f"/api/cart/{customer}", str(item), 9.0),
            "missing": ("GET", chance.choice(MISSING), "", 9.0),
            "report": ("GET", f"/api/report/{chance.choice([7, 30, 60])}", "", self._report_patience()),
            "big": ("POST", f"/api/cart/{customer}", "x" * 40000, 9.0),
            "nonsense": ("GET", "/api/items/" + chance.choice(["null", "undefined"]), "", 9.0),
        }
        return [simple[name]]

    def _report_patience(self) -> float:
        return 0.12 if self.chance.random() < 0.3 else 9.0  # some visitors leave: status 499

    def _visit(self, steps: list[tuple[str, str, str, float]]) -> None:
        who = zlib.crc32(steps[0][1].encode()) % 14 + 11
        headers = {"X-Forwarded-For": f"203.0.113.{who}", "User-Agent": AGENTS[who % 3]}
        try:
            for method, target, body, patience in steps:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    request(self.port, method, target, body, headers, patience)
        finally:
            self.waiting.release()


def request(port: int, method: str, target: str, body: str, headers: dict[str, str], patience: float) -> int:
    """Send one request; return its status; raise when nothing came within `patience` seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, target, body or None, headers)
        reply = connection.getresponse()
        reply.read()
        return reply.status
    finally:
        connection.close()


class Health:
    """Probe the shop every few seconds, as a load balancer does; remember how long it has been well."""

    def __init__(self, stack: Stack, every_s: float) -> None:
        self.stack, self.every_s = stack, every_s
        self.redis: RespClient | None = None
        self.n_well = 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to probe."""
        self.thread.start()

    def close(self) -> None:
        """Stop probing."""
        self.stopping.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stopping.wait(self.every_s):
            try:
                self.n_well = self.n_well + 1 if self._is_well() else 0
            except (OSError, http.client.HTTPException, RespError):
                self.redis = None
                self.n_well = 0

    def _is_well(self) -> bool:
        agent = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "healthcheck/1"}
        port = self.stack.base_port
        states = [
            request(port, "GET", "/api/items/1", "", agent, 2.0),
            request(port, "GET", "/api/search?q=item", "", agent, 2.0),
            request(port, "POST", "/api/cart/probe", "1", agent, 2.0),
        ]
        if self.redis is None:
            self.redis = self.stack.redis()
        saving = str(self.redis.call("INFO", "persistence"))
        good = "rdb_last_bgsave_status:ok" in saving and "rdb_bgsave_in_progress:0" in saving
        return good and states == [200, 200, 200]


class Routine:
    """Do now and then what an ordinary day brings; only small things while `busy` is set."""

    def __init__(self, stack: Stack, seed: int, busy: threading.Event, pace: float) -> None:
        self.stack, self.busy, self.pace = stack, busy, pace
        self.chance = random.Random(seed + 1000)
        self.stopping = threading.Event()
        self.done: dict[str, int] = {}
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.events: dict[str, tuple[float, Callable[[], None]]] = {
            "nginx reload": (240, lambda: stack.tell("nginx", signal.SIGHUP)),
            "nginx reopen": (330, lambda: stack.tell("nginx", signal.SIGUSR1)),
            "deploy": (300, lambda: stack.tell("app", signal.SIGHUP)),
            "redis save": (280, self._save),
            "vacuum": (260, lambda: self._sql("VACUUM (ANALYZE) orders, items")),
            "count": (60, lambda: self._sql("SELECT count(*), sum(amount) FROM orders")),
            "letter": (20, self._letter),
            "postgres reload": (400, lambda: self._sql("SELECT pg_reload_conf()")),
        }

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def close(self) -> None:
        """End."""
        self.stopping.set()
        self.thread.join()

    def _run(self) -> None:
        due = {name: time.monotonic() + self._wait(every) for name, (every, _) in self.events.items()}
        while not self.stopping.wait(0.5):
            for name, (every, act) in self.events.items():
                if time.monotonic() > due[name] and (name in SMALL or not self.busy.is_set()):
                    due[name] = time.monotonic() + self._wait(every)
                    act()
                    self.done[name] = self.done.get(name, 0) + 1

    def _wait(self, every: float) -> float:
        return every * self.pace * self.chance.uniform(0.7, 1.3)

    def _save(self) -> None:
        self._redis("BGSAVE")  # one that is already running refuses another: as good

    def _letter(self) -> None:
        self._redis("RPUSH", "mail", "letter")

    def _redis(self, *words: str) -> None:
        with contextlib.suppress(OSError, RespError), contextlib.closing(self.stack.redis()) as client:
            client.call(*words)

    def _sql(self, text: str) -> None:
        with contextlib.suppress(psycopg.Error), self.stack.admin() as database:
            database.execute(text)
