"""What is MEMTO trained to make small?"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.errors import SettingsError, ShapeMismatchError

_TINY = 1e-12  # keeps the logarithm of an attention of 0 finite


class LossTerms(NamedTuple):
    """The parts, not weighted; none is below 0."""

    reconstruction: Tensor
    entropy: Tensor
    usage: Tensor


class MEMTOLoss(nn.Module):
    """L = MSE + lambda_entropy * H + lambda_usage * (log M - H_batch).

    H is the mean entropy of a query's read attention (paper, equation 7): made small, each query has few items.
    H_batch is the entropy of the attention averaged over a batch: made large, the batch uses all items. The seed's
    text asks for the second under the name of the first; the paper has only the first, with which items may collapse.
    Raise `SettingsError` for a weight below 0.
    """

    def __init__(self, lambda_entropy: float = 0.01, lambda_usage: float = 0.1) -> None:
        super().__init__()
        for name, value in (("lambda_entropy", lambda_entropy), ("lambda_usage", lambda_usage)):
            if not 0.0 <= value < math.inf:
                raise SettingsError(f"{name} must be a number of at least 0, got {value!r}")
        self.lambda_entropy: float = float(lambda_entropy)
        self.lambda_usage: float = float(lambda_usage)

    def forward(self, reconstruction: Tensor, x: Tensor, attention: Tensor) -> Tensor:
        """Return the loss of windows x [n, L, channels], rebuilt as such, with attention [n, L, M]."""
        terms = self.terms(reconstruction, x, attention)
        return terms.reconstruction + self.lambda_entropy * terms.entropy + self.lambda_usage * terms.usage

    def terms(self, reconstruction: Tensor, x: Tensor, attention: Tensor) -> LossTerms:
        """Return the three parts; raise `ShapeMismatchError` for windows and reconstructions of other shapes."""
        if reconstruction.shape != x.shape or attention.shape[:-1] != x.shape[:-1]:
            raise ShapeMismatchError(
                f"wanted reconstruction and x [n, L, channels] and attention [n, L, M], got "
                f"{list(reconstruction.shape)}, {list(x.shape)} and {list(attention.shape)}"
            )
        flat = attention.flatten(0, -2)
        entropy = -(flat * torch.log(flat + _TINY)).sum() / len(flat)
        used = flat.mean(dim=0)
        usage = math.log(flat.shape[1]) + (used * torch.log(used + _TINY)).sum()
        return LossTerms(functional.mse_loss(reconstruction, x), entropy, usage)
