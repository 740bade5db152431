"""What does training see of a patch encoder?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from jamais.models.patches.weights import STEP, PatchShape, PatchWeights
from jamais.types import Floats

_QUIET = 0.05  # spread of a feature below which it is not made larger: weights must stay on their grid


class PatchNetwork(nn.Module):
    """The encoder in torch: windows [n, channels, past] -> vectors [n, width].

    In training features are taken at every `STEP`-th row only: a quarter of the work, and on average the same mean.
    """

    def __init__(self, shape: PatchShape, weights: PatchWeights) -> None:
        super().__init__()
        self.shape: PatchShape = shape
        self.first: nn.Parameter = _kernel(weights["first"])
        self.first_bias: nn.Parameter = _plain(weights["first_bias"])
        self.second: nn.Parameter = _kernel(weights["second"])
        self.second_bias: nn.Parameter = _plain(weights["second_bias"])
        self.head: nn.Parameter = _plain(weights["head"])
        self.head_bias: nn.Parameter = _plain(weights["head_bias"])

    def forward(self, windows: Tensor) -> Tensor:
        """Describe windows, each feature at every row outside training."""
        step = STEP if self.training else 1
        features = functional.conv1d(windows, self.first, self.first_bias, stride=step).relu()
        features = functional.conv1d(features, self.second, self.second_bias, dilation=STEP // step).relu()
        pooled = torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1)
        return torch.addmm(self.head_bias, pooled, self.head)

    def weights(self) -> PatchWeights:
        """Copy the weights as the encoder keeps them."""
        return {
            "first": _kernel_back(self.first),
            "first_bias": _plain_back(self.first_bias),
            "second": _kernel_back(self.second),
            "second_bias": _plain_back(self.second_bias),
            "head": _plain_back(self.head),
            "head_bias": _plain_back(self.head_bias),
        }

    @torch.no_grad()
    def settle(self, windows: Tensor) -> None:
        """Give every feature mean 0 and variance 1 over some windows before its ReLU, as a norm layer would.

        Done once before training, and part of the weights from then on. A feature that hardly moves is left alone.
        """
        first = functional.conv1d(windows, self.first, self.first_bias, stride=STEP)
        _settle(first, self.first, self.first_bias, axis=0)
        first = functional.conv1d(windows, self.first, self.first_bias, stride=STEP).relu()
        second = functional.conv1d(first, self.second, self.second_bias)
        _settle(second, self.second, self.second_bias, axis=0)
        second = functional.conv1d(first, self.second, self.second_bias).relu()
        pooled = torch.cat([second.mean(dim=2), second.amax(dim=2)], dim=1)
        outputs = torch.addmm(self.head_bias, pooled, self.head)[:, :, None]
        _settle(outputs, self.head, self.head_bias, axis=1)


def _settle(answers: Tensor, weights: Tensor, bias: Tensor, axis: int) -> None:
    centre, spread = answers.mean(dim=(0, 2)), answers.std(dim=(0, 2))
    factor = torch.where(spread > _QUIET, 1.0 / spread.clamp(min=_QUIET), torch.ones_like(spread))
    shape = [1] * weights.ndim
    shape[axis] = -1
    weights.mul_(factor.view(shape))
    bias.sub_(centre).mul_(factor)


def _kernel(array: Floats) -> nn.Parameter:
    return _plain(np.ascontiguousarray(array.transpose(2, 1, 0)))


def _plain(array: Floats) -> nn.Parameter:
    return nn.Parameter(torch.tensor(array, dtype=torch.float32))


def _kernel_back(tensor: Tensor) -> Floats:
    return np.ascontiguousarray(_plain_back(tensor).transpose(2, 1, 0))


def _plain_back(tensor: Tensor) -> Floats:
    return tensor.detach().cpu().numpy().astype(np.float64)
