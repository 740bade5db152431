"""Which rows did a person answer for, and what is the answer?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jamais.errors import InputError

if TYPE_CHECKING:
    import polars as pl

KEYS = ("row", "group", "item", "cause")
_WANTED = (
    "wanted a column label (0 normal, 1 abnormal, empty = no answer) "
    "and one of row, group, item, cause, or both start and end"
)


@dataclass(frozen=True)
class Span:
    """A stretch of time and its answer; microseconds UTC, both ends belong to it."""

    start: int
    end: int
    label: int


class Labels:
    """Answers by one key, or by stretches of time."""

    def __init__(self, key: str, table: pl.DataFrame, spans: list[Span]) -> None:
        self.key, self.spans = key, spans
        self._table = table

    @classmethod
    def read(cls, path: str) -> Labels:
        """Read a labels file; raises InputError naming what is wrong with it."""
        import polars as pl

        try:
            table = pl.read_csv(path, infer_schema=False)
        except FileNotFoundError as wrong:
            raise InputError(f"no such file: {path}") from wrong
        except (OSError, pl.exceptions.PolarsError) as wrong:
            raise InputError(f"cannot read labels from {path}: {str(wrong).splitlines()[0]}") from wrong
        table = table.rename({name: name.strip().lower() for name in table.columns})
        keys = [key for key in KEYS if key in table.columns]
        timed = {"start", "end"} <= set(table.columns)
        if "label" not in table.columns or (len(keys) != 1 and not (timed and not keys)):
            raise InputError(f"{path} has columns {', '.join(table.columns)}: {_WANTED}")
        label = pl.col("label").str.strip_chars().replace({"0.0": "0", "1.0": "1"}).replace("", None)
        table = table.with_columns(label).filter(pl.col("label").is_not_null())
        odd = table.filter(~pl.col("label").is_in(["0", "1"]))
        if len(odd):
            raise InputError(f"{path}: a label is 0 or 1, got {odd['label'][0]!r}")
        table = table.with_columns(pl.col("label").cast(pl.Int64))
        if timed and not keys:
            return cls("time", table, _spans(table, path))
        return cls(keys[0], _by_key(table, keys[0], path), [])

    def of(self, frame: pl.DataFrame) -> pl.Series:
        """Give the label of every row `[n]` of verdicts: 0, 1 or null where there is no answer."""
        import polars as pl

        if self.key == "time":
            return self._by_time(frame)
        if self.key not in frame.columns:
            raise InputError(f"the labels are by {self.key}, but these rows have none: use row, item or cause")
        keyed = frame.select(pl.col(self.key).cast(pl.String))
        return keyed.join(self._table, on=self.key, how="left", maintain_order="left")["label"]

    def _by_time(self, frame: pl.DataFrame) -> pl.Series:
        """A row inside a stretch has its label, abnormal ones first; outside of all it is normal."""
        import polars as pl

        if "time" not in frame.columns:
            raise InputError("the labels are by time, but these rows have none: use row, item or cause")
        time = pl.col("time").cast(pl.Datetime("us", "UTC")).dt.epoch("us")
        label: Any = pl.when(time.is_null()).then(None).otherwise(0)
        for span in sorted(self.spans, key=lambda span: span.label):
            inside = (time >= span.start) & (time <= span.end)
            label = pl.when(inside).then(span.label).otherwise(label)
        return frame.select(label.cast(pl.Int64).alias("label"))["label"]


def _by_key(table: pl.DataFrame, key: str, path: str) -> pl.DataFrame:
    answers = table.select(key, "label").unique(maintain_order=True)
    if answers[key].n_unique() != len(answers):
        twice = answers.filter(answers[key].is_duplicated())[key][0]
        raise InputError(f"{path} answers both 0 and 1 for {key} {twice!r}")
    return answers


def _spans(table: pl.DataFrame, path: str) -> list[Span]:
    import polars as pl

    def times(name: str) -> list[int | None]:
        read = pl.col(name).str.strip_chars().str.replace(" ", "T").str.replace(r"(Z|\+00:?00)$", "")
        parsed = table.select(read.str.to_datetime(time_unit="us", strict=False).dt.epoch("us"))
        return parsed.to_series().to_list()

    spans = []
    for at, (start, end, label) in enumerate(zip(times("start"), times("end"), table["label"], strict=True), 1):
        if start is None or end is None or end < start:
            raise InputError(
                f"{path}, answer {at}: start and end are times in UTC like 2026-01-31T12:00:00, start first"
            )
        spans.append(Span(start, end, label))
    return spans
