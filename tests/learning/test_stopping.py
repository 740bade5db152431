from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from jamais.errors import Cancelled
from jamais.learning.stopping import stop_at_step_boundary
from jamais.types import CancelToken


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Whatever goes wrong in a test, pytest gets its own handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 143)]
)
def test_a_signal_waits_for_the_step_boundary(number: int, error: type[BaseException], code: int | None) -> None:
    done: list[str] = []
    with pytest.raises(error) as caught, stop_at_step_boundary() as stop:  # noqa: PT012
        assert not stop.asked
        send(number)
        done.append("rest of the step")
        assert stop.asked
        stop.leave()
    assert done == ["rest of the step"]
    assert getattr(caught.value, "code", None) == code
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_wait(first: int) -> None:
    with pytest.raises(KeyboardInterrupt), stop_at_step_boundary():  # noqa: PT012
        send(first)
        send(signal.SIGINT)
        pytest.fail("still here")
    with pytest.raises(SystemExit), stop_at_step_boundary():  # noqa: PT012
        send(first)
        send(signal.SIGTERM)
        pytest.fail("still here")


def test_a_signal_the_loop_did_not_see_is_handed_on_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), stop_at_step_boundary():
        send(signal.SIGINT)


def test_the_handlers_before_are_put_back_and_hear_of_the_signal() -> None:
    heard: list[int] = []

    def mine(number: int, frame: object) -> None:
        heard.append(number)

    signal.signal(signal.SIGTERM, mine)
    with pytest.raises(SystemExit), stop_at_step_boundary() as stop:  # noqa: PT012
        send(signal.SIGTERM)
        assert heard == []
        stop.leave()
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is mine
    with pytest.raises(ZeroDivisionError), stop_at_step_boundary():
        _ = 1 / 0
    assert signal.getsignal(signal.SIGTERM) is mine


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup or in a shell's background job
    with stop_at_step_boundary() as stop:
        send(signal.SIGINT)
        assert not stop.asked


def test_a_cancel_token_stops_too_and_is_left_to_its_owner_at_the_end() -> None:
    token = CancelToken()
    with pytest.raises(Cancelled, match="after 3 steps"), stop_at_step_boundary(token) as stop:  # noqa: PT012
        assert not stop.asked
        token.cancel()
        assert stop.asked
        stop.leave("cancelled after 3 steps")
    with stop_at_step_boundary(token):
        pass


def test_other_threads_leave_signals_alone() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[object] = []

    def work() -> None:
        with stop_at_step_boundary() as stop:
            found.extend([signal.getsignal(signal.SIGINT), stop.asked])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before, False]


def test_loops_inside_one_another_both_leave() -> None:
    left: list[str] = []
    with pytest.raises(KeyboardInterrupt), stop_at_step_boundary() as outer:  # noqa: PT012
        try:
            with stop_at_step_boundary() as inner:
                send(signal.SIGINT)
                inner.leave()
        finally:
            left.append("inner")
        pytest.fail("still here")
    assert left == ["inner"]
    assert outer.asked
