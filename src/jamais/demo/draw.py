"""Which picture tells the demo's result?"""

from __future__ import annotations

from datetime import datetime

from jamais.demo.run import WINDOW, DemoResult
from jamais.errors import MissingExtraError


def picture(result: DemoResult) -> bytes | None:
    """Draw scores, alarms and faults as a PNG; None where matplotlib is not installed."""
    from jamais.plots.incident_plot import incident_picture

    verdicts, watcher = result.verdicts, result.watcher
    try:
        return incident_picture(
            [datetime.fromisoformat(name) for name in verdicts["group"].to_list()],
            verdicts["score"].to_numpy(),
            verdicts["abnormal"].to_numpy(),
            watcher.recipe.threshold(),
            WINDOW,
            [(fault.name, fault.start, fault.end) for fault in result.incident.faults],
        )
    except MissingExtraError:
        return None
