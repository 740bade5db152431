"""How badly is a row reconstructed by what has only seen normal rows?

The score is the root mean squared error of the row's columns: by a PCA of the remembered rows, or by any model
that is given. A model that offers a loss instead is taken at its word.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jamais.detectors.detector import Detector
from jamais.detectors.reconstruction.held_out import fold_weights, folds_of, holds_out, n_folds, training_weights
from jamais.detectors.reconstruction.moments import Moments
from jamais.detectors.reconstruction.outside import HasLoss, Reconstructs, errors, losses
from jamais.detectors.reconstruction.pca import Pca
from jamais.errors import CorruptStateError, NotReadyError, SettingsError
from jamais.memory.feature_memory import FeatureMemory, RowMemory
from jamais.types import Floats, Ints, StateTree, Vectors

_EXTERNAL = "external"
_GROWTH = 2.0  # of the rows learned since they were last summed up from scratch


class Reconstruction(Detector):
    """Score rows by the error of a reconstruction.

    `model` None or "pca": a probabilistic PCA of the remembered rows, which follows them as they change. Otherwise
    an object with `reconstruct(rows) -> rows` or `reconstruction_loss(rows) -> [n]`, which is only asked, never
    trained, and fed row by row. Its p-values hold if it was not trained on the rows remembered here.

    An object is not part of the state: `settings()` calls it "external", `load_state_dict` keeps the one that is
    there, and where none is, scoring raises `NotReadyError` until `model` is set.
    """

    def __init__(
        self,
        model: Reconstructs | HasLoss | str | None = None,
        contamination: float = 0.1,
        memory: FeatureMemory | RowMemory | int | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(contamination, memory)
        self.random_state = int(random_state)
        self._kind: str | None = _kind_of(model)
        self._outside: Any = None if model is None or isinstance(model, str) else model
        self.fewest_rows = 1 if self._kind == _EXTERNAL else 2
        self._moments: Moments | None = None
        self._pca: Pca | None = None  # of the moments; None until it is asked for
        self._folds: tuple[int, list[Pca]] | None = None  # at `memory.changes`
        self._ids: Ints = np.empty(0, np.int64)
        self._weights: Floats = np.empty(0)  # of the exemplars with these ids in the moments
        self._mass_at_refit = 0.0

    @property
    def model(self) -> Any:
        """What reconstructs: None or "pca" for its own, else the object, or "external" where that is missing."""
        if self._kind == _EXTERNAL:
            return _EXTERNAL if self._outside is None else self._outside
        return self._kind

    @model.setter
    def model(self, model: Reconstructs | HasLoss) -> None:
        if self._kind != _EXTERNAL or _kind_of(model) != _EXTERNAL or isinstance(model, str):
            raise SettingsError("model can only be set to an object, where an external one is missing or replaced")
        self._outside = model
        self._learned += 1  # scores are others now

    def settings(self) -> dict[str, Any]:
        return {"model": self._kind, "contamination": self.contamination, "random_state": self.random_state}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name; the model as the object it is."""
        return {**self.settings(), "model": self.model}

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the detector of a state, but keep the model given from outside, if there is one."""
        outside = self._outside
        super().load_state_dict(tree)
        if self._kind == _EXTERNAL:
            self._outside = outside

    @property
    def n_components_(self) -> int:
        """Directions that its own PCA keeps."""
        self._need_fit()
        self._up_to_date()
        return len(self._own().kept)

    # Learning

    def _refit(self) -> None:
        if self._kind == _EXTERNAL:
            return
        self._weights, self._ids = training_weights(self.memory), self.memory.ids
        self._moments = Moments.of(self.memory.rows, self._weights)
        self._mass_at_refit = self._moments.mass
        self._pca = None

    def _follow(self) -> None:
        """Add what the weights of the rows have changed by; start anew if rows are gone, or have doubled."""
        if self._kind == _EXTERNAL:
            return
        ids, weights = self.memory.ids, training_weights(self.memory)
        before = np.zeros(len(ids))
        known = np.isin(self._ids, ids)
        before[np.searchsorted(ids, self._ids[known])] = self._weights[known]
        mass = float(weights.sum())
        steady = self._mass_at_refit / _GROWTH < mass < self._mass_at_refit * _GROWTH
        if self._moments is None or not steady or (self._weights[~known] > 0).any():
            self._refit()
            return
        changed = np.flatnonzero(weights != before)
        if len(changed):
            self._moments = self._moments.plus(self.memory.rows[changed], (weights - before)[changed])
            self._pca = None
        self._ids, self._weights = ids, weights

    def _own(self) -> Pca:
        if self._pca is None:
            assert self._moments is not None, "scored before the first refit"
            self._pca = Pca.of(self._moments)
        return self._pca

    # Scoring

    def _scores(self, rows: Vectors) -> Floats:
        if self._kind != _EXTERNAL:
            return _root_mean_square(self._own().errors(rows))
        model = self._present()
        if isinstance(model, Reconstructs):
            return _root_mean_square(errors(model, rows))
        return losses(model, rows)

    def _unseen_scores(self, rows: Vectors) -> Floats:
        if self._kind == _EXTERNAL or holds_out(self.memory):
            return self._scores(rows)
        scores = self._scores(rows)
        folds = folds_of(self.memory, rows)
        for fold, model in enumerate(self._fold_models()):
            own = folds == fold
            scores[own] = _root_mean_square(model.errors(rows[own]))
        return scores

    def _fold_models(self) -> list[Pca]:
        """Give models that have learned all rows but those of one fold each; made once per change."""
        if self._folds is None or self._folds[0] != self.memory.changes:
            weights = [fold_weights(self.memory, fold) for fold in range(n_folds(self.memory))]
            # A fold that holds all rows leaves none to learn from: its rows are judged by the model of all.
            models = [Pca.of(Moments.of(self.memory.rows, one)) if one.any() else self._own() for one in weights]
            self._folds = (self.memory.changes, models)
        return self._folds[1]

    def _shares(self, rows: Vectors, nearest: Vectors) -> Floats:
        """Squared error of each column; a model that only has a loss leaves it at the nearest remembered row."""
        if self._kind != _EXTERNAL:
            return np.asarray(self._own().errors(rows) ** 2, dtype=np.float64)
        model = self._present()
        if isinstance(model, Reconstructs):
            return np.asarray(errors(model, rows) ** 2, dtype=np.float64)
        return super()._shares(rows, nearest)

    def _present(self) -> Reconstructs | HasLoss:
        if self._outside is None:
            raise NotReadyError("the model of this Reconstruction is not part of its state: set .model to the object")
        found: Reconstructs | HasLoss = self._outside
        return found

    # Saving

    def _engine_state(self) -> StateTree:
        if self._kind == _EXTERNAL:
            return {}
        assert self._moments is not None, "saved before the first refit"
        # The PCA is saved beside what it comes from: eigenvectors of another library might differ in the last bits.
        return {"moments": self._moments.state(), "pca": self._own().state(), "mass_at_refit": self._mass_at_refit}

    def _load_engine(self, tree: StateTree) -> None:
        if self._kind == _EXTERNAL:
            return
        width = int(self.memory.width or 0)
        self._moments = Moments.of_state(tree["moments"], width)
        self._pca = Pca.of_state(tree["pca"], width)
        self._mass_at_refit = float(tree["mass_at_refit"])
        if not (np.isfinite(self._mass_at_refit) and self._mass_at_refit > 0):
            raise CorruptStateError(f"reconstruction.mass_at_refit: {self._mass_at_refit}, wanted a number above 0")
        self._ids, self._weights = self.memory.ids, training_weights(self.memory)


def _kind_of(model: object) -> str | None:
    if model is None or (isinstance(model, str) and model in ("pca", _EXTERNAL)):
        return model
    if isinstance(model, Reconstructs | HasLoss) and not isinstance(model, type):
        return _EXTERNAL
    wanted = "None, 'pca' or an object with reconstruct() or reconstruction_loss()"
    raise SettingsError(f"Reconstruction wants as model {wanted}, got {model!r}")


def _root_mean_square(missed: Floats) -> Floats:
    return np.asarray(np.sqrt(np.add.reduce(missed * missed, axis=1) / missed.shape[1]), dtype=np.float64)
