"""How are nginx, PostgreSQL, Redis, the app and cron started, reached and stopped?"""

from __future__ import annotations

import contextlib
import glob
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from collect import Journal
from resp import RespClient, RespError

HERE = Path(__file__).parent
SPOOL_MB = 24
NGINX_CONF = """
daemon off; worker_processes 3; pid {work}/nginx.pid; error_log stderr notice; {user}
events {{ worker_connections 256; }}
http {{
  types {{ text/html html; text/css css; application/javascript js; image/png png; }}
  log_format main '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent '
                  '"$http_user_agent" $request_time $upstream_response_time';
  access_log /dev/stdout main;
  set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;
  client_max_body_size 32k; client_body_temp_path {work}/nginx/body; proxy_temp_path {work}/nginx/proxy;
  fastcgi_temp_path {work}/nginx/f; uwsgi_temp_path {work}/nginx/u; scgi_temp_path {work}/nginx/s;
  server {{
    listen 127.0.0.1:{port}; server_name shop; root {work}/static;
    location /api/ {{
      proxy_pass http://127.0.0.1:{app_port}; proxy_connect_timeout 2s; proxy_read_timeout 10s;
    }}
    location = /nginx_status {{ stub_status; access_log off; }}
  }}
}}
"""
POSTGRES_CONF = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{work}'
max_connections = 40
shared_buffers = 16MB
work_mem = 64kB
temp_tablespaces = 'scratch'
log_destination = 'stderr'
log_line_prefix = '[%p] %q%u@%d '
log_connections = on
log_disconnections = on
log_checkpoints = on
log_lock_waits = on
deadlock_timeout = 1s
log_min_duration_statement = 300
log_autovacuum_min_duration = 0
autovacuum_naptime = 30s
checkpoint_timeout = 100s
"""
SCHEMA = """
CREATE TABLE items (id int PRIMARY KEY, name text, price int, stock int);
CREATE TABLE customers (name text PRIMARY KEY, phrase text);
CREATE TABLE orders (
  id serial PRIMARY KEY, number int UNIQUE, customer text, amount int, at timestamptz DEFAULT now()
);
INSERT INTO items SELECT n, 'item ' || n || ' ' || left(md5(n::text), 6), n % 90 + 5, 100000
  FROM generate_series(1, 400) AS n;
INSERT INTO customers SELECT 'c' || n, 'open' || n FROM generate_series(1, 40) AS n;
INSERT INTO orders (number, customer, amount)
  SELECT -n, 'c' || n % 40, n % 50 FROM generate_series(1, 300) AS n;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO shop;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO shop;
GRANT CREATE ON TABLESPACE scratch TO shop;
"""


def postgres_bin() -> Path:
    """Find the newest folder with the PostgreSQL server programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin")) + sorted(glob.glob("/usr/local/pgsql/bin"))
    if not found:
        raise SystemExit("record: no PostgreSQL server found under /usr/lib/postgresql: install postgresql")
    return Path(found[-1])


class Stack:
    """Own all services of one recording and everything they leave on disk."""

    def __init__(self, work: Path, base_port: int, seed: int, journal: Journal) -> None:
        self.work, self.base_port, self.seed, self.journal = work, base_port, seed, journal
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.small = work / "small"
        self.mounted = False
        self.secret = secrets.token_hex(8)
        self.root = os.geteuid() == 0

    @property
    def dsn(self) -> str:
        """Say how the app reaches its database, with its secret."""
        return f"host=127.0.0.1 port={self.base_port + 2} user=shop dbname=shop password={self.secret}"

    @property
    def admin_address(self) -> str:
        """Say how the superuser reaches the server: through its socket, without a password."""
        return f"host={self.work} port={self.base_port + 2} user=postgres"

    def pid(self, name: str) -> int:
        """Return the main process of a service, 0 when it is down."""
        process = self.running.get(name)
        return process.pid if process is not None else 0

    def admin(self) -> psycopg.Connection:
        """Connect as the database's superuser through its socket."""
        return psycopg.connect(f"{self.admin_address} dbname=shop", autocommit=True)

    def redis(self) -> RespClient:
        """Connect to Redis."""
        return RespClient(self.base_port + 3)

    def start(self) -> None:
        """Start everything and fill the database."""
        shutil.rmtree(self.work, ignore_errors=True)
        for name in ["small/redis", "small/spool", "small/scratch", "nginx", "static"]:
            (self.work / name).mkdir(parents=True, exist_ok=True)
        self._mount_small()
        self._start_postgres()
        self._start_redis()
        for name in ["resp.py", "shop.py", "webapp.py", "cronjobs.py"]:
            shutil.copy(HERE / name, self.work / name)
        self.start_app()
        self._start_nginx()
        self.run("cron", [sys.executable, "cronjobs.py", str(self.base_port + 3), str(self.seed)], "www-data")

    def stop(self) -> None:
        """Stop everything that was started, and the small file system."""
        for name in ["cron", "nginx", "app", "redis", "postgres"]:
            process = self.running.pop(name, None)
            if process is None:
                continue
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.small)], check=False)

    def run(self, name: str, command: list[str], user: str) -> None:
        """Start a service in its own process group, its output going to the journal."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.work,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1", "TZ": "UTC"},
            user=user if self._drops(user) else None,
            group=user if self._drops(user) else None,
            extra_groups=[] if self._drops(user) else None,
        )
        assert process.stdout is not None
        self.journal.add(name, process.pid, process.stdout.fileno())
        self.running[name] = process

    def _drops(self, user: str) -> bool:
        return self.root and user != "root"

    def start_app(self) -> None:
        """Start the app (again)."""
        options = ["--port", str(self.base_port + 1), "--redis-port", str(self.base_port + 3)]
        options += ["--dsn", self.dsn, "--spool", str(self.small / "spool")]
        self.run("app", [sys.executable, "webapp.py", *options], "www-data")

    def tell(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a service's main process, if it is up."""
        if self.pid(name):
            os.kill(self.pid(name), number)

    def stop_app(self) -> None:
        """Stop the app as a service manager would."""
        process = self.running.pop("app")
        process.terminate()
        process.wait(timeout=30)

    def _mount_small(self) -> None:
        """Put Redis' dumps, receipts and sort files on a tiny file system, where mounting is possible."""
        command = ["mount", "-t", "tmpfs", "-o", f"size={SPOOL_MB}m,mode=755", "tmpfs", str(self.small)]
        self.mounted = self.root and subprocess.run(command, check=False, capture_output=True).returncode == 0
        for name, user in [("redis", "redis"), ("spool", "www-data"), ("scratch", "postgres")]:
            (self.small / name).mkdir(exist_ok=True)
            if self.root:
                shutil.chown(self.small / name, user, user)

    def _start_postgres(self) -> None:
        data, bin_dir = self.work / "data", postgres_bin()
        if self.root:
            shutil.chown(self.work, "postgres", "postgres")
        self.work.chmod(0o755)
        options = ["--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run(
            [str(bin_dir / "initdb"), "-D", str(data), "-U", "postgres", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            user="postgres" if self.root else None,
            group="postgres" if self.root else None,
            extra_groups=[] if self.root else None,
        )
        with (data / "postgresql.conf").open("a") as file:
            file.write(POSTGRES_CONF.format(port=self.base_port + 2, work=self.work))
        self.run("postgres", [str(bin_dir / "postgres"), "-D", str(data)], "postgres")
        self._fill()

    def _fill(self) -> None:
        address = f"{self.admin_address} dbname=postgres"
        for _ in range(100):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(address).close()
                break
            time.sleep(0.2)
        with psycopg.connect(address, autocommit=True) as database:
            database.execute(f"CREATE ROLE shop LOGIN PASSWORD '{self.secret}'")
            database.execute("ALTER ROLE shop SET statement_timeout = '5s'")
            database.execute(f"CREATE TABLESPACE scratch LOCATION '{self.small}/scratch'")
            database.execute("CREATE DATABASE shop")
        with self.admin() as database:
            database.execute(SCHEMA)

    def _start_redis(self) -> None:
        options = {
            "port": str(self.base_port + 3), "bind": "127.0.0.1", "dir": str(self.small / "redis"),
            "loglevel": "verbose", "save": "75 20", "maxmemory-policy": "noeviction", "daemonize": "no",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.run("redis", ["redis-server", *words], "redis")
        for _ in range(50):
            with contextlib.suppress(OSError, RespError):
                client = self.redis()
                for n in range(300):
                    client.call("SET", f"page:{n}", f"{n} " * 400)
                client.close()
                return
            time.sleep(0.2)

    def _start_nginx(self) -> None:
        chance = random.Random(7)
        for name, size in [("index.html", 2310), ("app.css", 8120), ("app.js", 15344), ("logo.png", 4096)]:
            (self.work / "static" / name).write_bytes(chance.randbytes(size))
        for n in range(12):
            (self.work / "static" / f"p{n}.png").write_bytes(chance.randbytes(3000 + 411 * n))
        user = "user www-data;" if self.root else ""
        text = NGINX_CONF.format(work=self.work, port=self.base_port, app_port=self.base_port + 1, user=user)
        (self.work / "nginx.conf").write_text(text)
        command = ["nginx", "-p", str(self.work), "-c", str(self.work / "nginx.conf"), "-e", "stderr"]
        self.run("nginx", command, "root")
