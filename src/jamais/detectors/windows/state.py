"""How are window banks saved and loaded?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jamais import registry
from jamais.detectors.calibration import Calibration
from jamais.detectors.windows.described.grid import ChannelScale
from jamais.detectors.windows.described.surprise import Surprise
from jamais.detectors.windows.remembered import Remembered
from jamais.detectors.windows.settings import BankSettings
from jamais.errors import CorruptStateError, JamaisError
from jamais.settings import as_tree, override
from jamais.types import StateTree

if TYPE_CHECKING:
    from jamais.detectors.windows.window_banks import WindowBanks


def tree_of(banks: WindowBanks) -> StateTree:
    """Give all that is known; what banks hold of remembered windows is made of these again."""
    known = banks.scale is not None
    return {
        "settings": as_tree(banks.settings),
        "seed": banks.seed,
        "channels": banks.channels,
        "n_rows": banks.n_rows,
        "scale": banks.scale.state_dict() if banks.scale is not None else {},
        "units": banks.units if known else np.empty(0),
        "remembered": banks.remembered.state_dict(),
        "counts": banks.counts,
        "calibrations": {name: one.state_dict() for name, one in banks.calibrations.items()} if known else {},
        "forecasts": banks.forecasts.state_dict() if banks.forecasts is not None else None,
        "encoder": _encoder_tree(banks.encoder),
    }


def load(banks: WindowBanks, tree: StateTree) -> None:
    """Let `banks` be what was saved; nothing changes where that does not fit together."""
    made = type(banks)(override(BankSettings(), tree["settings"]), int(tree["seed"]), _encoder_of(tree["encoder"]))
    made.forecasts = None if tree["forecasts"] is None else Surprise.from_state(tree["forecasts"])
    made.channels, made.n_rows = int(tree["channels"]), int(tree["n_rows"])
    if tree["scale"]:
        made.scale = ChannelScale.of_state(tree["scale"])
        units = np.asarray(tree["units"], dtype=np.float64)
        made.counts = np.asarray(tree["counts"], dtype=np.int64)
        made._remember(Remembered.of_state(tree["remembered"], made.window, made.channels), units)
        shape = (len(made.names), len(made.remembered.ends))
        if made.scale.mean.shape != (made.channels,) or units.shape != shape[:1] or made.counts.shape != shape:
            raise CorruptStateError(f"parts of these window banks do not fit {shape}: load another version")
        made.calibrations = {name: _calibration(one) for name, one in tree["calibrations"].items()}
    banks.__dict__.update(made.__dict__)


def _calibration(tree: StateTree) -> Calibration:
    made = Calibration()
    made.load_state_dict(tree)
    return Calibration.of(np.repeat(made.values, made.weights.astype(np.int64)))


def _encoder_tree(encoder: Any) -> StateTree | None:
    return None if encoder is None else {"type": registry.name_of(encoder), "state": encoder.state_dict()}


def _encoder_of(tree: StateTree | None) -> Any:
    if tree is None:
        return None
    made = registry.find(tree["type"])
    if not hasattr(made, "from_state"):
        raise CorruptStateError(f"{tree['type']} is no encoder of windows: load another version")
    try:
        return made.from_state(tree["state"])
    except (KeyError, TypeError, ValueError) as wrong:
        if isinstance(wrong, JamaisError):
            raise
        raise CorruptStateError(
            f"the encoder of these window banks is damaged ({wrong}): load another version"
        ) from wrong
