from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import Cancelled, InputError, SettingsError, StateError
from jamais.models import LLM, Vocab
from jamais.models.llm import training
from jamais.models.llm.adam import Adam
from jamais.models.llm.network import drop, position_table
from jamais.models.llm.training import generator_for
from jamais.types import CancelToken, Event, StateTree

TEXTS = [
    "中国是一个历史悠久的国家",
    "人工智能技术正在快速发展",
    "hello world, this is a small model",
    "学而时习之，不亦说乎",
    "a b c",
]


def vocab() -> Vocab:
    words: set[str] = set()
    Vocab.process_text_for_vocab(TEXTS, words)
    return Vocab(sorted(words))


def small(seed: int = 0, dropout: float = 0.1, max_length: int = 128) -> LLM:
    return LLM(vocab(), width=16, n_layers=2, n_heads=4, seed=seed, dropout=dropout, max_length=max_length)


def same(one: object, other: object) -> bool:
    """Whether two trees are equal to the last bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


def reloaded(llm: LLM) -> LLM:
    return LLM.from_state(llm.to_state())


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_fifty_epochs_saved_and_fifty_more_are_a_hundred() -> None:
    whole, begun = small(), small()
    losses = whole.train(TEXTS, 100, 0.003, batch_size=2)
    first = begun.train(TEXTS, 50, 0.003, batch_size=2)
    resumed = reloaded(begun)
    assert first + resumed.train(TEXTS, 50, 0.003, batch_size=2) == losses
    assert same(resumed.to_state(), whole.to_state())
    assert losses[-1] < 0.2 * losses[0]


def test_epochs_one_at_a_time_with_a_save_after_each_are_the_same_as_together() -> None:
    whole, stepwise = small(), small()
    whole.train(TEXTS, 4, 0.003, batch_size=2)
    for _ in range(4):
        stepwise.train(TEXTS, 1, 0.003, batch_size=2)
        stepwise = reloaded(stepwise)
    assert same(stepwise.to_state(), whole.to_state())


def stop_after(step: int, stop: Callable[[], None]) -> Callable[[Event], None]:
    return lambda event: stop() if event.done == step else None


@pytest.mark.parametrize("step", [1, 2, 3, 4, 8])
def test_a_cancelled_training_goes_on_as_if_it_had_not_been(step: int) -> None:
    whole, cut = small(), small()
    whole.train(TEXTS, 4, 0.003, batch_size=2)
    token = CancelToken()
    with pytest.raises(Cancelled, match=f"after step {step}, in epoch .* to go on"):
        cut.train(TEXTS, 4, 0.003, batch_size=2, on_event=stop_after(step, token.cancel), cancel=token)
    assert cut.steps == step
    resumed = reloaded(cut)
    resumed.train(TEXTS, 4 - resumed.epochs, 0.003, batch_size=2)
    assert same(resumed.to_state(), whole.to_state())
    assert resumed.losses == whole.losses


def test_a_training_that_was_cancelled_before_it_began_changes_nothing() -> None:
    llm = small()
    before = llm.to_state()
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        llm.train(TEXTS, 1, 0.003, cancel=token)
    assert same(llm.to_state(), before)


def test_ctrl_c_in_the_middle_of_an_update_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = small(), small()
    whole.train(TEXTS, 4, 0.003, batch_size=2)
    lerp, calls = torch.Tensor.lerp_, []

    def interrupted(self: torch.Tensor, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3 * 27 + 13:  # half of the 27 parameters of step 4 are moved
            signal.raise_signal(signal.SIGINT)
        return lerp(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.Tensor, "lerp_", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        cut.train(TEXTS, 4, 0.003, batch_size=2)
    assert signal.getsignal(signal.SIGINT) is before
    assert cut.steps == 4
    resumed = reloaded(cut)
    resumed.train(TEXTS, 4 - resumed.epochs, 0.003, batch_size=2)
    assert same(resumed.to_state(), whole.to_state())


def test_a_second_ctrl_c_does_not_wait_and_what_it_tears_is_never_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    llm, lerp, calls = small(), torch.Tensor.lerp_, []

    def interrupted(self: torch.Tensor, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3 * 27 + 13:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return lerp(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.Tensor, "lerp_", interrupted)
    with pytest.raises(KeyboardInterrupt):
        llm.train(TEXTS, 4, 0.003, batch_size=2)
    assert len(calls) == 3 * 27 + 13
    for call in (llm.to_state, lambda: llm.train(TEXTS, 1, 0.003), lambda: llm.predict("a")):
        with pytest.raises(StateError, match="in the middle of an update: load the last save"):
            call()


def test_bits_do_not_depend_on_the_callers_threads() -> None:
    one, other = small(), small()
    one.train(TEXTS, 3, 0.003)
    torch.set_num_threads(2)
    seen: list[int] = []
    other.train(TEXTS, 3, 0.003, on_event=lambda _: seen.append(torch.get_num_threads()))
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    assert same(one.to_state(), other.to_state())


def test_ctrl_c_in_the_very_last_step_is_not_lost() -> None:
    llm = small()
    with pytest.raises(KeyboardInterrupt):
        llm.train(TEXTS, 1, 0.003, batch_size=5, on_event=lambda _: signal.raise_signal(signal.SIGINT))
    assert llm.epochs == 1


def test_a_listener_that_fails_leaves_a_whole_step() -> None:
    whole, cut = small(), small()
    whole.train(TEXTS, 2, 0.003, batch_size=2)

    def fails() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        cut.train(TEXTS, 2, 0.003, batch_size=2, on_event=stop_after(4, fails))
    cut.train(TEXTS, 2 - cut.epochs, 0.003, batch_size=2)
    assert same(cut.to_state(), whole.to_state())


def test_an_unfinished_epoch_of_other_texts_is_left() -> None:
    llm, token = small(), CancelToken()
    with pytest.raises(Cancelled):
        llm.train(TEXTS, 1, 0.003, batch_size=2, on_event=stop_after(1, token.cancel), cancel=token)
    losses = llm.train(TEXTS[:2], 2, 0.003, batch_size=2)
    assert len(losses) == llm.epochs == 2
    assert llm.steps == 1 + 2


def test_training_works_outside_the_main_thread() -> None:
    llm, other = small(), small()
    thread = threading.Thread(target=lambda: llm.train(TEXTS, 2, 0.003))
    thread.start()
    thread.join()
    other.train(TEXTS, 2, 0.003)
    assert same(llm.to_state(), other.to_state())


def test_chance_comes_from_the_seed_and_from_nowhere_else() -> None:
    states: list[StateTree] = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        llm = small(seed=5)
        llm.train(TEXTS, 2, 0.003, batch_size=2)
        states.append(llm.to_state())
    assert same(*states)
    drawn = torch.rand(3)
    torch.manual_seed(2)
    assert torch.equal(drawn, torch.rand(3)), "training moved the global generator"
    other = small(seed=6)
    other.train(TEXTS, 2, 0.003, batch_size=2)
    assert not same(other.to_state()["model"], states[0]["model"])


def test_every_step_and_every_epoch_has_chance_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, str, int]] = []

    def recorded(*purpose: Any) -> torch.Generator:
        asked.append(purpose)
        return generator_for(*purpose)

    monkeypatch.setattr(training, "generator_for", recorded)
    small(seed=9).train(TEXTS, 3, 0.003, batch_size=2)
    assert [number for _, purpose, number in asked if purpose == "dropout"] == list(range(9))
    assert [number for _, purpose, number in asked if purpose == "order"] == list(range(3))
    assert {seed for seed, _, _ in asked} == {9}
    drawn = {torch.rand(4, generator=generator_for(*purpose)).numpy().tobytes() for purpose in asked}
    assert len(drawn) == len(asked)


def test_training_does_what_a_plain_loop_with_torchs_parts_does() -> None:
    llm, twin = small(dropout=0.0), small(dropout=0.0)
    losses = llm.train(TEXTS, 2, 0.01, batch_size=2)
    adam = torch.optim.Adam(twin.network.parameters(), lr=0.01)
    texts = [torch.tensor([2, *twin.vocab.encode(text), 3]) for text in TEXTS]
    expected = []
    for epoch in range(2):
        order = torch.randperm(5, generator=generator_for(0, "order", epoch)).tolist()
        sums = []
        for batch in (order[:2], order[2:4], order[4:]):
            logits = torch.cat([twin.network(texts[i][None, :-1])[0] for i in batch])
            loss = torch.nn.functional.cross_entropy(logits, torch.cat([texts[i][1:] for i in batch]), reduction="sum")
            adam.zero_grad()
            (loss / len(logits)).backward()
            norm = torch.nn.utils.clip_grad_norm_(twin.network.parameters(), 1.0)
            assert norm > 1.0
            adam.step()
            sums.append((loss.item(), len(logits)))
        expected.append(sum(loss for loss, _ in sums) / sum(n for _, n in sums))
    assert losses == pytest.approx(expected, rel=1e-4)
    for mine, other in zip(llm.network.parameters(), twin.network.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)


def test_the_order_changes_from_epoch_to_epoch_and_with_it_the_path() -> None:
    orders = [torch.randperm(20, generator=generator_for(0, "order", epoch)).tolist() for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert all(sorted(order) == list(range(20)) for order in orders)


def test_a_trained_model_recites_and_its_answer_reads_on() -> None:
    llm = small(dropout=0.0)
    llm.train(TEXTS, 120, 0.01, batch_size=5)
    assert llm.losses[-1] < 0.2
    assert "人工智能" + llm.predict("人工智能") == TEXTS[1]
    assert "hello world" + llm.predict("hello world") == TEXTS[2]
    assert "hello" + llm.predict("hello") == TEXTS[2]
    assert llm.predict("人工智能", max_tokens=2) == "技术"
    assert llm.predict(TEXTS[1]) == ""


def test_prediction_changes_nothing_and_takes_any_text() -> None:
    llm = small(max_length=8)
    before = llm.to_state()
    for text in ("", "never seen 😀\ud800", "中国是" * 100):
        assert llm.predict(text, max_tokens=5) == llm.predict(text, max_tokens=5)
    assert same(llm.to_state(), before)


def test_a_long_text_is_learned_to_its_last_word() -> None:
    llm = small(max_length=8)
    rows = llm._rows([TEXTS[0] * 3])
    ids = [2, *llm.vocab.encode(TEXTS[0] * 3), 3]
    assert all(len(row) <= 9 for row in rows)
    assert [rows[0][0], *(number for row in rows for number in row[1:])] == ids
    assert all(one[-1] == other[0] for one, other in pairwise(rows))


def test_padding_changes_no_loss_of_a_text() -> None:
    alone, together = small(dropout=0.0), small(dropout=0.0)
    rate = 1e-12  # the weights all but stand still, so that losses can be compared
    losses = [small(dropout=0.0).train([text], 1, rate)[0] for text in TEXTS[:2] + TEXTS[-1:]]
    weights = [len(alone.vocab.encode(text)) + 1 for text in TEXTS[:2] + TEXTS[-1:]]
    found = together.train(TEXTS[:2] + TEXTS[-1:], 1, rate)[0]
    assert found == pytest.approx(float(np.average(losses, weights=weights)), rel=1e-5)


def test_the_future_is_never_seen() -> None:
    llm = small()
    ids = torch.randint(7, len(llm.vocab), (1, 12), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[0, 7:] = 9
    with torch.no_grad():
        one, other = llm.network(ids), llm.network(changed)
    assert torch.equal(one[0, :7], other[0, :7])
    assert not torch.allclose(one[0, 7:], other[0, 7:])


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    ones = torch.ones(200, 500)
    dropped = drop(ones, 0.25, torch.Generator().manual_seed(0))
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)
    assert drop(ones, 0.25, None) is ones


def test_adam_is_torchs_adam_step_for_step() -> None:
    drawn = torch.Generator().manual_seed(0)
    ours, theirs = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    adam, judge = Adam(ours), torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(20):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=drawn)
            other.grad = mine.grad.clone()
        adam.step(0.01)
        judge.step()
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-8)
        assert torch.equal(adam.moments[name].exp_avg, judge.state[other]["exp_avg"])
        assert torch.equal(adam.moments[name].exp_avg_sq, judge.state[other]["exp_avg_sq"])
        assert adam.moments[name].step == 20


def test_positions_are_those_of_the_source() -> None:
    table = position_table(128, 256)
    for place, column in ((0, 0), (1, 1), (5, 2), (127, 31), (127, 254), (127, 255)):
        angle = place / 10000.0 ** ((column // 2) / 256)
        wanted = np.sin(angle) if column % 2 == 0 else np.cos(angle)
        assert float(table[place, column]) == pytest.approx(float(wanted), abs=2e-5)


def test_the_default_is_the_small_english_model_of_the_document() -> None:
    llm = LLM()
    assert (llm.config.width, llm.config.n_layers, llm.config.n_heads, llm.config.hidden) == (256, 2, 8, 512)
    assert (llm.config.max_length, llm.config.dropout) == (128, 0.1)
    assert len(llm.vocab) == 7 + 256 + 63
    assert {"hello", "rust", "world"} <= set(llm.vocab.words)
    assert llm.n_parameters == 326 * 256 * 2 + 326 + 2 * (4 * 256**2 + 2 * 256 * 512 + 512 + 256 + 4 * 256)


def test_events_tell_how_far_and_how_well() -> None:
    events: list[Event] = []
    llm = small()
    llm.train(TEXTS, 3, 0.003, batch_size=2, on_event=events.append)
    assert [(event.phase, event.done, event.total) for event in events] == [("training", i + 1, 9) for i in range(9)]
    assert [event.values["epoch"] for event in events] == [1.0] * 3 + [2.0] * 3 + [3.0] * 3
    assert all(event.values["tokens_per_second"] > 0 and event.values["loss"] > 0 for event in events)
    assert events[-1].values["seconds_left"] == 0.0


def test_what_cannot_be_trained_is_refused() -> None:
    llm = small()
    before = llm.to_state()
    refused: list[tuple[type[Exception], str, tuple[object, object, object]]] = [
        (InputError, "got one str", ("text", 1, 0.1)),
        (InputError, "text 1 is bytes", (["a", b"b"], 1, 0.1)),
        (InputError, "nothing to train on", (["", ""], 1, 0.1)),
        (SettingsError, "epochs must be a whole number of at least 0, got -1", (TEXTS, -1, 0.1)),
        (SettingsError, "epochs must be", (TEXTS, 1.5, 0.1)),
        (SettingsError, "learning_rate must be a number above 0, got 0", (TEXTS, 1, 0)),
        (SettingsError, "learning_rate must be", (TEXTS, 1, float("nan"))),
    ]
    for error, message, arguments in refused:
        with pytest.raises(error, match=message):
            llm.train(*arguments)  # type: ignore[arg-type]
    for name in ("batch_size", "threads"):
        with pytest.raises(SettingsError, match=f"{name} must be a whole number of at least 1, got 0"):
            llm.train(TEXTS, 1, 0.1, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="predict wants a text"):
        llm.predict(["a"])  # type: ignore[arg-type]
    assert same(llm.to_state(), before)


def test_a_rate_that_makes_it_diverge_is_told_before_the_weights_are_lost() -> None:
    llm = small()
    with pytest.raises(SettingsError, match=r"training diverged.*learning_rate=1e\+20"):
        llm.train(TEXTS, 50, 1e20)
    assert all(np.isfinite(weight).all() for weight in llm.to_state()["model"].values())


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 10, "n_heads": 4}, "width=10 must be a multiple of n_heads=4"),
        ({"n_layers": 0}, "n_layers must be a whole number of at least 1, got 0"),
        ({"width": 8.0}, "width must be a whole number"),
        ({"max_length": 1}, "max_length must be a whole number from 2"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1"),
        ({"seed": -1}, "seed must be a whole number from 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(sizes: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        LLM(vocab(), **sizes)  # type: ignore[arg-type]


def test_the_vocabulary_is_copied_and_one_that_grew_is_refused() -> None:
    mine = vocab()
    llm = LLM(mine, width=16, n_heads=4)
    mine.add_word("more")
    llm.predict("a", max_tokens=1)
    llm.vocab.add_word("even more")
    for call in (lambda: llm.predict("a"), lambda: llm.train(["a"], 1, 0.1), llm.to_state):
        with pytest.raises(StateError, match="add words before the model is made"):
            call()
