"""Which sizes and settings make a DEC, and what does a wrong one hear?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jamais.errors import SettingsError
from jamais.settings import override


@dataclass(frozen=True)
class DECConfig:
    """The keys of seed 002 with its defaults, then what its code had fixed; raise `SettingsError` on nonsense."""

    dims: tuple[int, ...] = (768, 512, 256, 64, 10)
    """Widths from the input to the latents; the seed's. For some 100 clusters a last width of 64 is better than 10."""
    n_clusters: int = 100
    """Clusters that `fit` looks for; online updates may add more."""
    pretrain_epochs: int = 100
    """Passes over the data that train the autoencoder alone."""
    maxiter: int = 2000
    """Most updates of the clustering phase, a batch each (the seed took a whole pass for one)."""
    batch_size: int = 256
    """Rows per update."""
    update_interval: int = 100
    """Updates between two looks at all rows, which renew the targets."""
    tol: float = 0.001
    """The clustering phase ends when a smaller share of labels changes between two looks, `quiet_rounds` in a row."""
    alpha: float = 1.0
    """Degrees of freedom of Student's t that measures how near a row is to a centre."""
    save_dir: str = "./model"
    """Where `fit` keeps the best model if it is named, and where `save` and `load_dec_model` look in any case."""

    pretrain_lr: float = 1e-3
    """Adam's rate in pretraining, its own default; it falls by a cosine to nothing."""
    noise: float = 0.2
    """Share of inputs set to 0 in pretraining; the value of DEC's paper. 0 trains a plain autoencoder."""
    neighbours: int = 0
    """Nearest rows per row of a graph whose cut gives the first clusters and over which targets are averaged; 0: DEC's
    own start, k-means on latents. A graph sees long and bent clusters, and costs n^2 / 2 distances."""
    smoothing: int = 3
    """Rounds of that averaging."""
    optimizer: str = "sgd"
    """Of the clustering phase: sgd as in the seed, or adam."""
    lr: float = 0.01
    """Rate of the clustering phase; the seed's. For adam take 1e-4 to 1e-3."""
    momentum: float = 0.9
    """Of sgd; the seed's."""
    lr_step: int = 500
    """Updates after which the rate of the clustering phase is multiplied by `lr_decay`; the seed's."""
    lr_decay: float = 0.5
    """See `lr_step`; 1 keeps the rate."""
    gamma: float = 0.1
    """Weight of the clustering loss beside the reconstruction; IDEC's. 0 is no clustering at all."""
    reconstruction: float = 1.0
    """Weight of the reconstruction in the clustering phase; 0 with gamma 1 is DEC of 2016."""
    n_init: int = 20
    """Starts of k-means, the best of which gives the first centres; DEC's."""
    quiet_rounds: int = 2
    """Looks in a row with hardly a change before the clustering phase counts as converged."""
    input_scale: float | None = None
    """Factor on all inputs; none: found at `fit` so that a number's mean square is 1 (DEC, section 4.3)."""
    expansion_threshold: float | None = None
    """Distance from which a latent is far from its nearest centre; none: the reach of each cluster's own rows."""
    smallest: int = 10
    """Rows that must lie together, far from all clusters, before they become a new one."""
    exemplars: int = 100
    """Rows kept per cluster, drawn uniformly: the legacy data of online updates."""
    seed: int = 0
    """Of all chance: first weights, order, noise, k-means, which rows are kept."""
    threads: int = 1
    """CPU threads of torch while training; another number moves the last bits."""

    def __post_init__(self) -> None:
        if len(self.dims) < 2 or min(self.dims) < 1:
            raise SettingsError(f"dims wants at least two widths of 1 or more, got {list(self.dims)}")
        least = {"n_clusters": 1, "pretrain_epochs": 0, "maxiter": 0, "batch_size": 1, "update_interval": 1}
        least |= {"lr_step": 1, "n_init": 1, "quiet_rounds": 1, "smallest": 1, "exemplars": 1, "seed": 0, "threads": 1}
        least |= {"neighbours": 0, "smoothing": 0}
        for name, lowest in least.items():
            if not lowest <= getattr(self, name) < 2**62:
                raise SettingsError(f"{name} must be a whole number of at least {lowest}, got {getattr(self, name)!r}")
        for name in ("alpha", "pretrain_lr", "lr", "lr_decay", "input_scale", "expansion_threshold"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                raise SettingsError(f"{name} must be a number above 0, got {value!r}")
        for name in ("tol", "noise", "momentum", "gamma", "reconstruction"):
            most = float("inf") if name in ("gamma", "reconstruction") else 1.0
            if not 0.0 <= getattr(self, name) < most:
                raise SettingsError(f"{name} must be at least 0 and below {most:g}, got {getattr(self, name)!r}")
        if self.optimizer not in ("sgd", "adam"):
            raise SettingsError(f"optimizer is sgd or adam, got {self.optimizer!r}")

    @property
    def width(self) -> int:
        """Width of the rows."""
        return self.dims[0]

    @property
    def latent_width(self) -> int:
        """Width of the latents and centres."""
        return self.dims[-1]


def read_config(config: DECConfig | Mapping[str, Any] | None) -> DECConfig:
    """Read the seed's dict; raise `SettingsError` for an unknown key or a value of another type."""
    if isinstance(config, DECConfig):
        return config
    if config is not None and not isinstance(config, Mapping):
        raise SettingsError(f"a config is a dict of settings, got {type(config).__name__}")
    return override(DECConfig(), {} if config is None else config)
