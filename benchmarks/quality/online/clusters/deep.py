"""How do others train an encoder on news: seed 002, naive fine-tune, EWC, replay with distillation?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.quality.online.clusters.base import Base
from benchmarks.quality.online.clusters.idec import (
    Idec,
    Labels,
    Replay,
    Rows,
    batches,
    exact_fisher,
    fine_tune,
    nearest,
    soft_labels,
    student_t,
)
from benchmarks.quality.online.clusters.peers import Watch, far_centres

PER_CLUSTER = 50
"""Rows of a cluster that replay keeps."""


class Seed002:
    """The seed's online_update as it was meant, crashes removed: a centre for every row farther than .3."""

    name = "seed 002 as intended (crashes removed)"

    def __init__(self, base: Base, most: int = 4000) -> None:
        assert base.network is not None
        self._network, self._most, self._seed = base.network, most, base.stream.seed
        self._centres = torch.as_tensor(base.centres)
        self._fisher = self._its_fisher(torch.as_tensor(base.latents(base.stream.base.rows)))

    @property
    def k(self) -> int:
        return len(self._centres)

    def labels(self, rows: Rows) -> Labels:
        return nearest(self._network.latents(rows), self._centres.numpy())

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        latents, old = torch.as_tensor(self._network.latents(rows)), self._centres
        far = latents[torch.cdist(latents, old).min(1)[0] > 0.3][: self._most]
        centres = torch.nn.Parameter(torch.cat([old, far]))
        optimizer = torch.optim.SGD([centres], lr=0.01, momentum=0.9)
        generator = torch.Generator().manual_seed(self._seed)
        n_old = len(self._fisher)
        for _ in range(50):
            for at in batches(len(latents), generator):
                soft = student_t(latents[at], centres)
                weight = soft**2 / soft.sum(0)
                target = (weight / weight.sum(0, keepdim=True)).detach()  # the seed normalises the wrong axis
                pull = 0.5 * (self._fisher * (centres[:n_old] - old[:n_old]) ** 2).sum()
                loss = functional.kl_div(soft.log(), target, reduction="batchmean") + pull
                optimizer.zero_grad()
                loss.backward()
                assert centres.grad is not None
                centres.grad *= 0.3
                optimizer.step()
        self._centres = centres.detach()

    def remembered(self) -> Rows | None:
        return None

    def _its_fisher(self, latents: Tensor) -> Tensor:
        fisher, parts = torch.zeros_like(self._centres), latents.split(256)
        for part in parts:
            centres = self._centres.clone().requires_grad_(True)
            student_t(part, centres).max(1)[0].sum().backward()
            assert centres.grad is not None
            fisher += centres.grad**2
        return fisher / len(parts)


class FineTuned:
    """IDEC goes on with the rows of the update alone; the number of new centres is given."""

    name = "naive IDEC fine-tune, true k"

    def __init__(self, base: Base) -> None:
        assert base.network is not None
        self.network: Idec = base.network
        self.seed = base.stream.seed

    @property
    def k(self) -> int:
        return len(self.network.centres)

    def labels(self, rows: Rows) -> Labels:
        return self.network.labels(rows)

    def update(self, rows: Rows, n_new: int, watch: Watch) -> None:
        self.network = self._trained(rows, self._new_centres(rows, n_new), watch)

    def remembered(self) -> Rows | None:
        return None

    def _new_centres(self, rows: Rows, n_new: int) -> Rows:
        return far_centres(self.network.latents(rows), self.network.centres.detach().numpy(), n_new)

    def _trained(self, rows: Rows, centres: Rows, watch: Watch) -> Idec:
        return fine_tune(self.network, rows, centres, self.seed, watch=lambda now: watch(now.labels))


class Ewc(FineTuned):
    """With a pull back to where it was, weighted by the Fisher information of single rows."""

    def __init__(self, base: Base, strength: float = 100.0) -> None:
        super().__init__(base)
        self.name = f"IDEC + EWC, per-sample Fisher, lambda {strength:g}, true k"
        self._strength = strength
        self._fisher = exact_fisher(self.network, base.stream.base.rows, self.seed)

    def _trained(self, rows: Rows, centres: Rows, watch: Watch) -> Idec:
        tuned = fine_tune(
            self.network, rows, centres, self.seed, fisher=self._fisher, strength=self._strength,
            watch=lambda now: watch(now.labels),
        )  # fmt: skip
        now = exact_fisher(tuned, rows, self.seed)
        old = [*self._fisher[:-1], functional.pad(self._fisher[-1], (0, 0, 0, len(centres)))]
        self._fisher = [one + two for one, two in zip(old, now, strict=True)]  # Huszar 2018: one sum, one anchor
        return tuned


class Replayed(FineTuned):
    """With old rows shown again, which keep their latents and soft labels (distillation)."""

    name = f"IDEC + replay {PER_CLUSTER}/cluster + q/z distillation, true k"

    def __init__(self, base: Base) -> None:
        super().__init__(base)
        rows = base.stream.base.rows
        kept = rows[_some_of_each(self.network.labels(rows), range(self.k), self.seed)]
        shares = soft_labels(self.network, rows).sum(0)
        self._replay = Replay(kept, soft_labels(self.network, kept), self.network.latents(kept), shares)

    def remembered(self) -> Rows | None:
        return self._replay.rows

    def _trained(self, rows: Rows, centres: Rows, watch: Watch) -> Idec:
        tuned = fine_tune(
            self.network, rows, centres, self.seed, replay=self._replay, watch=lambda now: watch(now.labels)
        )
        self._replay = _grown(self._replay, tuned, rows, self.seed)
        return tuned


def _grown(replay: Replay, tuned: Idec, rows: Rows, seed: int) -> Replay:
    """Keep rows of the new clusters, too; old rows keep their old targets."""
    k, n_new = len(tuned.centres), len(tuned.centres) - replay.soft.shape[1]
    kept = rows[_some_of_each(tuned.labels(rows), range(k - n_new, k), seed)]
    soft = torch.cat([functional.pad(replay.soft, (0, n_new)), soft_labels(tuned, kept)])
    shares = functional.pad(replay.shares, (0, n_new)) + soft_labels(tuned, rows).sum(0)
    latents = np.concatenate([replay.latents, tuned.latents(kept)])
    return Replay(np.concatenate([replay.rows, kept]), soft, latents, shares)


def _some_of_each(labels: Labels, clusters: range, seed: int) -> Labels:
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == one))[:PER_CLUSTER] for one in clusters]
    return np.concatenate(chosen) if chosen else np.zeros(0, dtype=np.int64)
