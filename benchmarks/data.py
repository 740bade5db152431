"""Where are the data sets? Nothing but the standard library, so that measuring processes stay small."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """Return the folder of the log sets: `logs` in $JAMAIS_DATA, or in shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("JAMAIS_DATA", beside)) / "logs"
