"""What is MEMTO to its user: rebuild windows, train in three steps, score, save?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from jamais.errors import ShapeMismatchError
from jamais.learning.memto import (
    initialize_memory_with_kmeans,
    phase1_initial_training,
    phase2_full_training,
)
from jamais.models.memto import scoring, state
from jamais.models.memto.config import MEMTOConfig, read_config
from jamais.models.memto.decoder import WeakDecoder
from jamais.models.memto.encoder import Encoder
from jamais.models.memto.loss import MEMTOLoss
from jamais.models.memto.memory import GatedMemory, MemoryHealth
from jamais.persistence.faces.arrangement import Arrangement
from jamais.types import CancelToken, Floats, Listener, StateTree, Vectors, silent


class MEMTO(nn.Module):
    """A memory-guided Transformer for series (Song et al., NeurIPS 2023, arXiv 2312.02530), reimplemented.

        model = MEMTO(n_features=3)
        model.fit(loader)                         # or the three phases of jamais.learning, one by one
        scores = model.score_series(values)       # [T, 3] -> [T]

    Only `training_pass` writes the memory; forward and all scoring leave the state as it is, byte for byte. The
    settings are those of `MEMTOConfig`; all chance comes from `seed`. Raise `SettingsError` for nonsense.
    """

    def __init__(
        self,
        n_features: int,
        latent_dim: int = 64,
        n_heads: int = 4,
        n_layers: int = 3,
        num_memory_items: int = 10,
        *,
        d_ff: int = 256,
        temperature: float = 0.1,
        window: int = 100,
        seed: int = 0,
    ) -> None:
        super().__init__()
        config = MEMTOConfig(
            n_features,
            latent_dim,
            n_heads,
            n_layers,
            num_memory_items,
            d_ff=d_ff,
            temperature=temperature,
            window=window,
            max_length=max(window, MEMTOConfig.max_length) if type(window) is int else window,
            seed=seed,
        )
        self._build(config)

    @classmethod
    def from_config(cls, config: MEMTOConfig | Mapping[str, Any]) -> MEMTO:
        """Make a model of a config or a dict with its keys: `MEMTO.from_config(MEMTOConfig.paper(55))`."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made._build(read_config(config))
        return made

    def _build(self, config: MEMTOConfig) -> None:
        self.config: MEMTOConfig = config
        with torch.device("meta"):
            encoder, memory, decoder = Encoder(config), GatedMemory(config), WeakDecoder(config)
        self.encoder: Encoder = encoder.to_empty(device="cpu")
        self.memory: GatedMemory = memory.to_empty(device="cpu")
        self.decoder: WeakDecoder = decoder.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(config.seed)
        for part in (self.encoder, self.memory, self.decoder):
            part.initialise(generator)
        self.optimizer_state: StateTree = {}
        """What the optimizer of the last phase remembers; training goes on with it."""
        self.progress: state.Progress = state.Progress()

    @property
    def n_features(self) -> int:
        """How many channels a window has."""
        return self.config.n_features

    @property
    def seed(self) -> int:
        """Of all chance."""
        return self.config.seed

    @property
    def threads(self) -> int:
        """CPU threads of torch while training and scoring."""
        return self.config.threads

    @property
    def device(self) -> torch.device:
        """Where the model lies."""
        return self.memory.items.device

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rebuild windows [n, L, channels]; return reconstruction, queries [n, L, C] and attention [n, L, M].

        The memory is read, never written, in training mode too.
        """
        queries = self.encoder(self._checked(x))
        attention = self.memory.attend(queries)
        return self.decoder(queries, attention, self.memory.items), queries, attention

    def training_pass(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Do as forward, but update the memory first and read what it is then (paper, algorithm 2).

        Gradients flow through the new items to the gate; what is stored is cut from them. Raise `NotReadyError` in
        evaluation mode or under `torch.no_grad()`.
        """
        self.memory.check_open()
        queries = self.encoder(self._checked(x))
        items = self.memory.updated(queries)
        self.memory.store(items - self.encoder.recentre(queries))  # items move with the origin of the queries
        attention = self.memory.attend(queries, items)
        return self.decoder(queries, attention, items), queries, attention

    def fit(self, loader: Iterable[Any], *, on_event: Listener = silent, cancel: CancelToken | None = None) -> MEMTO:
        """Train in the three phases with the epochs, rate and weights of the config; return the model."""
        config = self.config
        criterion = MEMTOLoss(config.lambda_entropy, config.lambda_usage)
        phase1_initial_training(self, loader, config.phase1_epochs, config.lr, on_event=on_event, cancel=cancel)
        initialize_memory_with_kmeans(self, loader, on_event=on_event, cancel=cancel)
        phase2_full_training(self, loader, criterion, config.phase2_epochs, config.lr, on_event=on_event, cancel=cancel)
        return self

    def anomaly_score(self, x: Any) -> Any:
        """Return softmax(LSD) * ISD [n, L] of windows [n, L, channels] (paper, equation 11; `config.weighting`).

        The softmax runs over the points of a window: scores of two windows have no common scale. A window's scores
        do not depend on the others. A tensor gives a tensor, here and below, anything else an array of float32.
        Raise `InputError` and `ShapeMismatchError` for what are no windows.
        """
        return _alike(x, scoring.looked(self, x).score)

    def isd(self, x: Any) -> Any:
        """Return the input space deviation [n, L]: squared error, summed over channels (equation 10)."""
        return _alike(x, scoring.looked(self, x).isd)

    def lsd(self, x: Any) -> Any:
        """Return the latent space deviation [n, L]: squared distance to the nearest item (equation 9)."""
        return _alike(x, scoring.looked(self, x).lsd)

    def pooled(self, x: Any) -> Any:
        """Return the queries averaged over each window, [n, latent_dim]: a descriptor for a bank of windows."""
        return _alike(x, scoring.pooled(self, x))

    def score_series(self, values: Any, step: int = 10, *, kind: str = "score") -> Floats:
        """Return a score [T] of each point of a series [T, channels]: the mean over all windows that cover it.

        Windows of `config.window` points begin every `step` and one ends at the last point; each is encoded once. A
        shorter series is one window. `kind` is score, isd or lsd. Raise `SettingsError` for a step outside
        1 ... window.
        """
        return scoring.score_series(self, values, step, kind)

    def health(self, x: Any) -> MemoryHealth:
        """Measure how the memory serves windows [n, L, channels] of normal life."""
        return self.memory.health(torch.from_numpy(scoring.queries_of(self, x)).to(self.device))

    def count(self, phase: int, epochs: int) -> None:
        """Note that a phase has run for so many epochs more."""
        name = f"phase{phase}_epochs"
        self.progress = dataclasses.replace(self.progress, **{name: getattr(self.progress, name) + epochs})

    def to_state(self) -> StateTree:
        """Copy all that is needed to go on exactly: weights, items, and what the optimizer remembers."""
        return state.tree_of(self)

    @classmethod
    def from_state(cls, tree: StateTree) -> MEMTO:
        """Make the model of a state; raise `CorruptStateError` naming what does not fit."""
        parts = state.read(tree)
        made = cls.from_config(parts.config)
        state.put(made, parts)
        made.eval()
        return made

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Show the weights where other libraries look for them."""
        return state.arrangement(tree)

    def _checked(self, x: Tensor) -> Tensor:
        most = self.config.max_length
        if x.ndim != 3 or x.shape[2] != self.n_features or not 1 <= x.shape[1] <= most:
            raise ShapeMismatchError(
                f"wanted windows [n, L, {self.n_features}] with L from 1 to {most}, got {list(x.shape)}"
            )
        return x


def _alike(given: Any, made: Vectors) -> Any:
    return torch.from_numpy(made).to(given.device) if isinstance(given, Tensor) else made
