"""How is a change to a watcher made, saved as one version, and told?"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from jamais.cli import kept, told
from jamais.errors import InputError, RefusedUpdateError, StaleVersionError
from jamais.types import LearnReport, Listener

if TYPE_CHECKING:
    import polars as pl

    from jamais.cli.labels import Labels
    from jamais.watcher import Watcher

Update = Callable[["Watcher"], LearnReport]
_TRIES = 5


@dataclass(frozen=True)
class Learning:
    """An update by data."""

    data: Any
    trust: str
    dry_run: bool
    listener: Listener
    limits: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, watcher: Watcher) -> LearnReport:
        limits = self.limits
        return watcher.learn(self.data, self.trust, dry_run=self.dry_run, on_event=self.listener, limits=limits)


@dataclass(frozen=True)
class Answering:
    """An update by a person's answers: about alarm records, rows of data, or (without both) what waits."""

    alarms: str | None
    data: Any
    labels: str
    dry_run: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, watcher: Watcher) -> LearnReport:
        import polars as pl

        from jamais.cli.labels import Labels
        from jamais.cli.verdicts.one_pass import Pass
        from jamais.types import silent

        labels = Labels.read(self.labels)
        if self.data is not None and watcher.kind != "logs":
            return self._about_rows(watcher, labels)
        frames: Iterable[pl.DataFrame]
        if self.alarms:
            frames = [read_alarms(self.alarms)]
        else:
            frames = [_waiting(watcher)] if self.data is None else Pass(watcher, self.data, silent)
        answered: list[pl.DataFrame] = []
        for frame in frames:
            # Not every line of a bad quarter of an hour is bad: times answer for alarms only.
            asked = frame.filter(pl.col("abnormal")) if labels.key == "time" else frame
            answers = asked.with_columns(labels.of(asked).alias("label"))
            answered.append(answers.filter(pl.col("label").is_not_null()))
        rows = pl.concat(answered)
        if not len(rows):
            about = "this data" if self.alarms or self.data is not None else "what waits in quarantine"
            raise InputError(f"no answer in {self.labels} is about a row of {about}: compare its {labels.key}")
        return watcher.feedback(rows.drop("label"), rows["label"].to_list(), self.dry_run, self.limits)

    def _about_rows(self, watcher: Watcher, labels: Labels) -> LearnReport:
        """Answer for rows of numbers: verdicts of rows that do not alarm leave the row itself out."""
        from jamais.cli.verdicts.one_pass import Pass
        from jamais.types import silent

        answers = [one for frame in Pass(watcher, self.data, silent) for one in labels.of(frame).to_list()]
        if all(one is None for one in answers):
            raise InputError(f"no answer in {self.labels} is about a row of this data: compare its {labels.key}")
        return watcher.feedback(self.data, answers, self.dry_run, self.limits)


def saved(
    folder: str, update: Update, *, rebase: bool = False, dry_run: bool = False
) -> tuple[LearnReport, int | None]:
    """Load, change, save; give the report and the new version (None for a dry run).

    With `rebase`, a watcher that somebody else saved meanwhile is loaded again and changed again.
    """
    for left in reversed(range(_TRIES if rebase else 1)):
        watcher = kept.load(folder)
        try:
            report = update(watcher)
            return report, None if dry_run else watcher.save()
        except StaleVersionError as stale:
            if not left:
                hint = "" if rebase else f": jamais learn {shlex.quote(folder)} … --rebase learns again on top"
                raise StaleVersionError(f"{stale}{hint}") from stale
        except RefusedUpdateError as refused:
            if not isinstance(refused.report, LearnReport):
                raise
            report = refused.report
            click.echo(told.plain_lines(str(report)), err=True)
            raise RefusedUpdateError(f"refused, nothing was changed: {_why_refused(report)}", report) from refused
    raise AssertionError("the last try returns or raises")


def _why_refused(report: LearnReport) -> str:
    """Name the broken limits in one line, and how to have the update all the same."""
    broken = [f"{one.name} {one.value:.3g}, at most {one.limit:.3g}" for one in report.checks if not one.passed]
    needed = " ".join(f"--limit {name}={limit:g}" for name, limit in report.limits_needed.items())
    return "; ".join(broken) + (f". If it is right all the same: {needed}" if needed else "")


def tell(report: LearnReport, version: int | None, *, as_json: bool) -> None:
    """Print what an update did."""
    if as_json:
        checks = [
            {
                "name": one.name,
                "value": one.value if math.isfinite(one.value) else str(one.value),
                "limit": one.limit,
                "passed": one.passed,
                "setting": one.setting,
            }
            for one in report.checks
        ]
        told_as = {"accepted": report.accepted, "records": report.records, "counts": dict(report.counts)}
        more = {"checks": checks, "events": list(report.events), "version": version}
        click.echo(json.dumps({**told_as, **more}, ensure_ascii=False))
        return
    click.echo(told.plain_lines(str(report)))
    click.echo(f"saved as version {version}" if version is not None else "dry run: nothing was changed")


def _waiting(watcher: Watcher) -> pl.DataFrame:
    """Give what waits in quarantine as alarm records; the watcher itself holds the vectors."""
    import polars as pl

    return watcher.questions().with_columns(abnormal=pl.lit(True), vector=pl.lit(None), window=pl.lit(None))


def read_alarms(path: str) -> pl.DataFrame:
    """Read alarm records written by score or watch; raises InputError."""
    import polars as pl

    try:
        records = pl.read_ndjson(path, infer_schema_length=None)
    except FileNotFoundError as wrong:
        raise InputError(f"no such file: {path}") from wrong
    except (OSError, pl.exceptions.PolarsError) as wrong:
        raise InputError(f"cannot read alarm records from {path}: {str(wrong).splitlines()[0]}") from wrong
    if not {"item", "cause", "abnormal"} <= set(records.columns):
        raise InputError(f"{path} holds no alarm records: jamais score … --alarms FILE writes them")
    if "time" in records.columns and records["time"].dtype == pl.String:
        records = records.with_columns(pl.col("time").str.to_datetime(time_unit="us", time_zone="UTC", strict=False))
    return records
