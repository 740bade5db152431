"""How well are anomalies in multivariate series found, beside peers in the same run?

    OMP_NUM_THREADS=1 python -m benchmarks.quality.series                       # SMD, ASD, TEP: all methods
    python -m benchmarks.quality.series --sets asd --limit 2                    # a look; no file unless --out names one
    python -m benchmarks.quality.series --sets smd asd --methods "jamais causal" KMeansAD
    python -m benchmarks.quality.series --contaminated --sets smd asd           # 1 % of train abnormal
    python -m benchmarks.quality.series --sets tsbadm37                         # rarely: every run is kept in a log

One setting for all series. Every method is fitted on the train part only. VUS-PR with TSB-AD's window; the rows
`random` and `squared norm` say what a figure is worth. `CNN`, `OmniAnomaly`, `USAD`, `AnomalyTransformer` are TSB-AD's,
their scores kept from one run (`benchmarks/quality/series_peers/deep.py`). hit@100 and hit@150: HitRate against the
publisher's causes, over stretches in which an alarm rang at a rate of .001. Rows are written over those of the same
set, series and method; the others stay, with the commit that made them.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.series import kept, ours, peers, report
from benchmarks.quality.series.contaminated import contaminate
from benchmarks.quality.series.halves import halves
from benchmarks.quality.series.measures import Hits, figures, hits
from benchmarks.quality.series.report import Cells
from benchmarks.quality.series.sets import SETS, Series, present, read

Floats = NDArray[np.float64]
ALL = (*ours.METHODS, *peers.PEERS, *kept.METHODS)
TABLE, CONTAMINATED = "quality-series.csv", "quality-series-contaminated.csv"
RUNS, HALVES = "quality-series-37-runs.csv", "quality-series-37-halves.csv"
CHEAP = ("jamais causal", "jamais offline", "squared norm", "KMeansAD")  # what --contaminated takes by itself


def judged(series: Series, methods: list[str]) -> Iterator[Cells]:
    """Yield the figures of each method on one series; kept scores that are not there are left out."""
    fits: dict[bool, ours.Fitted] = {}
    for method in methods:
        if method in ours.METHODS:
            network, hindsight = ours.METHODS[method]
            if network not in fits:
                fits[network] = ours.Fitted(series.train, network)
            yield _of_ours(series, method, fits[network], hindsight)
        elif method in peers.PEERS:
            scores, fit_seconds, seconds = _peer(method, series)
            found = _hits_of_norm(series, scores) if method == "squared norm" else None
            yield _row(series, method, scores, fit_seconds, seconds, found)
        else:
            old = kept.kept(method, series.data, series.name)
            if old is not None:
                yield _row(series, method, *old, None)


def _of_ours(series: Series, method: str, fitted: ours.Fitted, hindsight: bool) -> Cells:
    scores, alarms, seconds = fitted.score(series.rows, hindsight=hindsight)
    found = _hits(series, scores, alarms, lambda at: fitted.shares(series.rows, at))
    return _row(series, method, scores, fitted.seconds, seconds, found)


def _peer(method: str, series: Series) -> tuple[Floats, float, float]:
    began = time.process_time()
    score = peers.PEERS[method](series.train)
    fitted = time.process_time()
    scores = score(series.rows)
    return scores, fitted - began, time.process_time() - fitted


def _hits(
    series: Series, scores: Floats, alarms: NDArray[np.bool_], shares: Callable[[NDArray[np.int64]], Floats]
) -> Hits | None:
    return hits(series.causes, scores, alarms, shares) if series.causes else None


def _hits_of_norm(series: Series, scores: Floats) -> Hits | None:
    """Blame channels by their square; an alarm is above all but .001 of the train rows."""
    cut = np.quantile(peers.squared_norm(series.train)(series.train), 1 - ours.ALARM_RATE)
    scale = peers.scaler(series.train)
    return _hits(series, scores, scores > cut, lambda at: scale(series.rows[at]) ** 2)


def _row(series: Series, method: str, scores: Floats, fit_seconds: float, seconds: float, found: Hits | None) -> Cells:
    return {
        "set": series.data,
        "series": series.name,
        "method": method,
        **figures(series, scores),
        "fit_seconds": fit_seconds,
        "score_seconds": seconds,
        "segments": found.segments if found else "",
        "found": found.found if found else "",
        "hit100": found.at_100 if found else "",
        "hit150": found.at_150 if found else "",
        "window": series.window,
        "rows": len(series.labels),
        "abnormal": int(series.labels.sum()),
        "commit": report.commit(),
    }


def spoilt(series: Series, methods: list[str]) -> Iterator[Cells]:
    """Yield what 1 % of abnormal rows in train costs each method, over all rows and over those that were not taken."""
    changed = contaminate(series)
    if not changed.taken.any():
        return
    left, rest = ~changed.taken, changed.rest(series)
    clean_scores, dirty_scores = (_scores(methods, some) for some in (series, changed.series))
    for method in methods:
        clean, dirty = clean_scores[method], dirty_scores[method]
        yield {
            "set": series.data,
            "series": series.name,
            "method": method,
            "clean": figures(series, clean)["vus_pr"],
            "contaminated": figures(series, dirty)["vus_pr"],
            "clean_rest": figures(rest, clean[left])["vus_pr"],
            "contaminated_rest": figures(rest, dirty[left])["vus_pr"],
            "taken": int(changed.taken.sum()),
            "train": len(series.train),
            "commit": report.commit(),
        }


def _scores(methods: list[str], series: Series) -> dict[str, Floats]:
    networks = {ours.METHODS[method][0] for method in methods if method in ours.METHODS}
    fits = {network: ours.Fitted(series.train, network) for network in networks}
    scores: dict[str, Floats] = {}
    for method in methods:
        if method in ours.METHODS:
            network, hindsight = ours.METHODS[method]
            scores[method] = fits[network].score(series.rows, hindsight=hindsight)[0]
        else:
            scores[method] = _peer(method, series)[0]
    return scores


def log_37(rows: list[Cells], out: Path) -> None:
    """Keep a line for each of our methods that saw the 37 series, however few of them."""
    lines: list[Cells] = []
    for method in ours.METHODS:
        some = [row for row in rows if row["method"] == method]
        if some:
            means = {name: float(np.mean([float(row[name]) for row in some])) for name in ("vus_pr", "ap")}
            seconds = sum(float(row["fit_seconds"]) + float(row["score_seconds"]) for row in some)
            lines.append(
                {
                    "date": report.now(),
                    "commit": report.commit(),
                    "method": method,
                    "series": len(some),
                    **means,
                    "cpu_seconds": seconds,
                    "settings": ours.settings(),
                }
            )
    if lines:
        report.append(out / RUNS, lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=["smd", "asd", "tep"], choices=SETS)
    parser.add_argument("--methods", nargs="+", choices=ALL)
    parser.add_argument("--limit", type=int, help="so many series of each set")
    parser.add_argument("--contaminated", action="store_true")
    parser.add_argument("--out", type=Path, help="a folder for the tables")
    asked = parser.parse_args()
    report.commit()
    out = asked.out or (None if asked.limit else report.RESULTS)
    methods = asked.methods or list(CHEAP if asked.contaminated else ALL)
    rows: list[Cells] = []
    for data in asked.sets:
        if not present(data):
            print(f"{data} is not in the data folder: left out", file=sys.stderr)
            continue
        for series in read(data, asked.limit):
            made: list[Cells] = []
            for row in (spoilt if asked.contaminated else judged)(series, methods):
                made.append(row)
                shown = " ".join(f"{name} {cell:.3f}" for name, cell in row.items() if isinstance(cell, float))
                print(row["set"], row["series"], row["method"], shown, file=sys.stderr, flush=True)
            if out and made:
                report.merge(out / (CONTAMINATED if asked.contaminated else TABLE), made)
            rows += made
    _told(rows, out, contaminated=asked.contaminated)


def _told(rows: list[Cells], out: Path | None, *, contaminated: bool) -> None:
    of_37 = [row for row in rows if row["set"] == "tsbadm37"]
    if not contaminated:
        log_37(of_37, out or report.RESULTS)
    if contaminated:
        print(report.losses(rows))
        return
    print(report.means(rows))
    if of_37:
        table = halves(of_37)
        print(report.plain(table))
        if out:
            report.merge(out / HALVES, table, key=("source", "method"))


if __name__ == "__main__":
    if os.environ.get("OMP_NUM_THREADS") != "1":
        print("OMP_NUM_THREADS=1 makes the seconds comparable", file=sys.stderr)
    main()
