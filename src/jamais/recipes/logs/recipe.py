"""The story of logs: what is learned from lines, and how it becomes verdicts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.detectors.calibration import Calibration
from jamais.errors import InputError, StateError
from jamais.memory.cover import CoverMemory
from jamais.models.tinylogbert.line_encoder import LineEncoder
from jamais.models.tone import Tone
from jamais.parsing.memo import LineMemo
from jamais.parsing.parser import TemplateParser
from jamais.parsing.slots import SlotTable
from jamais.persistence.faces.arrangement import Arrangement
from jamais.recipes.logs.answers.beliefs import Beliefs
from jamais.recipes.logs.answers.judgement import Judgement
from jamais.recipes.logs.answers.odds import AlarmLine
from jamais.recipes.logs.arrangement import arrangement
from jamais.recipes.logs.drift import Drifting, drift_in
from jamais.recipes.logs.events.lexicon import Lexicon, said
from jamais.recipes.logs.events.meaning import Meaning, Said
from jamais.recipes.logs.events.quarantine import Quarantine
from jamais.recipes.logs.events.surprise import Surprise, meaning_nats
from jamais.recipes.logs.facts import Facts
from jamais.recipes.logs.feedback import feed
from jamais.recipes.logs.questions import questions_about, questions_in_quarantine
from jamais.recipes.logs.reading.columns import Columns
from jamais.recipes.logs.reading.groups import Grouper
from jamais.recipes.logs.reading.learner import Learner
from jamais.recipes.logs.scorer import LogScorer
from jamais.recipes.logs.settings import LogSettings, window_size
from jamais.recipes.logs.units.lines import Lines
from jamais.recipes.logs.units.sessions import Sessions
from jamais.recipes.logs.units.unit import Origins, Unit
from jamais.recipes.logs.units.windows import Windows
from jamais.recipes.logs.updates.checks import guarded_answers
from jamais.recipes.logs.updates.data import learn_trusted, learn_unknown
from jamais.recipes.logs.verdicts import Verdicts
from jamais.settings import as_tree, override
from jamais.sources.assembler import RecordAssembler
from jamais.sources.formats.detect import Profile
from jamais.sources.reader import RecordReader, open_records
from jamais.types import (
    NO_TIME,
    CancelToken,
    DriftReport,
    Floats,
    LearnReport,
    Listener,
    MemoryRows,
    StateTree,
    silent,
)

if TYPE_CHECKING:
    import polars as pl

FEWEST_RECORDS = 100
FEWEST_CALIBRATION_ROWS = 3


class LogRecipe:
    """All that is known of some logs. Scoring reads it, learning makes a new one: it never changes in use."""

    kind = "logs"

    def __init__(self, settings: LogSettings, seed: int = 0) -> None:
        self.settings = settings
        self.seed = seed
        self.alarm_rate = settings.alarm_rate
        self.parser = TemplateParser(settings.parsing)
        self.slots = SlotTable(settings.parsing.slot_templates)
        self.unit = _unit(settings)
        self.calibration = Calibration()
        self.facts = Facts()
        self.said: list[str] = []
        self.confirmed = Beliefs(settings.feedback.wrong_share)
        self.quarantine = Quarantine()
        self._meaning: Meaning | None = None

    @classmethod
    def fit(
        cls,
        data: Any,
        settings: Mapping[str, Any],
        seed: int = 0,
        listener: Listener = silent,
        cancel: CancelToken | None = None,
    ) -> LogRecipe:
        """Learn from scratch what is normal in `data`."""
        recipe = cls(override(LogSettings(), settings), seed)
        with Learner(recipe.parser, recipe.slots, recipe.settings) as learner:
            learner.read(data, listener, cancel)
            recipe._check(learner)
            recipe._begin(learner, listener, cancel)
            recipe.take(learner, recipe.settings.calibration_share)
        recipe._check_rows()
        if recipe.settings.alarms_per_day is not None:
            recipe.alarm_rate = recipe.rate_for(recipe.settings.alarms_per_day)
        return recipe

    def _begin(self, learner: Learner, listener: Listener, cancel: CancelToken | None) -> None:
        """Train the encoder on all templates, and open an empty memory for its vectors."""
        counts = np.bincount(learner.columns().events, minlength=len(self.parser)).tolist()
        encoder = LineEncoder.train(
            self.parser.texts,
            counts,
            settings=self.settings.encoder,
            seed=self.seed,
            listener=listener,
            cancel=cancel,
        )
        memory = CoverMemory(self.settings.memory.capacity)
        asked = self.settings
        self._meaning = Meaning(encoder, memory, asked.severity, asked.memory.n_neighbors, asked.method)

    def _check(self, learner: Learner) -> None:
        """Raise InputError when the data that was read cannot be fitted on."""
        facts, window = learner.facts, self.settings.window
        if facts.records < FEWEST_RECORDS:
            raise InputError(f"{facts.records} records to fit on: give at least {FEWEST_RECORDS} of normal life")
        if window and window_size(window)[1] and facts.last_time == NO_TIME:
            raise InputError(f"window {window} needs times, found none: count lines instead, for example window 20")
        if self.settings.group_by and facts.counts.get("without_group", 0) == facts.records:
            raise InputError(f"group_by {self.settings.group_by!r} matches none of {facts.records:,} records")

    def _check_rows(self) -> None:
        """Raise InputError when there are too few rows to calibrate on."""
        if self.calibration.n_rows < FEWEST_CALIBRATION_ROWS:
            kind = "sessions" if self.settings.group_by else f"windows of {self.settings.window}"
            fewest = round(FEWEST_CALIBRATION_ROWS / self.settings.calibration_share)
            raise InputError(
                f"{self.facts.rows} {kind} to fit on: give at least {fewest}, or shorter windows, or no grouping"
            )

    def learned(
        self, data: Any, trust: str = "normal", listener: Listener = silent, cancel: CancelToken | None = None
    ) -> tuple[LogRecipe, LearnReport]:
        """Give a recipe that knows `data`, too, and what that would change; this one stays as it is."""
        new = self.copy()
        if trust == "normal":
            return new, learn_trusted(self, new, data, listener, cancel)
        return new, learn_unknown(self, new, data, listener, cancel)

    def fed(self, data: Any, labels: Any) -> tuple[LogRecipe, LearnReport]:
        """Give a recipe that knows a person's answers, too."""
        new = copy.copy(self)  # answers change nothing else
        new.confirmed, new.quarantine = self.confirmed.copy(), self.quarantine.copy()
        return new, guarded_answers(self, new, feed(self, new, data, labels))

    def questions(self, verdicts: Any) -> pl.DataFrame:
        """List the causes whose answer would settle most; of what waits in quarantine for None."""
        if verdicts is None:
            return questions_in_quarantine(self)
        return questions_about(self, verdicts)

    def scorer(self, idle: int | None = None) -> LogScorer:
        """Give what scores one stream of records; `idle` (microseconds) closes silent sessions."""
        lexicon = Lexicon(self.parser, self.confirmed.answers)
        surprise = Surprise(self.unit.rarity, self.meaning, lexicon, self.judgement())
        return LogScorer(
            lexicon,
            LineMemo(self.parser.masks, self.settings.parsing.memo_capacity),
            self.slots,
            Grouper(self.settings.group_by) if self.settings.group_by else None,
            self.unit.scorer(surprise, self._origins(), idle),
            Verdicts(self.calibration, self.alarm_rate, surprise),
        )

    def judgement(self) -> Judgement:
        """Give what answers of people make of things at the alarm rate."""
        line = AlarmLine(self.threshold(), self.confirmed.step)
        return Judgement(self.confirmed, line, self.settings.feedback, bool(self.settings.group_by))

    @property
    def meaning(self) -> Meaning:
        assert self._meaning is not None
        return self._meaning

    def batches(self, data: Any) -> RecordReader:
        """Open data for reading."""
        return open_records(data, options=self.settings.reading, expected=self.profile())

    def assembler(self) -> RecordAssembler:
        """Give what makes records of data that comes in pieces, in the format of the fit data."""
        return RecordAssembler(self.settings.reading, self.profile())

    def profile(self) -> Profile | None:
        """What reading found out about the format of the fit data."""
        return Profile.from_state(self.facts.profile) if self.facts.profile else None

    def n_templates(self) -> int:
        """Give the number of templates that did not turn out to be another one."""
        return len(np.unique(self.parser.canonical()))

    def with_alarm_rate(self, rate: float) -> LogRecipe:
        """Give the same recipe with another alarm rate."""
        new = copy.copy(self)
        new.alarm_rate = rate
        return new

    def meaning_of_rate(self) -> str:
        """Say what the alarm rate means for a person who gets the alarms."""
        return self.facts.meaning_of_rate(self.alarm_rate, self.calibration)

    def explain(self, data: Any) -> list[dict[str, Any]]:
        """Say of every record what it is, how rare, how far from all known ones and from which lines, and its share.

        `share` is the part of all surprise in `data` that is this record's: which event made a session abnormal.
        """
        scorer = self.scorer()
        events = [
            event
            for records in self.batches(data)
            for event in scorer.memo.codes(records.blob, records.raw, scorer.lexicon.resolver(records)).tolist()
        ]
        found = {event: scorer.verdicts.surprise.explain(event) for event in dict.fromkeys(events)}
        whole = sum(found[event]["nats"] for event in events)
        told = [{**found[event], "share": found[event]["nats"] / whole if whole > 0 else 0.0} for event in events]
        return told

    def map_rows(self) -> MemoryRows:
        """Give the vectors of known templates, of what waits in quarantine and of confirmed abnormal ones."""
        abnormal = {item for item, answer in self.confirmed.answers.items() if answer.abnormal}
        waiting = [one.text for one in self.quarantine.items.values()]
        return self.meaning.map_rows(self.parser.texts, [name in abnormal for name in self.parser.ids], waiting)

    def drifting(self) -> Drifting:
        """Give what follows the verdicts of one pass and says whether normal has moved."""
        return Drifting(self)

    def drift(self, verdicts: pl.DataFrame) -> DriftReport:
        """Test whether normal has moved in the verdicts of one `score`, and say what is new."""
        return drift_in(self, verdicts)

    def threshold(self) -> float:
        """Give the score from which a row is abnormal at the alarm rate."""
        return self.calibration.threshold(self.alarm_rate)

    def rate_for(self, alarms_per_day: float) -> float:
        """Give the alarm rate that makes so many alarms a day at the pace of the fit data."""
        pace = self.facts.rows_per_day()
        if pace is None:
            raise InputError("the fit data has no times to tell its pace: set alarm_rate instead of alarms_per_day")
        return min(0.5, alarms_per_day / pace)

    def take(self, learner: Learner, share: float) -> None:
        """Learn what a learner has read: vectors of new templates, then counts and calibration."""
        columns = learner.columns()
        canonical = self.parser.canonical()
        self.unit.fold(canonical)
        self.slots.fold(canonical.tolist())
        columns = replace(columns, events=canonical[columns.events].astype(np.int32))
        self._remember(columns, learner.facts)
        scores = self.unit.calibrate(columns, share, self._extra(), self._origins())
        self.calibration_of(scores)
        rows = len(scores) if share == 1.0 else round(len(scores) / share)
        self.facts = self.facts.joined(replace(learner.facts, rows=rows))
        self.said = list(dict.fromkeys([*self.said, *learner.said]))

    def calibration_of(self, scores: Floats) -> None:
        """Add the scores of more normal rows to the calibration."""
        fresh = Calibration()
        fresh.fit(scores)
        self.calibration.merge(fresh)

    def refresh(self, columns: Columns, facts: Facts) -> None:
        """Count more rows of known templates; no vector and no template is added."""
        if len(columns):
            self.calibration_of(self.unit.calibrate(columns, 1.0, self._extra(), self._origins()))
        self.facts = self.facts.joined(facts)

    def _remember(self, columns: Columns, facts: Facts) -> None:
        counts = np.bincount(columns.events, minlength=len(self.parser))
        known = set(self.meaning.owners.values())
        new = np.array([event for event in np.flatnonzero(counts).tolist() if event not in known], dtype=np.int64)
        texts = [said(self.parser.contexts[event], self.parser.texts[event]) for event in new]
        self.meaning.remember(texts, counts[new], new, facts.last_time)

    def _extra(self) -> Floats:
        """Give the nats `[n_templates]` that each template's meaning added while it was unseen."""
        return meaning_nats(self.meaning.known(self._said_by_all()))

    def _said_by_all(self) -> list[Said]:
        return [said(*pair) for pair in zip(self.parser.contexts, self.parser.texts, strict=True)]

    def _origins(self) -> Origins:
        return Origins.of(self.parser.contexts)

    def copy(self) -> LogRecipe:
        new = LogRecipe(self.settings, self.seed)
        for name in ("alarm_rate", "facts", "said"):
            setattr(new, name, copy.copy(getattr(self, name)))
        for name in ("parser", "slots", "unit", "calibration"):
            getattr(new, name).load_state_dict(copy.deepcopy(getattr(self, name).state_dict()))
        new.confirmed, new.quarantine = self.confirmed.copy(), self.quarantine.copy()
        new._meaning = self.meaning.copy()
        return new

    def reconcile(self) -> None:
        """Bring parts of different versions together; raise StateError when they cannot be."""
        counted, known = len(self.unit.rarity.counts), len(self.parser)
        if counted > known:
            raise StateError(
                f"{counted} templates are counted, this parser knows {known}: numbers would change their meaning; "
                "roll back the whole instead"
            )
        self.meaning.reconcile(known)

    def state_dict(self) -> StateTree:
        return {
            "settings": as_tree(self.settings),
            "seed": self.seed,
            "alarm_rate": self.alarm_rate,
            "facts": self.facts.tree(),
            "said": self.said,
            "parser": self.parser.state_dict(),
            "slots": self.slots.state_dict(),
            "unit": self.unit.state_dict(),
            "calibration": self.calibration.state_dict(),
            "confirmed": self.confirmed.state_dict(),
            "quarantine": self.quarantine.state_dict(),
            "meaning": self.meaning.state_dict(),
        }

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Say how a state of this class wants to be shown in a folder."""
        return arrangement(tree)

    @classmethod
    def from_state(cls, tree: StateTree) -> LogRecipe:
        """Become the recipe that was saved."""
        recipe = cls(override(LogSettings(), tree["settings"]), int(tree["seed"]))
        recipe.alarm_rate = float(tree["alarm_rate"])
        recipe.facts = Facts(**tree["facts"])
        recipe.said = list(tree["said"])
        for name in ("parser", "slots", "unit", "calibration", "confirmed", "quarantine"):
            getattr(recipe, name).load_state_dict(tree[name])
        settings = recipe.settings
        recipe._meaning = Meaning.from_state(
            tree["meaning"], settings.severity, settings.memory.n_neighbors, settings.method
        )
        if settings.severity and tree["meaning"]["tone_digest"] != Tone.shipped().digest:
            recipe.meaning.tune(recipe._said_by_all())
        return recipe


def _unit(settings: LogSettings) -> Unit:
    if settings.group_by:
        return Sessions(settings.sessions)
    return Windows(settings.window) if settings.window else Lines()
