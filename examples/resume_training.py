"""Does a training that is stopped half-way and goes on in a new process end in the same bits?

$ python examples/resume_training.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from jamais.errors import Cancelled
from jamais.learning.checkpoints import Checkpoints
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence import Retention, VersionStore
from jamais.types import CancelToken, Event

STEPS = 20
SETTINGS = EncoderSettings(layers=1, width=32, heads=2, inner=64, vocabulary=600, steps=STEPS, device="cpu")
LINES = [f"session <*> {what} after <*> ms" for what in ("opened", "closed", "timed out", "was refused", "went on")]
COUNTS = [900, 880, 3, 14, 210]


def train(folder: Path | None, stop_after: int = STEPS) -> LineEncoder:
    """Train to the end, or until `stop_after` steps are done; Ctrl-C would stop it in the same way."""
    cancel = CancelToken()

    def listen(event: Event) -> None:
        if event.done == stop_after < STEPS:
            cancel.cancel()

    checkpoints = None
    if folder is not None:
        checkpoints = Checkpoints(VersionStore(folder), every_steps=5, keep=Retention(latest=2))
    return LineEncoder.train(
        LINES, COUNTS, settings=SETTINGS, seed=1, listener=listen, cancel=cancel, checkpoints=checkpoints
    )


def main() -> None:
    if len(sys.argv) > 1:  # the new process
        print(train(Path(sys.argv[1])).digest)
        return
    whole = train(None)
    print(f"{STEPS} steps in one go:    {whole.digest}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            train(Path(folder), stop_after=STEPS // 2)
        except Cancelled as stopped:
            print(f"  {stopped}")
        command = [sys.executable, __file__, folder]
        rest = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        print(f"{STEPS // 2} + new process + {STEPS // 2}: {rest}")
        for info in VersionStore(folder).history():
            print(f"  version {info.number}: {info.reason}, loss {info.metrics['loss']:.4f} {' '.join(info.refs)}")
    if rest != whole.digest:
        sys.exit("the digests differ")
    print("equal, bit for bit")


if __name__ == "__main__":
    main()
