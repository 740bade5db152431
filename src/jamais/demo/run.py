"""How does the demo go? Unpack, fit on the quiet part, score the rest, compare with what was really done."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl

from jamais import api
from jamais.demo.incident import Incident, unpack
from jamais.demo.judge import Judgement, judge
from jamais.types import Listener, silent
from jamais.watcher import Watcher

WINDOW = timedelta(seconds=10)
ALARM_RATE = 0.005
"""360 windows an hour: about two false alarms an hour."""
STEPS = 60
"""Of pretraining: a minute is long for somebody who wants to see something."""


@dataclass(frozen=True)
class DemoResult:
    """All that a report needs."""

    incident: Incident
    watcher: Watcher
    verdicts: pl.DataFrame
    judgement: Judgement
    seconds: dict[str, float]


def run_demo(out: Path, recording: Path | None = None, on_event: Listener = silent, seed: int = 0) -> DemoResult:
    """Run the main job on the recorded incident; logs and watcher stay in `out`, to be played with."""
    begin = time.perf_counter()
    incident = unpack(out, recording)
    watcher = api.fit(
        str(incident.normal),
        kind="logs",
        out=out / "watcher",
        seed=seed,
        window=f"{WINDOW.seconds}s",
        alarm_rate=ALARM_RATE,
        settings={"encoder.steps": STEPS},
        on_event=on_event,
    )
    fitted = time.perf_counter()
    verdicts = watcher.score(str(incident.today), on_event)
    seconds = {"fit": fitted - begin, "score": time.perf_counter() - fitted}
    return DemoResult(incident, watcher, verdicts, judge(verdicts, incident.faults, WINDOW), seconds)
