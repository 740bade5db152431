"""The story of embeddings: what is learned from rows of numbers, and how it becomes verdicts."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais import registry
from jamais.detectors.calibration import Calibration
from jamais.errors import InputError, StateError
from jamais.learning.answers.answers import Answers
from jamais.learning.answers.waiting import Waiting
from jamais.memory.clusters import ClusterMemory
from jamais.memory.incoming import checked_rows
from jamais.recipes.embeddings.beginning import Beginning, new_clusters, new_detector
from jamais.recipes.embeddings.facts import Facts
from jamais.recipes.embeddings.settings import EmbeddingSettings
from jamais.recipes.embeddings.space import Space
from jamais.settings import as_tree, override
from jamais.sources.vectors import VectorReader, VectorSettings, open_vectors
from jamais.types import CancelToken, DriftReport, LearnReport, Listener, MemoryRows, StateTree, silent

if TYPE_CHECKING:
    import polars as pl

    from jamais.recipes.embeddings.drift import Drifting
    from jamais.recipes.embeddings.scorer import EmbeddingScorer, RowAssembler


class EmbeddingRecipe:
    """All that is known of some embeddings. Scoring reads it, learning makes a new one: it never changes in use.

    A detector over a memory of normal rows says what is abnormal, a memory of clusters what a row belongs to.
    """

    kind = "embeddings"

    def __init__(self, settings: EmbeddingSettings, seed: int = 0) -> None:
        self.settings = settings
        self.seed = seed
        self.alarm_rate = settings.alarm_rate
        self.space = Space(settings.metric)
        self.detector: Any = new_detector(settings, seed)
        self.clusters: ClusterMemory = new_clusters(settings.clusters, seed)
        self.novelty = Calibration()
        """Of the distances of known rows to the clusters."""
        self.reach = 0.0
        """Up to this distance alarms are of one cause."""
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
    ) -> EmbeddingRecipe:
        """Learn from scratch what is normal in `data`, rows [n, width].

        `settings["labels"]` may hold the first clusters of the rows, [n], where `data` is an array.
        """
        given = dict(settings)
        labels = given.pop("labels", None)
        recipe = cls(override(EmbeddingSettings(), given), seed)
        options = recipe.settings.reading
        if labels is not None:
            if not hasattr(data, "shape"):
                raise InputError("labels= goes with an array of rows: in files, name the column with label_column")
            data, options = {"rows": data, "labels": np.asarray(labels)}, VectorSettings("rows", (), "labels")
        beginning = Beginning(recipe)
        beginning.read(open_vectors(data, checked_rows, options, labelled=True), listener, cancel)
        beginning.begin(listener)
        recipe.answers = Answers(recipe.settings.answers, recipe.width, recipe.reach)
        recipe.waiting = Waiting(recipe.width, recipe.settings.answers.causes)
        return recipe

    def learned(
        self, data: Any, trust: str = "normal", listener: Listener = silent, cancel: CancelToken | None = None
    ) -> tuple[EmbeddingRecipe, LearnReport]:
        """Give a recipe that knows `data`, too, and what that would change; this one stays as it is."""
        from jamais.recipes.embeddings.updates import learn_trusted, learn_unknown

        new = self.copy()
        learn = learn_trusted if trust == "normal" else learn_unknown
        return new, learn(self, new, data, listener, cancel)

    def fed(self, data: Any, labels: Any) -> tuple[EmbeddingRecipe, LearnReport]:
        """Give a recipe that knows a person's answers, too."""
        from jamais.recipes.embeddings.feedback import feed

        new = self.copy()
        return new, feed(self, new, data, labels)

    def scorer(self, idle: int | None = None) -> EmbeddingScorer:
        """Give what scores one stream of rows."""
        from jamais.recipes.embeddings.scorer import EmbeddingScorer

        return EmbeddingScorer(self)

    def batches(self, data: Any) -> VectorReader:
        """Open data for reading; tables are read by the names of the columns that were fitted."""
        options = self.settings.reading
        if self.facts.columns and not options.columns:
            options = override(options, {"columns": self.facts.columns, "array": None})
        return open_vectors(data, checked_rows, options, self.width)

    def assembler(self) -> RowAssembler:
        """Give what makes blocks of rows that come in pieces."""
        from jamais.recipes.embeddings.scorer import RowAssembler

        return RowAssembler(self)

    @property
    def width(self) -> int:
        """Numbers in a row; 0 before `fit`."""
        return int(self.detector.memory.width or 0)

    def with_alarm_rate(self, rate: float) -> EmbeddingRecipe:
        """Give the same recipe with another alarm rate."""
        new = copy.copy(self)
        new.alarm_rate = rate
        return new

    def meaning_of_rate(self) -> str:
        """Say what the alarm rate means for a person who gets the alarms."""
        return self.facts.meaning_of_rate(self.alarm_rate, self.detector.calibration())

    def threshold(self) -> float:
        """Give the score from which a row is abnormal at the alarm rate."""
        return float(self.detector.calibration().threshold(self.alarm_rate))

    def rate_for(self, alarms_per_day: float) -> float:
        """Raise InputError: embeddings carry no times."""
        raise InputError("embeddings carry no times to tell their pace: set alarm_rate instead of alarms_per_day")

    def explain(self, data: Any) -> list[dict[str, Any]]:
        """Say of each row how unlike what is known it is, what it is nearest to, and which columns make it far."""
        from jamais.recipes.embeddings.verdicts import judged
        from jamais.recipes.embeddings.words import Words

        words = Words(self)
        return [one for block in self.batches(data) for one in words.explain(judged(self, block.rows))]

    def questions(self, verdicts: pl.DataFrame | None) -> pl.DataFrame:
        """List the causes whose answer would settle most; what waits in quarantine, or is not settled, for None."""
        from jamais.learning.answers.questions import questions

        return questions(self.answers, self.waiting, verdicts)

    def drift(self, verdicts: pl.DataFrame) -> DriftReport:
        """Test whether normal has moved, and say which clusters grew and which columns shifted."""
        from jamais.recipes.embeddings.drift import drift_in

        return drift_in(self, verdicts)

    def drifting(self) -> Drifting:
        """Give what follows the verdicts of one pass, to say whether normal has moved."""
        from jamais.recipes.embeddings.drift import Drifting

        return Drifting(self)

    def map_rows(self) -> MemoryRows:
        """Give what is remembered, to be drawn: normal rows with their clusters, incidents, what waits."""
        memory = self.detector.memory
        parts = (memory.rows, memory.abnormal.rows, memory.quarantine.rows)
        kinds = [kind for kind, rows in zip(("normal", "abnormal", "waiting"), parts, strict=True) for _ in rows]
        rows = np.concatenate([part.reshape(-1, self.width) for part in parts])
        labels = self.clusters.assign(rows).labels
        labels[len(memory.rows) :] = -1
        ids = [*memory.ids.tolist(), *memory.abnormal.ids.tolist(), *memory.quarantine.ids.tolist()]
        sources = [*memory.normal.sources, *memory.abnormal.sources, *memory.quarantine.sources]
        texts = tuple(f"row {one}, {source or 'no source'}" for one, source in zip(ids, sources, strict=True))
        return MemoryRows(rows, labels, tuple(kinds), texts)

    def copy(self) -> EmbeddingRecipe:
        """Give a recipe that goes on by itself."""
        new = copy.copy(self)
        new.detector = copy.deepcopy(self.detector)
        new.clusters = self.clusters.copy()
        new.answers, new.waiting = self.answers.copy(), self.waiting.copy()
        new.said = list(self.said)
        return new

    def reconcile(self) -> None:
        """Raise StateError where parts of different versions do not belong together."""
        widths = {
            "detector": self.width,
            "clusters": int(self.clusters.width or 0),
            "answers": self.answers.width,
            "waiting": self.waiting.width,
            "space": self.width if self.space.mean is None else len(self.space.mean),
        }
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise StateError(f"parts hold rows of several widths ({told}): roll back the whole instead")

    def state_dict(self) -> StateTree:
        return {
            "settings": as_tree(self.settings),
            "seed": self.seed,
            "alarm_rate": self.alarm_rate,
            "facts": self.facts.tree(),
            "said": list(self.said),
            "space": self.space.state_dict(),
            "detector": self.detector.state_dict(),
            "clusters": self.clusters.state_dict(),
            "novelty": self.novelty.state_dict(),
            "reach": self.reach,
            "answers": self.answers.state_dict(),
            "waiting": self.waiting.state_dict(),
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> EmbeddingRecipe:
        """Become the recipe that was saved."""
        recipe = cls(override(EmbeddingSettings(), tree["settings"]), int(tree["seed"]))
        recipe.alarm_rate = float(tree["alarm_rate"])
        recipe.facts = Facts.of_tree(tree["facts"])
        recipe.said = list(tree["said"])
        recipe.space = Space.from_state(tree["space"])
        recipe.detector = registry.find(recipe.settings.method)()
        recipe.detector.load_state_dict(tree["detector"])
        recipe.clusters.load_state_dict(tree["clusters"])
        recipe.novelty = _calibration(tree["novelty"])
        recipe.reach = float(tree["reach"])
        recipe.answers = Answers(recipe.settings.answers, recipe.width, recipe.reach)
        recipe.answers.load_state_dict(tree["answers"])
        recipe.waiting = Waiting(recipe.width, recipe.settings.answers.causes)
        recipe.waiting.load_state_dict(tree["waiting"])
        recipe.reconcile()
        return recipe


def _calibration(tree: StateTree) -> Calibration:
    made = Calibration()
    made.load_state_dict(tree)
    return Calibration.of(np.repeat(made.values, made.weights.astype(np.int64)))
