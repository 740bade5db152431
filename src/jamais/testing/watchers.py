"""Does a watcher keep its contract?"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jamais.testing.bits import digest, hold


class Stream(Protocol):
    """What scores data that comes in pieces."""

    def push(self, rows: Any) -> Any: ...

    def flush(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, tree: dict[str, Any]) -> None: ...


class Watcher(Protocol):
    """What is asked of a watcher; its verdicts are polars frames."""

    @property
    def recipe(self) -> Any: ...

    def score(self, data: Any) -> Any: ...

    def learn(
        self, data: Any, trust: str = "normal", dry_run: bool = False, *, limits: Mapping[str, float] | None = None
    ) -> Any: ...

    def drift(self, verdicts: Any) -> Any: ...

    def stream(self) -> Any: ...


@dataclass(frozen=True)
class WatcherCase:
    """A way to fit a watcher, a way to save and load one, `rows` to score and `more` normal rows to learn."""

    make: Callable[[], Any]
    reload: Callable[[Any], Any]
    rows: Sequence[Any]
    more: Sequence[Any]


def score_is_pure(case: WatcherCase) -> None:
    """Scoring changes no bit of the state, and twice is the same."""
    one = case.make()
    before = _state(one)
    first = one.score(case.rows)
    hold(bool(first["abnormal"].any()), "give rows of which some alarm: others prove little")
    hold(_state(one) == before, "score changed the state")
    _equal(first, one.score(case.rows), "scoring twice gave two results")


def inputs_are_untouched(case: WatcherCase) -> None:
    """The caller's rows are as they were."""
    one, rows, more = case.make(), list(case.rows), list(case.more)
    one.score(rows)
    one.learn(more)
    hold(rows == list(case.rows) and more == list(case.more), "the caller's rows were changed")


def saved_and_loaded_it_goes_on_as_if_never_stopped(case: WatcherCase) -> None:
    """A loaded watcher scores, learns and scores again with the same bits."""
    one = case.make()
    two = case.reload(one)
    hold(_state(two) == _state(one), "what is loaded is not what was saved")
    _equal(one.score(case.rows), two.score(case.rows), "a loaded one scores otherwise")
    for trust in ("normal", "unknown"):
        one.learn(case.more, trust=trust)
        two.learn(case.more, trust=trust)
        hold(_state(two) == _state(one), f"a loaded one learns otherwise (trust {trust})")
    _equal(one.score(case.rows), two.score(case.rows), "it scores otherwise afterwards")


def a_dry_run_changes_nothing(case: WatcherCase) -> None:
    """Measuring an update is not making it."""
    one = case.make()
    before = _state(one)
    for trust in ("normal", "unknown"):
        measured = one.learn(case.more, trust=trust, dry_run=True)
        hold(_state(one) == before, f"a dry run (trust {trust}) changed the state")
        hold(measured.records > 0, "a dry run says it saw nothing")
    one.learn(case.more)
    hold(_state(one) != before, "learning changed nothing")


def a_dry_run_says_what_the_update_says(case: WatcherCase) -> None:
    """The figures of an update are known before it is made."""
    for trust in ("normal", "unknown"):
        one = case.make()
        measured = one.learn(case.more, trust=trust, dry_run=True)
        hold(one.learn(case.more, trust=trust) == measured, f"a dry run (trust {trust}) gave other figures")


def other_limits_are_for_one_update(case: WatcherCase) -> None:
    """What is allowed once is not allowed for ever, and a limit of nothing refuses."""
    one, other = case.make(), case.make()
    one.learn(case.more, limits={"looks_abnormal": 1.0})
    other.learn(case.more)
    hold(_state(one) == _state(other), "another limit for one update is still there after it")
    hold(one.learn(case.more, dry_run=True, limits={"looks_abnormal": 1.0}).checks != (), "an update measured nothing")


def pieces_drift_as_the_whole(case: WatcherCase) -> None:
    """Following verdicts piece by piece finds the drift of the whole."""
    one = case.make()
    frame = one.score(case.rows)
    drifting = one.recipe.drifting()
    for start in range(0, len(frame), 7):
        drifting.push(frame[start : start + 7])
    hold(drifting.report() == one.drift(frame), "pieces gave another drift")


def learning_leaves_older_recipes_alone(case: WatcherCase) -> None:
    """What a thread holds while another learns stays as it was."""
    one = case.make()
    held, before = one.recipe, _state(one)
    stream = one.stream()
    one.learn(case.more)
    hold(digest(held.state_dict()) == before, "learning changed a recipe that somebody may be scoring with")
    _equal(_streamed(stream, [case.rows]), case.make().score(case.rows), "a stream did not keep to its version")


def pieces_give_the_verdicts_of_the_whole(case: WatcherCase) -> None:
    """Pushing rows piece by piece and flushing equals scoring them at once."""
    one = case.make()
    whole = one.score(case.rows)
    for size in (1, 7, 64):
        _equal(_streamed(one.stream(), _pieces(case.rows, size)), whole, f"pieces of {size} rows gave other verdicts")


def a_stream_stopped_half_way_goes_on_exactly(case: WatcherCase) -> None:
    """The state of a stream is JSON, and a new stream goes on from it."""
    one = case.make()
    half = len(case.rows) // 2
    first, second = one.stream(), one.stream()
    told = [first.push(case.rows[:half])]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    _equal(
        _joined([*told, second.push(case.rows[half:]), second.flush()]),
        one.score(case.rows),
        "a stream that was stopped and resumed gave other verdicts",
    )


def made_twice_it_is_the_same(case: WatcherCase) -> None:
    """Two fitted alike have the same bits."""
    one, two = case.make(), case.make()
    hold(_state(one) == _state(two), "fitted twice, two states")


WATCHER_CHECKS: tuple[Callable[[WatcherCase], None], ...] = (
    score_is_pure,
    inputs_are_untouched,
    saved_and_loaded_it_goes_on_as_if_never_stopped,
    a_dry_run_changes_nothing,
    a_dry_run_says_what_the_update_says,
    other_limits_are_for_one_update,
    pieces_drift_as_the_whole,
    learning_leaves_older_recipes_alone,
    pieces_give_the_verdicts_of_the_whole,
    a_stream_stopped_half_way_goes_on_exactly,
    made_twice_it_is_the_same,
)


def _state(watcher: Watcher) -> str:
    return digest(watcher.recipe.state_dict())


def _pieces(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _streamed(stream: Stream, pieces: Any) -> Any:
    return _joined([*(stream.push(piece) for piece in pieces), stream.flush()])


def _joined(frames: list[Any]) -> Any:
    import polars as pl

    return pl.concat(frames).sort("row")


def _equal(left: Any, right: Any, broken: str) -> None:
    hold(left.schema == right.schema, f"{broken}: columns differ")
    hold(len(left) == len(right), f"{broken}: {len(left)} and {len(right)} rows")
    differ = [name for name in left.columns if not left[name].equals(right[name], null_equal=True)]
    hold(not differ, f"{broken}: {', '.join(differ)} differ")
