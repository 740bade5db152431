"""One process of a training: what is asked for stands in the arguments, what came of it goes to stdout as JSON.

    python resume_child.py FOLDER [--signal N --at STEP] [--wait STEP] [--every STEPS] [--background]

`--signal` sends itself a signal after a step; `--wait` says so and waits for one from outside.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

from jamais.learning.checkpoints import Checkpoints
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence import Retention, VersionStore
from jamais.persistence.tree import state_sha256
from jamais.types import CancelToken, Event

STEPS = 12
TINY = EncoderSettings(
    layers=1, width=16, heads=2, inner=24, vocabulary=560, steps=STEPS, batch=8, learning_rate=0.01, device="cpu"
)
TEXTS = [
    f"user <*> {verb} {noun}" for verb in ("opens", "closes", "读取") for noun in ("door", "file", "a long session")
]


def train(
    folder: Path | None,
    *,
    every: int = 5,
    background: bool = False,
    seed: int = 3,
    settings: EncoderSettings = TINY,
    listener=lambda event: None,
    cancel: CancelToken | None = None,
) -> dict[str, object]:
    """Train, from the checkpoints in `folder` if there are any; return digests of all that came of it."""
    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(
            VersionStore(folder), every_steps=every, keep=Retention(latest=3), background=background
        )
    encoder = LineEncoder.train(
        TEXTS,
        range(1, 10),
        settings=settings,
        seed=seed,
        listener=listener,
        cancel=cancel,
        checkpoints=checkpoints,
    )
    found: dict[str, object] = {"encoder": encoder.digest, "losses": [loss.hex() for loss in encoder.losses]}
    if folder is not None:
        # Weights, moments, random numbers, losses and settings: all that the next step would have needed.
        found["state"] = state_sha256(VersionStore(folder).load()[0])
    return found


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--signal", type=int)
    arguments.add_argument("--at", type=int)
    arguments.add_argument("--wait", type=int)
    arguments.add_argument("--every", type=int, default=5)
    arguments.add_argument("--background", action="store_true")
    asked = arguments.parse_args()
    bell, rope = os.pipe()
    os.set_blocking(rope, False)
    signal.set_wakeup_fd(rope)

    def listen(event: Event) -> None:
        print(f"step {event.done}", flush=True)
        if event.done == asked.at:
            os.kill(os.getpid(), asked.signal)
        if event.done == asked.wait:
            print("waiting", flush=True)
            os.read(bell, 1)  # a byte for every signal: none can come too early, as with signal.pause()

    found = train(asked.folder, every=asked.every, background=asked.background, listener=listen)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
