from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jamais.errors import Cancelled, SettingsError
from jamais.learning.masked_batches import MaskedBatches, PieceCodes
from jamais.learning.pretraining import PretrainingSettings, pretrain
from jamais.types import CancelToken, Event

CODES = PieceCodes(pad=0, mask=4, first_ordinary=6, size=30)
LINES = [[2, 7, 8, 9, 3], [2, 10, 5, 11, 3], [2, 3], [2, *range(6, 30), 3]]
WEIGHTS = [1.0, 3.0, 50.0, 2.0]


class Guesser(torch.nn.Module):
    """The smallest masked model: a table from the neighbour on the left."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(torch.zeros(30, 30))

    def masked_loss(self, ids: Tensor, real: Tensor, hidden_pieces: Tensor, answers: Tensor) -> Tensor:
        assert real.shape == ids.shape == hidden_pieces.shape
        left = torch.roll(ids, 1, dims=1)
        return torch.nn.functional.cross_entropy(self.table[left][hidden_pieces], answers)


def test_loss_falls_and_the_model_is_left_in_evaluation_mode() -> None:
    model = Guesser()
    losses = pretrain(model, LINES, WEIGHTS, CODES, PretrainingSettings(steps=60, learning_rate=0.1), seed=0)
    assert len(losses) == 60
    assert losses[-1] < losses[0] - 1
    assert not model.training


def test_losses_are_those_of_the_loop_before_it_could_be_resumed() -> None:
    settings = PretrainingSettings(steps=23, learning_rate=0.05, batch=4)
    twin = Guesser()
    batches = MaskedBatches(LINES, WEIGHTS, CODES, batch=4, mask_share=settings.mask_share, seed=5)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.0, weight_decay=settings.weight_decay)
    losses = []
    for step in range(23):
        # The rate as it was written then: up over a tenth of the steps, down to 2 %.
        optimizer.param_groups[0]["lr"] = 0.05 * ((step + 1) / 2 if step < 2 else max(0.02, 1 - (step - 2) / 21))
        optimizer.zero_grad()
        loss = twin.masked_loss(*batches.draw())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), settings.clip)
        optimizer.step()
        losses.append(float(loss.detach()))
    model = Guesser()
    assert pretrain(model, LINES, WEIGHTS, CODES, settings, seed=5) == losses
    assert torch.equal(model.table, twin.table)


def test_same_seed_twice_gives_the_same_bits() -> None:
    runs = []
    for seed in (3, 3, 4):
        model = Guesser()
        torch.manual_seed(len(runs))  # the global numbers must not matter
        pretrain(model, LINES, WEIGHTS, CODES, PretrainingSettings(steps=5, learning_rate=0.1), seed=seed)
        runs.append(model.table.detach().clone())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_zero_steps_leave_the_model_alone_and_empty_lines_are_an_error() -> None:
    model = Guesser()
    assert pretrain(model, LINES, WEIGHTS, CODES, PretrainingSettings(steps=0), seed=0) == []
    assert model.training
    with pytest.raises(SettingsError, match="at least one line"):
        pretrain(model, [[2, 3]], [1.0], CODES, PretrainingSettings(steps=1), seed=0)


def test_cancel_stops_between_steps() -> None:
    token = CancelToken()
    seen: list[Event] = []

    def listen(event: Event) -> None:
        seen.append(event)
        if event.done == 2:
            token.cancel()

    with pytest.raises(Cancelled, match="after 2 of 9"):
        pretrain(
            Guesser(),
            LINES,
            WEIGHTS,
            CODES,
            PretrainingSettings(steps=9),
            seed=0,
            listener=listen,
            cancel=token,
        )
    assert len(seen) == 2
