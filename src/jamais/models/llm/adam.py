"""How does a gradient become a step? Adam (Kingma & Ba 2015, algorithm 1), its memory kept by parameter name.

Not `torch.optim.Adam`: making one imports torch's compiler, over a second even for somebody who only loads a model
and asks it, and its memory goes by position, not by name. A test holds this one to torch's, step for step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class Moments:
    """What Adam remembers of one parameter."""

    step: int
    exp_avg: Tensor
    """Running mean of the gradient, shaped like the parameter."""
    exp_avg_sq: Tensor
    """Running mean of its square."""


class Adam:
    """Adam without decay over the parameters of a network; `moments` is empty before the first step."""

    def __init__(self, network: nn.Module, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        self.parameters = dict(network.named_parameters())
        self.betas = betas
        self.eps = eps
        self.moments: dict[str, Moments] = {}
        self.torn = False
        """Whether an update was left half done: weights, moments and counters are then not of one moment."""

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move every parameter against its gradient, which all must have."""
        keep, keep_square = self.betas
        for name, weight in self.parameters.items():
            gradient = weight.grad
            assert gradient is not None, name
            if name not in self.moments:
                self.moments[name] = Moments(0, torch.zeros_like(weight), torch.zeros_like(weight))
            kept = self.moments[name]
            kept.step += 1
            kept.exp_avg.lerp_(gradient, 1.0 - keep)
            kept.exp_avg_sq.mul_(keep_square).addcmul_(gradient, gradient, value=1.0 - keep_square)
            spread = (kept.exp_avg_sq.sqrt() / math.sqrt(1.0 - keep_square**kept.step)).add_(self.eps)
            weight.addcdiv_(kept.exp_avg, spread, value=-learning_rate / (1.0 - keep**kept.step))

    def forget_gradients(self) -> None:
        """Drop the gradients of all parameters."""
        for weight in self.parameters.values():
            weight.grad = None
