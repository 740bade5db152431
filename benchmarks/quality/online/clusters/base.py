"""What does everybody start from: a clustering of the base rows, made once for each base and kept in the cache?"""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.quality.online.clusters.idec import Idec, Labels, Rows, nearest, train
from benchmarks.quality.online.clusters.streams import Stream


@dataclass(frozen=True)
class Base:
    """Old clusters 0 .. k - 1 and the two spaces in which methods may work."""

    stream: Stream
    network: Idec | None
    """None: rows are embeddings already, and they are their own latents."""
    centres: Rows
    """Of the old clusters, in the latents."""
    mean: Rows
    components: Rows | None
    """[width of the memory, width]: principal components of the base rows."""
    seconds: float
    """CPU time of the training."""

    @property
    def k(self) -> int:
        return len(self.centres)

    def latents(self, rows: Rows) -> Rows:
        return rows if self.network is None else self.network.latents(rows)

    def told(self, rows: Rows) -> Labels:
        """Return the old cluster that the frozen base gives each row."""
        return nearest(self.latents(rows), self.centres)

    def rows(self, rows: Rows) -> Rows:
        return rows

    def near(self, rows: Rows) -> Rows:
        """Return rows where memories take distances: the input space, or its principal components."""
        return rows if self.components is None else np.ascontiguousarray((rows - self.mean) @ self.components.T)


def make_base(stream: Stream, cache: Path) -> Base:
    """Cluster the base rows, or read the clustering from the cache; streams with and without news share a base."""
    mean, components = _components(stream)
    path = cache / _name(stream)
    if not path.exists():
        begin = time.process_time()
        arrays = _network(stream) if stream.recipe else {"centres": _k_means(stream.base.rows, stream)}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, seconds=time.process_time() - begin, **arrays)
        partial.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        network, seconds = _loaded(stream, {name: kept[name] for name in kept}), float(kept["seconds"])
        return Base(stream, network, kept["centres"], mean, components, seconds)


def _name(stream: Stream) -> str:
    """Name the base by all that it depends on."""
    digest = zlib.crc32(repr(stream.recipe).encode())
    for array in (stream.base.rows, stream.base.classes):
        digest = zlib.crc32(np.ascontiguousarray(array).tobytes(), digest)
    return f"{stream.data}-{stream.seed}-{digest:08x}.npz"


def _network(stream: Stream) -> dict[str, Rows]:
    assert stream.recipe is not None
    model = train(stream.base.rows, len(stream.first), stream.recipe, stream.seed)
    return {name: value.numpy() for name, value in model.state_dict().items()}


def _k_means(rows: Rows, stream: Stream) -> Rows:
    from sklearn.cluster import KMeans

    found = KMeans(len(stream.first), n_init=10, random_state=stream.seed).fit(rows)
    return np.asarray(found.cluster_centers_, dtype=np.float32)


def _loaded(stream: Stream, arrays: dict[str, Rows]) -> Idec | None:
    if stream.recipe is None:
        return None
    model = Idec(stream.recipe.dims, len(arrays["centres"]))
    model.load_state_dict({name: torch.as_tensor(arrays[name]) for name in model.state_dict()})
    return model.eval()


def _components(stream: Stream) -> tuple[Rows, Rows | None]:
    mean = stream.base.rows.mean(axis=0)
    if stream.width is None:
        return mean, None
    from sklearn.decomposition import PCA

    found = PCA(stream.width, random_state=0).fit(stream.base.rows)
    return found.mean_.astype(np.float32), found.components_.astype(np.float32)
