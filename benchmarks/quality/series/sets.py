"""Which series are there: what is fitted on, what is scored, what is true, and why?"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import data_folder
from jamais.evaluation.series import find_period, segments

Floats = NDArray[np.float64]
SETS = ("smd", "asd", "tep", "tsbadm37")


@dataclass(frozen=True)
class Cause:
    """One anomalous stretch `first:after` of the scored rows, and its channels as the publisher names them."""

    first: int
    after: int
    channels: tuple[int, ...]


@dataclass(frozen=True)
class Series:
    """One series: `train` [n, C] is all that is fitted on, `rows` [m, C] are scored, `labels` [m] are their 0 or 1."""

    data: str
    name: str
    train: Floats
    rows: Floats
    labels: NDArray[np.int64]
    window: int
    causes: tuple[Cause, ...]


def read(data: str, limit: int | None = None) -> Iterator[Series]:
    """Yield the series of a set in order of name, the first `limit` of them.

    The window of VUS is TSB-AD's: the period of the first channel, train rows in front. tsbadm37 is scored whole, its
    train part included, as its published figures are; the others on their test part.
    """
    if data not in SETS:
        raise ValueError(f"the sets are {', '.join(SETS)}, got {data!r}")
    yield from _packed(limit) if data == "tsbadm37" else _folder(data, limit)


def present(data: str) -> bool:
    """Say whether the set lies in the data folder."""
    return (_home() / ("tsbadm_smap_msl37.npz" if data == "tsbadm37" else data)).exists()


def published() -> dict[str, dict[str, float]]:
    """Return the published VUS-PR: series -> method -> figure; empty where the table is not beside the data."""
    table = _home().parent.parent / "prototypes" / "series" / "multi_vuspr.csv"
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    methods = list(rows[0])[1 : list(rows[0]).index("ts_len")]
    return {row["file"].removesuffix(".csv"): {name: float(row[name]) for name in methods} for row in rows}


def _home() -> Path:
    return data_folder().parent / "series"


def _folder(data: str, limit: int | None) -> Iterator[Series]:
    paths = [path for path in sorted((_home() / data).glob("*.npz")) if path.stem != "fault00"]  # TEP's has no fault
    for path in paths[:limit]:
        with np.load(path) as kept:
            train, rows = kept["train"].astype(np.float64), kept["test"].astype(np.float64)
            labels = kept["test_label"].astype(np.int64)
        window = find_period(np.concatenate([train[:, 0], rows[:, 0]]))
        texts = path.parent / "interpretation_label" / f"{path.stem}.txt"
        causes = causes_of(labels, texts.read_text(encoding="utf-8")) if texts.exists() else ()
        yield Series(data, path.stem, train, rows, labels, window, causes)


def _packed(limit: int | None) -> Iterator[Series]:
    with np.load(_home() / "tsbadm_smap_msl37.npz") as kept:
        names = sorted({name.split("|")[0] for name in kept.files})
        for name in names[:limit]:
            rows, labels = kept[f"{name}|X"].astype(np.float64), kept[f"{name}|y"].astype(np.int64)
            end = re.search(r"_tr_(\d+)_", name)
            if end is None:
                raise ValueError(f"{name} does not say where its train part ends")
            yield Series("tsbadm37", name, rows[: int(end[1])], rows, labels, find_period(rows[:, 0]), ())


def causes_of(labels: NDArray[np.int64], text: str) -> tuple[Cause, ...]:
    """Read lines `first-last:channel,channel` (channels from 1); each belongs to the labelled stretch it overlaps."""
    spans = [(int(first), int(after)) for first, after in segments(labels)]
    found: list[Cause] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        place, _, names = line.partition(":")
        first, last = (int(row) for row in place.split("-"))
        channels = tuple(int(name) - 1 for name in names.split(",") if name.strip())
        overlapping = [span for span in spans if span[0] <= last and first < span[1]]
        if overlapping and channels:
            widest = max(overlapping, key=lambda span: min(span[1], last + 1) - max(span[0], first))
            found.append(Cause(*widest, channels))
    return tuple(found)
