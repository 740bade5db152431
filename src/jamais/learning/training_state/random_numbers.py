"""Where does every source of random numbers stand, and how does each go on from there?"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch

from jamais.errors import StateError
from jamais.learning.training_state.reading import Apply, part, same_names
from jamais.learning.training_state.tensors import to_array, to_tensor
from jamais.types import StateTree

Source = torch.Generator | np.random.Generator | np.random.RandomState | random.Random
"""What gives random numbers and can be asked where it stands."""

_WRONG = (RuntimeError, TypeError, ValueError, LookupError, OverflowError, AttributeError)  # of a state that is none


class RandomNumbers:
    """Generators by name, and on request those of the process: `random`, `numpy.random`, torch on CPU and CUDA."""

    def __init__(self, sources: Mapping[str, Source] | None = None, *, process_wide: bool = False) -> None:
        self._sources: dict[str, Source | ModuleType] = dict(sources or {})
        self._process_wide = process_wide

    def state_dict(self) -> StateTree:
        """Return where each generator stands; raise `StateError` for one that does not say."""
        return {name: _tree(source, f"rng.{name}") for name, source in self._all().items()}

    def prepare(self, tree: StateTree) -> Apply:
        """Check a saved tree and return what sets the generators; nothing is changed before.

        Raises `StateError` naming a generator that is missing, too many, of another kind or not in a real state.
        """
        here = self._all()
        same_names("rng", tree, here, "generators")
        ready = [_prepare(source, part(tree, name, dict, "rng"), f"rng.{name}") for name, source in here.items()]

        def apply() -> None:
            for one in ready:
                one()

        return apply

    def load_state_dict(self, tree: StateTree) -> None:
        """Set all generators; do it last, after whatever draws numbers while it gets ready (a data loader does)."""
        self.prepare(tree)()

    def _all(self) -> dict[str, Source | ModuleType]:
        if not self._process_wide:
            return self._sources
        wide: dict[str, Source | ModuleType] = {
            "process.python": random,
            "process.numpy": np.random.mtrand._rand,
            "process.torch": torch.default_generator,
        }
        if torch.cuda.is_available():
            torch.cuda.init()  # type: ignore[no-untyped-call]
            wide |= {f"process.cuda:{i}": one for i, one in enumerate(torch.cuda.default_generators)}
        return self._sources | wide


def _tree(source: Source | ModuleType, where: str) -> StateTree:
    if isinstance(source, torch.Generator):
        return {"kind": f"torch {source.device.type}", "bytes": to_array(source.get_state(), where)}
    if isinstance(source, np.random.Generator):
        return {"kind": "numpy", "state": _plain(source.bit_generator.state)}
    if isinstance(source, np.random.RandomState):
        return {"kind": "numpy legacy", "state": _plain(source.get_state(legacy=False))}
    if source is random or (isinstance(source, random.Random) and not isinstance(source, random.SystemRandom)):
        version, words, gauss_next = source.getstate()
        return {
            "kind": "python",
            "version": version,
            "words": np.array(words, dtype=np.uint32),
            "gauss_next": gauss_next,
        }
    raise StateError(f"{where}: {type(source).__name__} has no state to save: use a generator of torch, numpy, python")


def _prepare(source: Source | ModuleType, saved: StateTree, where: str) -> Apply:
    """Try the state on a generator of the same kind that nobody uses, then return what sets the real one."""
    kind, here = part(saved, "kind", str, where), _tree(source, where)["kind"]
    if kind != here:
        raise StateError(f"{where}: saved {kind[:40]}, here {here}: use a generator of the same kind")
    try:
        if isinstance(source, torch.Generator):
            state = to_tensor(saved["bytes"], where)
            torch.Generator(source.device).set_state(state)
            return lambda: _discard(source.set_state(state))
        if isinstance(source, np.random.Generator):
            bits = source.bit_generator
            plain = _like(saved["state"], _plain(bits.state))
            type(bits)(0).state = plain
            return lambda: setattr(bits, "state", plain)
        if isinstance(source, np.random.RandomState):
            now = source.get_state(legacy=False)
            legacy = _like(saved["state"], _plain(now))
            np.random.RandomState(getattr(np.random, now["bit_generator"])(0)).set_state(legacy)
            return lambda: source.set_state(legacy)
        python = (saved["version"], tuple(saved["words"].tolist()), saved["gauss_next"])
        random.Random(0).setstate(python)
        return lambda: source.setstate(python)
    except _WRONG as error:
        raise StateError(f"{where}: not a state of such a generator ({error!s:.80}): load another version") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _like(state: Any, here: StateTree) -> StateTree:
    """Return `state` if it has the form of the state here; numpy itself looks at little of it."""
    if _form(state) != _form(here) or state["bit_generator"] != here["bit_generator"]:
        raise ValueError("of another form")
    # numpy believes these two and would read beyond its buffers.
    if not 0 <= state["state"].get("pos", 0) <= 624 or not 0 <= state.get("buffer_pos", 0) <= 4:
        raise ValueError("a position outside its buffer")
    checked: StateTree = state
    return checked


def _form(value: Any) -> Any:
    if type(value) is dict:
        return {key: _form(inner) for key, inner in value.items()}
    return (value.dtype, value.shape) if isinstance(value, np.ndarray) else type(value)


def _discard(_: object) -> None:
    return None
