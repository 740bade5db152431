"""What is said of a row to a person: why it alarms, what it is near to, which columns make it far?"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from jamais.memory.nearest import NearestRows
from jamais.types import Ints

if TYPE_CHECKING:
    from jamais.recipes.embeddings.recipe import EmbeddingRecipe
    from jamais.recipes.embeddings.verdicts import Judged

_DISTANCES = ("knn",)
"""Methods whose score is a distance, so that one may be told as a multiple of another."""


class Words:
    """Puts into words what a recipe knows."""

    def __init__(self, recipe: EmbeddingRecipe) -> None:
        self.recipe = recipe

    def why(self, of: Judged, alarms: Ints) -> list[str]:
        """Say why the rows `alarms` [m] alarm."""
        if not len(alarms):
            return []
        recipe = self.recipe
        places = of.places[alarms]
        to_normal, slots = recipe.detector.memory.index().nearest(places, 1)
        ids = recipe.detector.memory.ids[slots[:, 0]].tolist()
        clusters = self._exemplars[1][self._exemplars[0].nearest(places, 1)[1][:, 0]].tolist()
        incidents = self._incidents(of, alarms, to_normal[:, 0])
        told = []
        for at, row in enumerate(alarms.tolist()):
            if incidents[at]:
                told.append(incidents[at])
                continue
            where = f"in cluster {of.cluster[row]} but far out" if of.cluster[row] >= 0 else self._far_from
            near = f"nearest is remembered row {ids[at]}" + (f" of cluster {clusters[at]}" if clusters[at] >= 0 else "")
            told.append(f"{where}: {self._how_far(float(of.score[row]), float(of.p_value[row]))}; {near}")
        return told

    def answered(self, cause: str) -> str:
        """Say what was answered about a cause that does not alarm for it."""
        answer = self.recipe.answers.by_cause[cause]
        sure = "" if answer.settled(self.recipe.settings.answers) else ", one more answer would settle it"
        return f"like what was answered normal on {day(answer.when)}{sure}"

    def explain(self, of: Judged) -> list[dict[str, Any]]:
        """Give all that is known of each row, as JSON values."""
        recipe = self.recipe
        alarms = np.flatnonzero(of.abnormal)
        why = dict(zip(alarms.tolist(), self.why(of, alarms), strict=True))
        names = recipe.facts.columns
        return [
            {
                "item": of.items[row],
                "score": reason.score if row not in of.answered else float(of.score[row]),
                "p_value": float(of.p_value[row]),
                "abnormal": bool(of.abnormal[row]),
                "cluster": int(of.cluster[row]),
                "novel": bool(of.novel[row]),
                "why": why.get(row, "") or (self.answered(of.answered[row]) if row in of.answered else ""),
                "nearest": [
                    {"id": one.id, "distance": one.distance, "stands_for": one.count, "source": one.source}
                    for one in reason.nearest
                ],
                "columns": [
                    {"column": names[at] if at < len(names) else at, "share": share} for at, share in reason.features
                ],
                "incident": None if reason.nearest_abnormal is None else self._incident(reason.nearest_abnormal.source),
                **({"members": reason.details["members"]} if "members" in reason.details else {}),
            }
            for row, reason in enumerate(recipe.detector.explain(of.places))
        ]

    @property
    def _far_from(self) -> str:
        n = self.recipe.clusters.n_clusters
        return f"far from all {n:,} clusters" if n > 1 else "far from what is known"

    def _how_far(self, score: float, p_value: float) -> str:
        threshold = self.recipe.threshold()
        if self.recipe.settings.method in _DISTANCES and threshold > 0:
            return f"{score / threshold:.2f} × the distance that {self.recipe.alarm_rate:.2g} of known rows reach"
        return f"one in {1 / max(p_value, 1e-300):,.3g} known rows is so unlike the others"

    @cached_property
    def _exemplars(self) -> tuple[NearestRows, Ints]:
        return NearestRows(self.recipe.clusters.rows), self.recipe.clusters.labels

    def _incidents(self, of: Judged, alarms: Ints, to_normal: Any) -> list[str]:
        """Say of each alarm [m] which confirmed incident it is like, "" where none is nearer than normal rows."""
        kept = self.recipe.detector.memory.abnormal
        if not len(kept):
            return [""] * len(alarms)
        distances, slots = NearestRows(kept.rows).nearest(of.places[alarms], 1)
        sources = kept.sources
        return [
            self._like(sources[slot]) if distance < normal else ""
            for slot, distance, normal in zip(slots[:, 0].tolist(), distances[:, 0].tolist(), to_normal, strict=True)
        ]

    def _like(self, cause: str) -> str:
        incident = self._incident(cause)
        when = "" if incident["when"] is None else f" of {incident['when']}"
        return f"like the incident{when} confirmed abnormal (cause {incident['cause']})"

    def _incident(self, cause: str) -> dict[str, Any]:
        answer = self.recipe.answers.by_cause.get(cause)
        if answer is None:
            return {"cause": cause, "when": None, "why": "", "answers": 0}
        return {"cause": cause, "when": day(answer.when), "why": answer.why, "answers": answer.given}


def day(when: int) -> str:
    """Write a time as the day it was on, UTC."""
    return f"{datetime.fromtimestamp(when / 1e6, UTC):%Y-%m-%d}"
