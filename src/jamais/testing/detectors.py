"""Does a detector keep its contract?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from jamais.errors import JamaisError
from jamais.testing.bits import digest, hold
from jamais.types import Floats, Ints, StateTree, Vectors


class Detector(Protocol):
    """What is asked of a detector; more is welcome."""

    def fit(self, X: Any, y: object = None) -> Any: ...

    def partial_fit(self, X: Any, y: object = None) -> Any: ...

    def decision_function(self, X: Any) -> Floats: ...

    def predict(self, X: Any) -> Ints: ...

    def state_dict(self) -> StateTree: ...

    def load_state_dict(self, tree: StateTree) -> None: ...


@dataclass(frozen=True)
class DetectorCase:
    """A way to make an unfitted detector, `rows: [n, width]` to fit it on, and `more: [m, width]` to go on with."""

    make: Callable[[], Detector]
    rows: Vectors
    more: Vectors


def score_is_pure(case: DetectorCase) -> None:
    """Scoring and predicting change no bit of the state, and twice is the same."""
    one = case.make().fit(case.rows)
    before = digest(one.state_dict())
    first = one.decision_function(case.more)
    one.predict(case.more)
    hold(digest(one.state_dict()) == before, "decision_function or predict changed the state")
    hold(_same(first, one.decision_function(case.more)), "scoring twice gave two results")


def a_row_alone_is_a_row_in_a_batch(case: DetectorCase) -> None:
    """Neighbours in a batch change no bit of a score."""
    one = case.make().fit(case.rows)
    together = one.decision_function(case.more)
    hold(together.shape == (len(case.more),), f"wanted a score per row [{len(case.more)}], got {together.shape}")
    for i in range(len(case.more)):
        hold(_same(one.decision_function(case.more[i : i + 1])[0], together[i]), f"row {i} alone scores otherwise")


def order_and_batches_change_nothing(case: DetectorCase) -> None:
    """Rows score the same bits in any order and however they are cut into batches."""
    one = case.make().fit(case.rows)
    together = one.decision_function(case.more)
    mixed = np.random.default_rng(0).permutation(len(case.more))
    hold(_same(one.decision_function(case.more[mixed]), together[mixed]), "another order of rows, other scores")
    cut = len(case.more) // 3
    halves = [one.decision_function(case.more[:cut]), one.decision_function(case.more[cut:])]
    hold(_same(np.concatenate(halves), together), "rows cut into batches score otherwise")


def a_refused_input_changes_nothing(case: DetectorCase) -> None:
    """Rows that cannot be used are refused with an error, and nothing has changed then."""
    one = case.make().fit(case.rows)
    before = digest(one.state_dict())
    holes, narrow = case.more.copy(), case.more[:, 1:]
    holes[-1, 0] = np.nan
    for bad in (holes, narrow, case.more[0]):
        # (Narrower rows are fine for a new fit.)
        for name in ("partial_fit", "decision_function", "predict", *(["fit"] if bad is not narrow else [])):
            hold(_refuses(getattr(one, name), bad), f"{name} took rows of shape {bad.shape} that it cannot use")
            hold(digest(one.state_dict()) == before, f"{name} refused its input and changed the state")


def saved_and_loaded_it_goes_on_as_if_never_stopped(case: DetectorCase) -> None:
    """A loaded detector scores, learns and scores again with the same bits."""
    one, two = case.make().fit(case.rows), case.make()
    two.load_state_dict(one.state_dict())
    hold(digest(two.state_dict()) == digest(one.state_dict()), "what is loaded is not what was saved")
    hold(_same(one.decision_function(case.more), two.decision_function(case.more)), "a loaded one scores otherwise")
    one.partial_fit(case.more)
    two.partial_fit(case.more)
    hold(digest(two.state_dict()) == digest(one.state_dict()), "a loaded one learns otherwise")
    hold(_same(one.decision_function(case.rows), two.decision_function(case.rows)), "it scores otherwise afterwards")


def a_state_is_a_copy(case: DetectorCase) -> None:
    """A state that was given out does not change when the detector goes on."""
    one = case.make().fit(case.rows)
    given = one.state_dict()
    before = digest(given)
    one.partial_fit(case.more)
    hold(digest(given) == before, "a state given out changed when the detector learned more")


def inputs_are_untouched_and_not_kept(case: DetectorCase) -> None:
    """The caller may do with its arrays what it likes, before and after."""
    one, rows, more = case.make(), case.rows.copy(), case.more.copy()
    one.fit(rows).partial_fit(more)
    one.decision_function(more)
    hold(_same(rows, case.rows) and _same(more, case.more), "an input array was changed")
    before = digest(one.state_dict()), one.decision_function(case.more)
    rows[:], more[:] = 1e6, -1e6
    hold(digest(one.state_dict()) == before[0], "the state changed with the caller's array")
    hold(_same(one.decision_function(case.more), before[1]), "scores changed with the caller's array")


def made_twice_it_is_the_same(case: DetectorCase) -> None:
    """Two made and fitted alike have the same bits."""
    one, two = case.make().fit(case.rows), case.make().fit(case.rows)
    hold(digest(one.state_dict()) == digest(two.state_dict()), "fitted twice, two states")
    hold(_same(one.decision_function(case.more), two.decision_function(case.more)), "fitted twice, two scores")


DETECTOR_CHECKS: tuple[Callable[[DetectorCase], None], ...] = (
    score_is_pure,
    a_row_alone_is_a_row_in_a_batch,
    order_and_batches_change_nothing,
    a_refused_input_changes_nothing,
    saved_and_loaded_it_goes_on_as_if_never_stopped,
    a_state_is_a_copy,
    inputs_are_untouched_and_not_kept,
    made_twice_it_is_the_same,
)


def _same(left: Any, right: Any) -> bool:
    return np.asarray(left).tobytes() == np.asarray(right).tobytes()


def _refuses(call: Callable[[Any], Any], bad: Any) -> bool:
    try:
        call(bad)
    except JamaisError:
        return True
    return False
