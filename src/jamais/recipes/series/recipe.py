"""The story of a series: what is learned from numbers over time, and how it becomes verdicts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.detectors.windows import WindowBanks
from jamais.errors import InputError, StateError
from jamais.learning.answers.answers import Answers
from jamais.learning.answers.waiting import Waiting
from jamais.recipes.series.facts import Facts
from jamais.recipes.series.settings import SeriesSettings
from jamais.recipes.series.updates.kept import Kept
from jamais.settings import as_tree, override
from jamais.sources.series import SeriesAssembler, SeriesReader, open_series
from jamais.types import (
    CancelToken,
    DriftReport,
    Floats,
    Ints,
    LearnReport,
    Listener,
    MemoryRows,
    StateTree,
    Vectors,
    silent,
)

if TYPE_CHECKING:
    import polars as pl

    from jamais.recipes.series.scorer import SeriesScorer
    from jamais.recipes.series.updates.drift import Drifting


_AT_ONCE = 256
"""Windows that are described on their own at once: of 64 rows and 38 channels they take 5 MB."""


class SeriesRecipe:
    """All that is known of a series. Scoring reads it, learning makes a new one: it never changes in use.

    Banks of remembered windows say how unlike anything known the window of a row is.
    """

    kind = "series"

    def __init__(self, settings: SeriesSettings, seed: int = 0) -> None:
        self.settings = settings
        self.seed = seed
        self.alarm_rate = settings.alarm_rate
        self.banks = WindowBanks(settings.banks, seed)
        self.kept = Kept(0, 0)
        """Stretches of normal life, to see what an update does to them."""
        self.width = 0
        """Numbers in the descriptor of a window, by which answers are known again."""
        self.reach = 0.0
        """Up to this distance of their windows, alarms are of one cause."""
        self.facts = Facts()
        self.said: list[str] = []
        self.answers = Answers(settings.answers, 0, 0.0)
        self.waiting = Waiting(0, settings.answers.causes)

    @classmethod
    def fit(
        cls,
        data: Any,
        settings: Mapping[str, Any],
        seed: int = 0,
        listener: Listener = silent,
        cancel: CancelToken | None = None,
    ) -> SeriesRecipe:
        """Learn from scratch what is normal in `data`, rows [n, channels] in the order of time."""
        from jamais.recipes.series.beginning import begin

        recipe = cls(override(SeriesSettings(), settings), seed)
        begin(recipe, open_series(data, recipe.settings.reading), listener, cancel)
        if recipe.settings.alarms_per_day is not None:
            recipe.alarm_rate = recipe.rate_for(recipe.settings.alarms_per_day)
        recipe._measure()
        return recipe

    def learned(
        self, data: Any, trust: str = "normal", listener: Listener = silent, cancel: CancelToken | None = None
    ) -> tuple[SeriesRecipe, LearnReport]:
        """Give a recipe that knows `data`, too, and what that would change; this one stays as it is."""
        from jamais.recipes.series.updates.learning import learn_trusted, learn_unknown

        new = self.copy()
        learn = learn_trusted if trust == "normal" else learn_unknown
        return new, learn(self, new, data, listener, cancel)

    def fed(self, data: Any, labels: Any) -> tuple[SeriesRecipe, LearnReport]:
        """Give a recipe that knows a person's answers, too."""
        from jamais.recipes.series.updates.feedback import feed

        new = self.copy()
        return new, feed(self, new, data, labels)

    def scorer(self, idle: int | None = None) -> SeriesScorer:
        """Give what scores one stream of rows."""
        from jamais.recipes.series.scorer import SeriesScorer

        return SeriesScorer(self)

    def batches(self, data: Any) -> SeriesReader:
        """Open data for reading, by the channels and the pace that were fitted."""
        return open_series(data, self.settings.reading, self.channels, self.facts.step)

    def assembler(self) -> SeriesAssembler:
        """Give what makes blocks of rows that come in pieces."""
        return SeriesAssembler(self.settings.reading, self.channels, self.facts.step)

    @property
    def channels(self) -> tuple[str, ...]:
        """Their names, in the order of the fit data."""
        return self.facts.channels

    def places(self, values: Floats, rows: Ints) -> Vectors:
        """Give the windows that end at `rows` [m] of a stretch [n, channels] as descriptors [m, width]."""
        if not len(rows):
            return np.empty((0, self.width), dtype=np.float32)
        return np.concatenate([self.banks.places(values, rows[part]) for part in self._together(rows)])

    def blamed(self, values: Floats, rows: Ints) -> tuple[Floats, Ints]:
        """Give the shares [m, channels] of the channels in what makes windows that end at `rows` [m] unlike known ones.

        And the rows [m] of what was learned at which the remembered windows end that they are most like.
        """
        shares, ends = np.empty((len(rows), self.banks.channels)), np.empty(len(rows), dtype=np.int64)
        for part in self._together(rows):
            blame = self.banks.blame(values, rows[part])
            shares[part], ends[part] = blame.shares, blame.ends
        return shares, ends

    def causally(self) -> SeriesRecipe:
        """Give the same recipe, judging rows without what comes after them."""
        new = copy.copy(self)
        new.settings = override(self.settings, {"hindsight": False})
        return new

    def with_alarm_rate(self, rate: float) -> SeriesRecipe:
        """Give the same recipe with another alarm rate."""
        new = copy.copy(self)
        new.alarm_rate = rate
        return new

    def meaning_of_rate(self) -> str:
        """Say what the alarm rate means for a person who gets the alarms."""
        return self.facts.meaning_of_rate(self.alarm_rate, self.banks.calibration(self.settings.hindsight))

    def threshold(self) -> float:
        """Give the score from which a row is abnormal at the alarm rate."""
        return float(self.banks.calibration(self.settings.hindsight).threshold(self.alarm_rate))

    def rate_for(self, alarms_per_day: float) -> float:
        """Give the alarm rate that makes so many rows of false alarm a day at the pace of the fit data."""
        pace = self.facts.rows_per_day()
        if pace is None:
            raise InputError("the fit data has no times to tell its pace: set alarm_rate instead of alarms_per_day")
        return min(0.5, alarms_per_day / pace)

    def explain(self, data: Any) -> list[dict[str, Any]]:
        """Say of each row how unlike what is known it is, by bank, through which channels, and nearest to what."""
        from jamais.recipes.series.explaining import explained

        return explained(self, data)

    def questions(self, verdicts: pl.DataFrame | None) -> pl.DataFrame:
        """List the causes whose answer would settle most; what waits in quarantine, or is not settled, for None."""
        from jamais.learning.answers.questions import questions

        return questions(self.answers, self.waiting, verdicts)

    def drift(self, verdicts: pl.DataFrame) -> DriftReport:
        """Test whether normal has moved, and say which channels differ."""
        from jamais.recipes.series.updates.drift import drift_in

        return drift_in(self, verdicts)

    def drifting(self) -> Drifting:
        """Give what follows the verdicts of one pass, to say whether normal has moved."""
        from jamais.recipes.series.updates.drift import Drifting

        return Drifting(self)

    def map_rows(self) -> MemoryRows:
        """Give windows of kept normal life, incidents and what waits, to be drawn: rows [n, width]."""
        labelled, labels = self.answers.labelled()
        parts = (self.kept.windows(self.banks), labelled[labels == 1], self.waiting.founders)
        kinds = [kind for kind, rows in zip(("normal", "abnormal", "waiting"), parts, strict=True) for _ in rows]
        rows = np.concatenate([np.asarray(part, dtype=np.float32).reshape(-1, self.width) for part in parts])
        return MemoryRows(rows, np.array([0 if kind == "normal" else -1 for kind in kinds]), tuple(kinds))

    def copy(self) -> SeriesRecipe:
        """Give a recipe that goes on by itself."""
        new = copy.copy(self)
        new.banks, new.kept = self.banks.copy(), self.kept.copy()
        new.answers, new.waiting = self.answers.copy(), self.waiting.copy()
        new.said = list(self.said)
        return new

    def reconcile(self) -> None:
        """Raise StateError where parts of different versions do not belong together."""
        channels = {"banks": self.banks.channels, "facts": len(self.channels), "kept": self.kept.channels}
        if len(set(channels.values())) > 1:
            told = ", ".join(f"{name} {number}" for name, number in channels.items())
            raise StateError(f"parts are of different numbers of channels ({told}): roll back the whole instead")
        widths = {"answers": self.answers.width, "waiting": self.waiting.width, "banks": self._width()}
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} {number}" for name, number in widths.items())
            raise StateError(f"parts hold windows of several widths ({told}): roll back the whole instead")

    def state_dict(self) -> StateTree:
        return {
            "settings": as_tree(self.settings),
            "seed": self.seed,
            "alarm_rate": self.alarm_rate,
            "facts": self.facts.tree(),
            "said": list(self.said),
            "banks": self.banks.state_dict(),
            "kept": self.kept.state_dict(),
            "reach": self.reach,
            "answers": self.answers.state_dict(),
            "waiting": self.waiting.state_dict(),
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> SeriesRecipe:
        """Become the recipe that was saved."""
        recipe = cls(override(SeriesSettings(), tree["settings"]), int(tree["seed"]))
        recipe.alarm_rate = float(tree["alarm_rate"])
        recipe.facts = Facts.of_tree(tree["facts"])
        recipe.said = list(tree["said"])
        recipe.banks.load_state_dict(tree["banks"])
        recipe.kept = Kept(recipe.banks.channels, recipe.banks.past)
        recipe.kept.load_state_dict(tree["kept"])
        recipe.width, recipe.reach = recipe._width(), float(tree["reach"])
        recipe._begin_answers()
        recipe.answers.load_state_dict(tree["answers"])
        recipe.waiting.load_state_dict(tree["waiting"])
        recipe.reconcile()
        return recipe

    def _together(self, rows: Ints) -> Iterator[slice]:
        """Cut `rows` [m], in order, into parts whose windows overlap: described together they cost a fraction."""
        start = 0
        for at in range(1, len(rows) + 1):
            if at == len(rows) or at - start == _AT_ONCE or rows[at] - rows[at - 1] > self.banks.past:
                yield slice(start, at)
                start = at

    def _measure(self) -> None:
        """Find how wide windows are described, and how near ones are alike."""
        self.width = self._width()
        threshold = self.banks.calibration().threshold(self.alarm_rate)
        # Votes add up to at most the root of their weights times the distance of places: nearer is no alarm, surely.
        whole = float(np.sqrt(self.banks.weights.sum()))
        self.reach = float(self.settings.answers.reach * threshold / whole)
        self._begin_answers()

    def _begin_answers(self) -> None:
        self.answers = Answers(self.settings.answers, self.width, self.reach)
        self.waiting = Waiting(self.width, self.settings.answers.causes)

    def _width(self) -> int:
        one = np.zeros((self.banks.past + 1, self.banks.channels))
        return int(self.banks.places(one, np.array([self.banks.past])).shape[1])
