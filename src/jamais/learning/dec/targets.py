"""Towards which assignments does a clustering sharpen itself, and how far away is it?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from jamais.errors import ShapeMismatchError


def target_distribution(q: Tensor, frequencies: Tensor | None = None) -> Tensor:
    """Return p [n, k] of assignments q [n, k]: p_ij ~ q_ij^2 / f_j (DEC, equation 3); each row sums to 1.

    `frequencies` f [k] are those of the clusters in all data; without them the rows given are taken for all data,
    which is right for a whole data set and wrong for a batch. No gradient flows through it.
    """
    if q.ndim != 2 or (frequencies is not None and frequencies.shape != q.shape[1:]):
        raise ShapeMismatchError(
            f"wanted assignments [n, k] and frequencies [k], got {list(q.shape)}"
            + ("" if frequencies is None else f" and {list(frequencies.shape)}")
        )
    with torch.no_grad():
        often = q.sum(dim=0) if frequencies is None else frequencies.to(q)
        # A cluster that no row is near to has f = 0 and q = 0: it must stay at 0, not become 0 / 0.
        sharp = q.square() / often.clamp_min(torch.finfo(q.dtype).tiny)
        return sharp / sharp.sum(dim=1, keepdim=True)


def clustering_loss(log_q: Tensor, p: Tensor) -> Tensor:
    """Return KL(p || q) per row (DEC, equation 2), from log q [n, k] and p [n, k]."""
    return functional.kl_div(log_q, p, reduction="batchmean")
