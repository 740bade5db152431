"""What is deep embedded clustering to its user: fit it, ask it, let it learn on, save it?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jamais.errors import InputError, NotReadyError, ShapeMismatchError, StateError
from jamais.learning.dec.batches import Shuffled, checked_rows
from jamais.learning.dec.fitting import ClusteringSettings, Graph, train_clusters
from jamais.learning.dec.importance import compute_fisher
from jamais.learning.dec.neighbours import nearest_rows
from jamais.learning.dec.reconstructing import ReconstructionSettings, pretrain_autoencoder, unit_scale
from jamais.learning.dec.targets import target_distribution
from jamais.learning.threads import cpu_threads
from jamais.models.dec import state
from jamais.models.dec.autoencoder import Autoencoder, Encoder
from jamais.models.dec.config import DECConfig, read_config
from jamais.models.dec.dynamic import DynamicClusteringLayer
from jamais.models.dec.exemplars import ClusterExemplars
from jamais.models.dec.starting import first_labels, means_of
from jamais.persistence import load_model_binary, save_model_binary
from jamais.persistence.faces.arrangement import Arrangement
from jamais.types import CancelToken, Ints, LearnReport, Listener, StateTree, Vectors, silent

BEST = "best_model.bin"
_BLOCK = 64  # rows that go through the encoder together, always: a product of another shape rounds differently
_WAITING = 2_000  # rows that wait to become a group; the newest stay


class DEC(nn.Module):
    """Deep embedded clustering (Xie et al. 2016) with IDEC's reconstruction, that learns on without forgetting.

        model = DEC({"dims": [64, 128, 10], "n_clusters": 10})
        labels = model.fit(X)
        online_update(model, new_rows)

    `config` has the keys of `DECConfig`. All chance comes from its seed. Raise `SettingsError` for an unknown key.
    """

    def __init__(self, config: DECConfig | Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.config: DECConfig = read_config(config)
        self._saves: bool = isinstance(config, DECConfig | Mapping) and _names_save_dir(config)
        self.autoencoder: Autoencoder = Autoencoder(self.config.dims, seed=self.config.seed)
        self.clustering: DynamicClusteringLayer = state.new_layer(self.config, self.config.n_clusters)
        self.exemplars: ClusterExemplars = state.new_exemplars(self.config)
        self.pending: Vectors = np.empty((0, self.config.width), dtype=np.float32)
        """Rows [m, width] far from every cluster, that wait until they are a group."""
        self.progress: state.Progress = state.Progress()
        self.last_report: LearnReport | None = None
        """What the last online update of this object did; `progress.events` has what is kept."""

    @property
    def encoder(self) -> Encoder:
        """The part that makes latents; it is registered once, inside the autoencoder."""
        return self.autoencoder.encoder

    @property
    def n_clusters(self) -> int:
        """How many clusters there are by now."""
        return self.clustering.n_clusters

    @property
    def width(self) -> int:
        """Width of the rows."""
        return self.config.width

    @property
    def n_updates(self) -> int:
        """Online updates that were accepted."""
        return self.progress.updates

    def forward(self, x: Tensor) -> Tensor:
        """Return the soft assignments q [n, n_clusters] of rows [n, width]."""
        q: Tensor = self.clustering(self.encoder(x))
        return q

    def target_distribution(self, q: Tensor) -> Tensor:
        """Sharpen the assignments q [n, k] of a whole data set; each row sums to 1."""
        return target_distribution(q)

    def pretrain(
        self, loader: Iterable[Any], *, on_event: Listener = silent, cancel: CancelToken | None = None
    ) -> list[float]:
        """Train the autoencoder on what `loader` gives for `pretrain_epochs`; return the loss of each.

        Batches are x, (x, y) or (index, x). After any error the model is what it was.
        """
        with self._all_or_nothing(), cpu_threads(self.config.threads):
            return self._pretrain(loader, on_event, cancel)

    def fit(
        self,
        X: Any,
        y_true: Any = None,
        *,
        on_event: Listener = silent,
        cancel: CancelToken | None = None,
    ) -> Ints:
        """Learn rows [n, width] from scratch; return their labels [n].

        `y_true` [n] is for showing ACC, NMI and ARI in the events, and changes nothing else. The best model is kept,
        and saved in `save_dir` when the config names one. After any error or `Cancelled` the model is what it was.
        Raise `InputError` for fewer rows than clusters or rows that are not finite, `ShapeMismatchError` for others.
        """
        rows, classes = self._fit_for_fitting(X, y_true)
        with self._all_or_nothing(), cpu_threads(self.config.threads):
            self._take_over(DEC(dataclasses.replace(self.config)).to(self._device))
            batches = Shuffled(rows, self.config.batch_size, self.config.seed)
            self._pretrain(batches, on_event, cancel)
            labels = self._cluster(rows, classes, on_event, cancel)
            if self._saves:
                self.save()
        return labels

    def cluster(
        self,
        X: Any,
        y_true: Any = None,
        *,
        on_event: Listener = silent,
        cancel: CancelToken | None = None,
    ) -> Ints:
        """Find clusters with the autoencoder as it is: what `fit` does after `pretrain`."""
        rows, classes = self._fit_for_fitting(X, y_true)
        with self._all_or_nothing(), cpu_threads(self.config.threads):
            labels = self._cluster(rows, classes, on_event, cancel)
            if self._saves:
                self.save()
        return labels

    def predict(self, X: Any) -> Ints:
        """Return the cluster [n] of each of the rows [n, width]; a row's answer does not depend on the others."""
        return self.clustering.nearest(self.encode(X))

    def recognise(self, X: Any) -> Ints:
        """Return the cluster [n] of each of the rows, or -1 for one farther out than that cluster's own rows."""
        return self.clustering.recognise(self.encode(X))

    def encode(self, X: Any) -> Vectors:
        """Return the latents [n, latent width] of rows [n, width]; in blocks of one size: neighbours do not count."""
        rows = checked_rows(X, self.width)
        latents = np.empty((len(rows), self.config.latent_width), dtype=np.float32)
        block = np.zeros((_BLOCK, self.width), dtype=np.float32)
        with torch.no_grad(), cpu_threads(1):
            for start in range(0, len(rows), _BLOCK):
                part = rows[start : start + _BLOCK]
                block[: len(part)] = part
                made = self.encoder(torch.from_numpy(block).to(self._device)).cpu().numpy()
                latents[start : start + _BLOCK] = made[: len(part)]
        return latents

    def legacy_loader(self, batch_size: int = 256) -> list[tuple[Tensor, Tensor]]:
        """Give the remembered rows and their labels in batches: the legacy data of seed 002's notebook.

        Raise `NotReadyError` before the first `fit`.
        """
        if not len(self.exemplars):
            raise NotReadyError("there are no remembered rows yet: fit the model first")
        rows, labels = torch.from_numpy(self.exemplars.rows), torch.from_numpy(self.exemplars.labels)
        return list(zip(torch.split(rows, batch_size), torch.split(labels, batch_size), strict=True))

    def adopt(self, layer: DynamicClusteringLayer, rows: Vectors, labels: Ints, report: LearnReport) -> None:
        """Take over what an online update made: its layer, and rows [n, width] with labels [n], -1 where they wait."""
        exemplars = self.exemplars.copy()
        exemplars.remember(rows[labels >= 0], labels[labels >= 0], layer.n_clusters)
        progress = self.progress.updated(report.events)
        self.clustering, self.exemplars, self.progress = layer, exemplars, progress
        self.pending, self.last_report = rows[labels < 0][-_WAITING:].copy(), report

    def save(self, save_dir: str | Path | None = None) -> Path:
        """Save all of the model in a folder, else in the config's `save_dir`; return the path of the file."""
        path = Path(self.config.save_dir if save_dir is None else save_dir) / BEST
        save_model_binary(self, path)
        return path

    def to_state(self) -> StateTree:
        """Copy all that is needed to go on exactly; no path of this machine is in it."""
        return state.tree_of(self)

    @classmethod
    def from_state(cls, tree: StateTree) -> DEC:
        """Make the model of a state; raise `CorruptStateError` naming what does not fit."""
        parts = state.read(tree)
        made = cls(parts.config)
        made._saves = False  # where it came from is not a place to write to
        made.load_state_dict(parts.tensors)
        made.exemplars, made.pending, made.progress = parts.exemplars, parts.pending, parts.progress
        made.eval()
        return made

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Show the weights where other libraries look for them."""
        return state.arrangement(tree)

    @property
    def _device(self) -> torch.device:
        return self.clustering.clusters.device

    def _pretrain(self, loader: Iterable[Any], on_event: Listener, cancel: CancelToken | None) -> list[float]:
        config = self.config
        if not self.progress.pretrained:
            scale = unit_scale(loader) if config.input_scale is None else config.input_scale
            self.encoder.scale.fill_(scale)
        plan = ReconstructionSettings(config.pretrain_epochs, config.pretrain_lr, config.noise)
        generator = torch.Generator().manual_seed(config.seed + self.progress.pretrained)
        losses = pretrain_autoencoder(self.autoencoder, loader, plan, generator, on_event=on_event, cancel=cancel)
        self.progress = self.progress.after_pretraining(losses)
        return losses

    def _cluster(self, rows: Vectors, classes: Ints | None, on_event: Listener, cancel: CancelToken | None) -> Ints:
        config = self.config
        self.eval()
        latents = self.encode(rows)
        neighbours = nearest_rows(rows, config.neighbours) if config.neighbours else None
        labels = first_labels(latents, neighbours, config)
        self.clustering.place(torch.from_numpy(means_of(latents, labels)).to(self.clustering.clusters))
        names = [field.name for field in dataclasses.fields(ClusteringSettings)]
        plan = ClusteringSettings(**{name: getattr(config, name) for name in names})
        graph = None if neighbours is None else Graph(labels, torch.from_numpy(neighbours), config.smoothing)
        given = torch.from_numpy(rows).to(self._device)
        train_clusters(self, given, plan, graph=graph, classes=classes, on_event=on_event, cancel=cancel)
        return self._remember(rows)

    def _remember(self, rows: Vectors) -> Ints:
        """Keep what online updates need: exemplars, reach, anchors, importance. Return the labels."""
        latents = self.encode(rows)
        labels = self.clustering.nearest(latents)
        self.exemplars = state.new_exemplars(self.config)
        self.exemplars.remember(rows, labels, self.n_clusters)
        self.pending = self.pending[:0]
        if self.config.expansion_threshold is None:
            self.clustering.calibrate(latents, labels)
        self.clustering.anchors.copy_(self.clustering.clusters.detach())
        self.clustering.fisher.copy_(compute_fisher(self, self.legacy_loader(), samples=len(self.exemplars)))
        return labels

    def _fit_for_fitting(self, X: Any, y_true: Any) -> tuple[Vectors, Ints | None]:
        rows = checked_rows(X, self.width, "X")
        if len(rows) < self.config.n_clusters:
            raise InputError(
                f"X: {len(rows):,} rows cannot make n_clusters={self.config.n_clusters}: give more rows, or set fewer"
            )
        if y_true is None:
            return rows, None
        classes: Ints = np.asarray(y_true)
        if classes.shape != (len(rows),):
            raise ShapeMismatchError(f"y_true: wanted one class for each of {len(rows):,} rows, got {classes.shape}")
        return rows, classes

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        before, place = self.to_state(), self._device
        try:
            yield
        except BaseException:
            self._take_over(DEC.from_state(before).to(place))
            raise

    def _take_over(self, other: DEC) -> None:
        """Become what `other` is, in the modules that a caller may already hold."""
        self.load_state_dict(other.state_dict())
        self.exemplars, self.pending, self.progress = other.exemplars, other.pending, other.progress


def load_dec_model(config: DECConfig | Mapping[str, Any] | None, device: torch.device | str = "cpu") -> DEC:
    """Load the model that lies in `config["save_dir"]`, in evaluation mode.

    The sizes are those it was saved with; the other settings, too. Raise `InputError` when there is none, `StateError`
    when the config names other `dims`, and `CorruptStateError` for a damaged one.
    """
    wanted = read_config(config)
    path = Path(wanted.save_dir) / BEST
    model = load_model_binary(path)
    if not isinstance(model, DEC):
        raise StateError(f"{path} holds a {type(model).__name__}, not a DEC: name another save_dir")
    if isinstance(config, Mapping) and "dims" in config and wanted.dims != model.config.dims:
        raise StateError(
            f"{path} has dims {list(model.config.dims)}, the config says {list(wanted.dims)}: give its own"
        )
    model.config = dataclasses.replace(model.config, save_dir=wanted.save_dir)
    return model.to(device)


def _names_save_dir(config: DECConfig | Mapping[str, Any]) -> bool:
    if isinstance(config, DECConfig):
        return config.save_dir != DECConfig().save_dir
    return "save_dir" in config
