"""How good were the alarms, in figures that cannot be misread?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jamais.cli import told
from jamais.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from jamais.cli.labels import Labels

Figures = dict[str, Any]


def measured(verdicts: Iterable[pl.DataFrame], labels: Labels, rate: float) -> Figures:
    """Compare verdicts with labels; keeps four numbers per row. Raises InputError without an abnormal row."""
    import polars as pl

    from jamais import evaluation

    kept = [_kept(frame, labels) for frame in verdicts]
    rows = pl.concat(kept)
    known = rows.filter(pl.col("label").is_not_null())
    truth, scores = known["label"].to_numpy(), known["score"].to_numpy()
    n_abnormal = int(truth.sum())
    if not n_abnormal:
        raise InputError(
            f"no row is labelled abnormal ({len(rows):,} rows, {len(known):,} with a label by {labels.key}): "
            f"there is nothing to find; check that the file's {labels.key} fits this data"
        )
    if n_abnormal == len(known):
        raise InputError(f"all {len(known):,} rows with a label are abnormal: label some normal ones, too")
    alarms = evaluation.alarm_quality(truth, known["abnormal"].to_numpy())
    n_normal = len(known) - n_abnormal
    false_alarms = int(known.filter((pl.col("label") == 0) & pl.col("abnormal")).height)
    figures: Figures = {
        "rows": len(rows),
        "labelled": len(known),
        "abnormal": n_abnormal,
        "base_rate": n_abnormal / len(known),
        "average_precision": evaluation.average_precision(truth, scores),
        "auroc": evaluation.auroc(truth, scores),
        "alarm_rate": rate,
        "alarms": alarms.alarms,
        "precision": alarms.precision,
        "recall": alarms.recall,
        "f1": alarms.f1,
        "false_alarms_per_1000_normal": 1000 * false_alarms / n_normal,
        "best_f1_upper_bound": evaluation.best_f1(truth, scores).f1,
    }
    return figures | (_delays(rows, labels) if labels.key == "time" else {})


def table(figures: Figures) -> str:
    """Write figures for people."""
    of = figures
    quality = f"precision {of['precision']:.3f}, recall {of['recall']:.3f}, F1 {of['f1']:.3f}"
    lines = [
        f"{of['labelled']:,} labelled of {of['rows']:,}, {of['abnormal']:,} abnormal (base rate {of['base_rate']:.4g})",
        f"average precision   {of['average_precision']:.3f}   (blind guessing: {of['base_rate']:.3f})",
        f"AUROC               {of['auroc']:.3f}   (blind guessing: 0.500)",
        f"{'at rate ' + format(of['alarm_rate'], 'g'):<20}{of['alarms']:,} alarms, {quality}",
        f"false alarms        {of['false_alarms_per_1000_normal']:.3g} per 1,000 normal rows",
        f"best F1             {of['best_f1_upper_bound']:.3f}   an upper bound: these labels chose its threshold",
    ]
    if "stretches" in figures:
        delay = figures["median_delay_seconds"]
        middle = "" if delay is None else f", the median {told.duration(delay)} after the start"
        lines.append(
            f"{'delay':<20}{figures['stretches_found']} of {figures['stretches']} abnormal stretches alarmed{middle}"
        )
    return "\n".join(lines)


def _kept(frame: pl.DataFrame, labels: Labels) -> pl.DataFrame:
    import polars as pl

    time = pl.col("time").dt.epoch("us") if "time" in frame.columns else pl.lit(None, pl.Int64).alias("time")
    return frame.select("score", "abnormal", time).with_columns(labels.of(frame).alias("label"))


def _delays(rows: pl.DataFrame, labels: Labels) -> Figures:
    """Give, per abnormal stretch, the seconds from its start to its first alarm (None: it was missed)."""
    import polars as pl

    alarmed = rows.filter(pl.col("abnormal") & pl.col("time").is_not_null())["time"].sort().to_numpy()
    delays: list[float | None] = []
    for span in labels.spans:
        if span.label == 1:
            inside = alarmed[(alarmed >= span.start) & (alarmed <= span.end)]
            delays.append((int(inside[0]) - span.start) / 1e6 if len(inside) else None)
    found = sorted(delay for delay in delays if delay is not None)
    return {
        "stretches": len(delays),
        "stretches_found": len(found),
        "median_delay_seconds": found[(len(found) - 1) // 2] if found else None,
        "delays_seconds": delays,
    }
