"""Which small jobs run every few seconds, and what do they log?"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from resp import RespClient, RespError


def expire_carts(redis: RespClient) -> str:
    """Count the carts that are still open."""
    carts = redis.call("KEYS", "cart:*")
    return f"{len(carts) if isinstance(carts, list) else 0} carts open"


def refresh_prices(redis: RespClient) -> str:
    """Stamp the price list."""
    redis.call("SET", "prices:fresh", int(time.time()))
    return "done"


def count_sessions(redis: RespClient) -> str:
    """Count the open sessions."""
    sessions = redis.call("KEYS", "session:*")
    return f"{len(sessions) if isinstance(sessions, list) else 0} sessions"


def send_mail(redis: RespClient) -> str:
    """Take the oldest letter out of the queue, if there is one."""
    return "queue empty" if redis.call("LPOP", "mail") is None else "sent 1"


JOBS: list[tuple[str, Callable[[RespClient], str]]] = [
    ("expire-carts", expire_carts),
    ("refresh-prices", refresh_prices),
    ("count-sessions", count_sessions),
    ("send-mail", send_mail),
]


def say(text: str) -> None:
    """Write one log line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run a job every 2 to 5 seconds, for ever."""
    chance = random.Random(int(sys.argv[2]))
    turn = 0
    while True:
        time.sleep(chance.uniform(2.0, 5.0))
        name, job = JOBS[turn % len(JOBS)]
        turn += 1
        say(f"(shop) CMD (/usr/local/bin/{name})")
        try:
            redis = RespClient(int(sys.argv[1]))
            say(f"{name}: {job(redis)}")
            redis.close()
        except (OSError, RespError) as error:
            say(f"{name}: failed: {error}")


if __name__ == "__main__":
    main()
