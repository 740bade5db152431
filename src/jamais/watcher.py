"""What does a user hold? A watcher: it scores, learns, saves, and goes back."""

from __future__ import annotations

import copy
import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jamais.errors import (
    Cancelled,
    InputError,
    JamaisError,
    RefusedUpdateError,
    SettingsError,
    StaleVersionError,
    StateError,
)
from jamais.persistence import Retention, VersionInfo, VersionStore
from jamais.persistence.component import grafted
from jamais.settings import microseconds, override
from jamais.stream import Assembler, Scorer, Stream
from jamais.types import CancelToken, DriftReport, Event, LearnReport, Listener, StateTree, silent

if TYPE_CHECKING:
    import polars as pl


class Drifting(Protocol):
    """Follows the verdicts of one pass and says whether normal has moved."""

    def push(self, frame: pl.DataFrame) -> None: ...

    def report(self) -> DriftReport: ...


class Recipe(Protocol):
    """What a kind of data must be able to do for a watcher. Nothing here changes the recipe itself."""

    kind: str
    settings: Any
    alarm_rate: float
    said: list[str]

    def batches(self, data: Any) -> Any:
        """Open data for reading: an iterable of batches that tells `bytes_done`, `bytes_total`, `counts`, `said`."""
        ...

    def assembler(self) -> Assembler: ...

    def scorer(self, idle: int | None = None) -> Scorer: ...

    def learned(
        self, data: Any, trust: str, listener: Listener, cancel: CancelToken | None
    ) -> tuple[Recipe, LearnReport]: ...

    def fed(self, data: Any, labels: Any) -> tuple[Recipe, LearnReport]: ...

    def with_alarm_rate(self, rate: float) -> Recipe: ...

    def rate_for(self, alarms_per_day: float) -> float: ...

    def explain(self, data: Any) -> list[dict[str, Any]]: ...

    def questions(self, verdicts: pl.DataFrame | None) -> pl.DataFrame:
        """List the causes whose answer would settle most, most first; of what waits in quarantine for None."""
        ...

    def drift(self, verdicts: pl.DataFrame) -> DriftReport: ...

    def drifting(self) -> Drifting: ...

    def meaning_of_rate(self) -> str: ...

    def threshold(self) -> float:
        """The score from which a row is abnormal at the alarm rate."""
        ...

    def reconcile(self) -> None:
        """Bring parts of different versions together, or raise StateError; only before first use."""
        ...

    def state_dict(self) -> StateTree: ...


class Watcher:
    """Knows what is normal in one kind of data.

    The recipe it holds is never changed, only replaced: a thread that scores sees one whole version, whatever
    another thread learns meanwhile.
    """

    def __init__(
        self,
        recipe: Recipe,
        store: VersionStore | None = None,
        version: int | None = None,
        like: int | None = None,
    ) -> None:
        self._recipe = recipe
        self._store = store
        self._version = version
        self._like = version if like is None else like  # the version on the disk that is like what is known now
        self._reasons: list[str] = []
        self._metrics: dict[str, float] = {}
        self._taking = threading.Lock()
        self.warnings: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self._recipe.kind

    @property
    def settings(self) -> Any:
        return self._recipe.settings

    @property
    def alarm_rate(self) -> float:
        return self._recipe.alarm_rate

    @property
    def version(self) -> int | None:
        """The version this object was loaded from or last saved as."""
        return self._version

    def score(
        self,
        data: Any,
        on_event: Listener = silent,
        cancel: CancelToken | None = None,
        *,
        hindsight: bool | None = None,
    ) -> pl.DataFrame:
        """Give a verdict for every row of `data`, in order of first appearance; change nothing.

        With `hindsight` a row of a series is judged by the rows after it, too; None: as the settings say. Raises
        SettingsError where later rows could change no verdict.
        """
        import polars as pl

        frames = list(self.score_batches(data, on_event, cancel, hindsight=hindsight))
        frame = pl.concat(frames) if frames else self._recipe.scorer().empty()
        return frame if frame["row"].is_sorted() else frame.sort("row")

    def score_batches(
        self,
        data: Any,
        on_event: Listener = silent,
        cancel: CancelToken | None = None,
        *,
        hindsight: bool | None = None,
    ) -> Iterator[pl.DataFrame]:
        """Give the verdicts of `data` frame by frame, as they are decided; memory stays bounded."""
        recipe = judging(self._recipe, hindsight)
        return scored(recipe, recipe.batches(data), on_event, cancel)

    def stream(self, idle: str | None = None) -> Stream:
        """Give what scores data as it comes; sessions close after `idle` ("5m") of silence."""
        recipe = self._recipe
        return Stream(recipe.assembler(), recipe.scorer(None if idle is None else microseconds(idle)))

    def learn(
        self,
        data: Any,
        trust: str = "normal",
        dry_run: bool = False,
        on_event: Listener = silent,
        cancel: CancelToken | None = None,
        limits: Mapping[str, float] | None = None,
    ) -> LearnReport:
        """Learn from more data, all of it or nothing.

        `trust="normal"`: you vouch for the data, novel rows enter. `trust="unknown"`: rows that look normal refresh
        counts, the others wait in quarantine. Raises RefusedUpdateError, with its `report`, when the update
        would break a limit; `dry_run` measures and changes nothing. `limits` are other limits for this update only,
        by name of the setting in the group `guard`: `{"looks_abnormal": 1}`.
        """
        if trust not in ("normal", "unknown"):
            raise SettingsError(f"trust is 'normal' or 'unknown', got {trust!r}")
        before = self._recipe
        recipe, report = _limited(before, limits).learned(data, trust, on_event, cancel)
        return self._replace(before, recipe, report, f"learn {_name(data)} (trust {trust})", dry_run)

    def feedback(
        self, data: Any, labels: Any, dry_run: bool = False, limits: Mapping[str, float] | None = None
    ) -> LearnReport:
        """Take a person's answers about alarms or items: 0 normal, 1 abnormal, None not answered.

        Guarded like `learn`: an answer that would make much of what is known as normal alarm is refused.
        """
        before = self._recipe
        recipe, report = _limited(before, limits).fed(data, labels)
        return self._replace(before, recipe, report, f"feedback on {report.records} answers", dry_run)

    def set_alarm_rate(self, rate: float) -> None:
        """Alarm at another rate from now on; nothing is fitted again."""
        if not 0 < rate < 1:
            raise SettingsError(f"the alarm rate is a share between 0 and 1, got {rate}: for example 0.001")
        self._recipe = self._recipe.with_alarm_rate(rate)
        self._reasons.append(f"alarm rate {rate:g}")

    def explain(self, data: Any) -> list[dict[str, Any]]:
        """Say of each row of `data` what it is, what it is nearest to and where its score comes from."""
        return self._recipe.explain(data)

    def questions(self, verdicts: pl.DataFrame | None = None) -> pl.DataFrame:
        """List what a person should be asked, one row per cause, the answer that settles most first.

        `verdicts` are rows of `score`, or alarm records; without them, what waits in quarantine is asked about.
        Columns: `cause`, `rows` and `alarms` (how many of the given rows have it), `settles` (rows whose verdict an
        answer would settle, weighted by how uncertain it is), `belief` (probability that it is abnormal),
        `answers` (given so far), `row` (the first with it), `item`, `why`. Feed answers to `feedback`.
        """
        return self._recipe.questions(verdicts)

    def drift(self, verdicts: pl.DataFrame) -> DriftReport:
        """Test whether normal has moved: are there more rows beyond what was calibrated than chance allows?"""
        return self._recipe.drift(verdicts)

    def save(self, path: str | Path | None = None, *, refs: Sequence[str] = (), keep: Retention | None = None) -> int:
        """Commit what changed as one new version and give its number.

        The version takes over the names in `refs` (`["production"]`); `keep` then removes older versions. Raises
        StaleVersionError, and writes nothing, when somebody else has saved since.
        """
        store, parent = self._store, self._version
        if path is not None and (store is None or not store.lies_at(path)):
            store, parent = VersionStore(path), None
        if store is None:
            raise InputError("this watcher has no folder yet: save(path)")
        reason = "; ".join(self._reasons) or "saved again"
        version = store.commit(
            self._recipe.state_dict(),
            reason=reason,
            kind=self.kind,
            metrics=self._metrics,
            parent=parent,
            refs=refs,
            keep=keep,
            like=self._like if store is self._store else None,
        )
        self._store, self._version, self._like = store, version, version
        self._reasons, self._metrics = [], {}
        return version

    def to_state(self) -> StateTree:
        """Give all that is known, as arrays and JSON; `jamais.persistence.save_model_binary` and its like call this."""
        return self._recipe.state_dict()

    def history(self) -> list[VersionInfo]:
        """List the saved versions, oldest first."""
        return self._stored().history()

    def rollback(self, version: int | str, only: str | None = None) -> None:
        """Make the content of an older version current; saving that is a new version.

        `version` is a number or a name (`"production"`). `only` takes one part back (`"meaning/memory"`,
        `"calibration"`) and leaves the rest as it is; raises StateError where the two do not belong together, such
        as a memory made with another encoder. Every file is compared with its sha256 first.
        """
        tree, info = self._stored().load(version, full=True)
        if only is None:
            self._recipe, self._like = recipe_of(tree, info.kind), info.number
            self._reasons, self._metrics = [f"rollback to version {info.number}"], {}
            return
        recipe = recipe_of(grafted(self._recipe.state_dict(), only, tree), info.kind)
        recipe.reconcile()
        self._recipe = recipe
        self._reasons.append(f"rollback of {only} to version {info.number}")

    def note(self, reason: str, metrics: Mapping[str, float] | None = None) -> None:
        """Add a reason, and figures, to the version that is saved next."""
        self._reasons.append(reason)
        self._metrics.update(metrics or {})

    @property
    def recipe(self) -> Recipe:
        """What is known now; a constant, to look at."""
        return self._recipe

    def _replace(self, before: Recipe, recipe: Recipe, report: LearnReport, reason: str, dry_run: bool) -> LearnReport:
        """Let `recipe`, made of `before`, be what is known now; raise StaleVersionError if that changed meanwhile."""
        if dry_run:
            return report
        if not report.accepted:
            raise RefusedUpdateError(f"update refused, nothing was changed:\n{report}{_way_out(report)}", report)
        recipe.settings = before.settings  # other limits were for this update only
        with self._taking:
            if self._recipe is not before:
                raise StaleVersionError("this watcher changed while it learned: nothing was taken in; learn again")
            self._recipe = recipe
        worst = {name: max(value, self._metrics.get(name, value)) for name, value in report.figures.items()}
        self.note("; ".join([reason, *(event for event in report.events if not event.startswith(" "))]), worst)
        return report

    def _stored(self) -> VersionStore:
        if self._store is None:
            raise InputError("this watcher was never saved: save(path) first")
        return self._store


def judging(recipe: Recipe, hindsight: bool | None) -> Recipe:
    """Give the recipe as it judges with `hindsight`, or without; None: as its settings say."""
    if hindsight is None:
        return recipe
    if "hindsight" not in {field.name for field in dataclasses.fields(recipe.settings)}:
        if hindsight:
            raise SettingsError(f"verdicts of {recipe.kind} do not depend on later rows: leave hindsight out")
        return recipe
    new = copy.copy(recipe)
    new.settings = override(recipe.settings, {"hindsight": hindsight})
    return new


def scored(
    recipe: Recipe, reader: Any, listener: Listener, cancel: CancelToken | None = None
) -> Iterator[pl.DataFrame]:
    """Score what an opened reader gives, in one pass."""
    scorer = recipe.scorer()
    n_records = 0
    for batch in reader:
        if cancel is not None and cancel.cancelled:
            raise Cancelled("cancelled while scoring")
        frame = scorer.push(batch)
        n_records += len(batch)
        listener(Event("scoring", reader.bytes_done, reader.bytes_total, {"records": n_records}))
        if frame is not None:
            yield frame
    yield from scorer.flush()


def recipe_of(tree: StateTree, kind: str) -> Recipe:
    """Build the recipe of a saved state."""
    from jamais import registry

    try:
        recipe: Recipe = registry.find(kind).from_state(tree)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as wrong:
        if isinstance(wrong, JamaisError):
            raise
        said = f"{type(wrong).__name__}: {wrong}"
        raise StateError(f"this state was written by another jamais ({said}): fit again, or use that one") from wrong
    return recipe


def _limited(recipe: Recipe, limits: Mapping[str, float] | None) -> Recipe:
    """Give the recipe with other limits for one update."""
    if not limits:
        return recipe
    new = copy.copy(recipe)
    new.settings = override(recipe.settings, {"guard": dict(limits)})
    return new


def _way_out(report: LearnReport) -> str:
    needed = ", ".join(f'"{name}": {limit:g}' for name, limit in report.limits_needed.items())
    return f"\nif it is right all the same: limits={{{needed}}}" if needed else ""


def _name(data: Any) -> str:
    return str(data) if isinstance(data, str | Path) else f"{type(data).__name__}"
