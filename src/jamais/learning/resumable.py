"""How does a training loop become one that may be stopped anywhere and goes on exactly?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jamais.errors import Cancelled
from jamais.learning.checkpoints import Checkpoints
from jamais.learning.stopping import stop_at_step_boundary
from jamais.learning.training_state import TrainingState
from jamais.types import CancelToken


@contextmanager
def resumable(
    state: TrainingState,
    checkpoints: Checkpoints | None,
    *,
    cancel: CancelToken | None = None,
    name: str = "training",
    total: int = 0,
) -> Iterator[Callable[[], None]]:
    """Bring `state` to where the last checkpoint left it; give what the loop calls before each step.

    That call saves when it is time, and when Ctrl-C, SIGTERM or `cancel` asks for it saves and leaves by
    KeyboardInterrupt, SystemExit(143) or Cancelled. At the end of the block the last state is saved. Without
    checkpoints it only looks at `cancel`, and signals do what they always do.

        with resumable(state, checkpoints) as boundary:
            while state.progress.step < 1000:
                boundary()
                ...
                state.progress.stepped(loss)
    """
    progress = state.progress

    def cancelled() -> str:
        return f"{name} was cancelled after {progress.step}{f' of {total}' if total else ''} steps"

    if checkpoints is None:

        def look() -> None:
            if cancel is not None and cancel.cancelled:
                raise Cancelled(cancelled())

        yield look
        return
    saved = checkpoints.resume()
    if saved is not None:
        state.restore(saved)
    with stop_at_step_boundary(cancel) as stop:

        def boundary() -> None:
            if stop.asked:
                checkpoints.finish(progress.step, state.tree, progress.figures)
                stop.leave(cancelled() + ", which are saved")
            checkpoints.at(progress.step, state.tree, progress.figures)

        yield boundary
        checkpoints.finish(progress.step, state.tree, progress.figures)
