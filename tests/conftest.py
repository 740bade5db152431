"""What holds for every test: seeded, off line, and data sets found in one way."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("JAMAIS_DATA", ROOT.parent / "shared" / "data"))

# The same examples in every run: a red test must be red again when somebody looks.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("house")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data sets; they are no part of this repository, so tests skip without them."""
    if not DATA.is_dir():
        pytest.skip("no data sets: set JAMAIS_DATA to the folder that holds logs/ and series/")
    return DATA


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Let Ctrl-C be heard: a shell without job control starts what runs in the background deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def offline() -> Iterator[None]:
    """Refuse connections that leave the machine."""
    with pytest.MonkeyPatch.context() as patch:
        connect = socket.socket.connect

        def guarded(self: socket.socket, address: Any) -> None:
            if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
                raise RuntimeError(f"a test wants to talk to {address}: tests stay off line")
            connect(self, address)

        patch.setattr(socket.socket, "connect", guarded)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu:
        import torch

        if not torch.cuda.is_available():
            for item in gpu:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))
