"""Which picture does `--plot` draw of one pass, and what must it see of the data?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jamais.cli.verdicts.one_pass import Pass

if TYPE_CHECKING:
    import polars as pl

    from jamais.cli.verdicts.sinks import Sink
    from jamais.watcher import Watcher


def picture(path: str, verdicts: Iterable[pl.DataFrame], watcher: Watcher) -> Sink:
    """Give what draws the verdicts of a pass: of a series with its values, which it sees as they are read."""
    if watcher.kind != "series" or not isinstance(verdicts, Pass):
        from jamais.plots.score_plot import ScorePlot

        return ScorePlot(path, rate=watcher.alarm_rate)
    from jamais.plots.series import SeriesPlot

    recipe: Any = verdicts.recipe
    plot = SeriesPlot(path, recipe.channels, threshold=recipe.threshold(), rate=recipe.alarm_rate)
    verdicts.tap(lambda block: plot.add_values(block.rows, block.times, block.values))
    return plot
