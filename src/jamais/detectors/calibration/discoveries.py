"""Which of many p-values are discoveries, when only so large a share of these may be false?"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from jamais.errors import CorruptStateError, InputError, SettingsError
from jamais.types import Bools, Floats, Ints, StateTree

METHODS = ("bh", "by")
_REMEMBERED = 1_000
_GAMMA = 0.07720838  # makes the sequence below add up to at most 1 (Javanmard & Montanari, 2018)


def discovered(p_values: ArrayLike, level: float = 0.1, method: str = "bh") -> Bools:
    """Say which of a batch of `p_values` [n] are discoveries [n]: a share `level` at most is false, on average.

    `bh` (Benjamini & Hochberg, 1995) holds for independent p-values and for those of one detector: they share
    its calibration rows, which makes them positively dependent (PRDS), and that is enough (Bates, Candès, Lei,
    Romano & Sesia, "Testing for outliers with conformal p-values", Ann. Statist. 2023). `by` (Benjamini &
    Yekutieli, 2001) holds under any dependence, for a level lower by 1 + 1/2 + … + 1/n.

    Below 1 / (n_calibration + 1) the guarantee is as good as the fitted tail. The batch must be fixed beforehand:
    for a stream that is looked at as it comes, use `OnlineDiscoveries`.
    """
    _check_level(level)
    return np.asarray(adjusted(p_values, method) <= level)


def adjusted(p_values: ArrayLike, method: str = "bh") -> Floats:
    """Return for each of `p_values` [n] the lowest level at which it is a discovery, [n], never above 1."""
    if method not in METHODS:
        raise SettingsError(f"discoveries are made by {' or '.join(METHODS)}, got {method!r}")
    p = checked_p_values(p_values)
    n = len(p)
    order = np.argsort(p, kind="stable")[::-1]
    factor = float((1.0 / np.arange(1, n + 1)).sum()) if method == "by" else 1.0
    levels = np.minimum.accumulate(p[order] * (n / np.arange(n, 0, -1)) * factor)
    found = np.empty(n)
    found[order] = np.minimum(levels, 1.0)
    return found


class OnlineDiscoveries:
    """Say at once of each p-value of a stream whether it is a discovery: LORD++ (Ramdas et al., NeurIPS 2017).

    Each test spends from a wealth that discoveries refill; `wealth`, at most `level`, is what it starts with.

    **Holds** at every moment of an endless stream: of the discoveries so far, a share `level` at most is false on
    average (FDR), if the p-values of normal rows are super-uniform and independent of one another and of the
    abnormal rows; if super-uniform given the past only, the ratio of the averages is (mFDR). p-values that share n
    calibration rows are nearly so: all are off together by what n rows leave open, and tests far below 1 / (n + 1)
    are as good as the fitted tail. **Does not hold** when the calibration has gone stale: see `AdaptiveRate`.

    Remembers the places of the last 1,000 discoveries: what it forgets can only make it more careful. Long
    silence makes it strict as well; the level of the next test is `next_level`.
    """

    def __init__(self, level: float = 0.1, wealth: float | None = None) -> None:
        _check_level(level)
        self.level = float(level)
        self.wealth = self.level / 2.0 if wealth is None else float(wealth)
        if not 0.0 < self.wealth <= self.level:
            raise SettingsError(f"OnlineDiscoveries wants 0 < wealth <= level {level}, got {wealth}")
        self.n_rows = 0
        self.n_found = 0
        self._places: Ints = np.empty(0, dtype=np.int64)  # of the latest discoveries, the first has place 1

    @property
    def next_level(self) -> float:
        """The p-value up to which the next row would be a discovery."""
        return self._level_at(self.n_rows + 1)

    def decide(self, p_values: ArrayLike) -> Bools:
        """Say of rows with `p_values` [n], in order, which are discoveries [n]; cutting the stream changes nothing."""
        p = checked_p_values(p_values)
        found = np.zeros(len(p), dtype=bool)
        for i, one in enumerate(p.tolist()):
            self.n_rows += 1
            if one <= self._level_at(self.n_rows):
                found[i] = True
                self.n_found += 1
                self._places = np.append(self._places, self.n_rows)[-_REMEMBERED:]
        return found

    def state_dict(self) -> StateTree:
        return {
            "level": self.level,
            "wealth": self.wealth,
            "n_rows": self.n_rows,
            "n_found": self.n_found,
            "places": self._places.copy(),
        }

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the discoveries of a state; raise `CorruptStateError` and change nothing."""
        try:
            loaded = OnlineDiscoveries(float(tree["level"]), float(tree["wealth"]))
            loaded.n_rows, loaded.n_found = int(tree["n_rows"]), int(tree["n_found"])
            places = np.array(tree["places"], dtype=np.int64)
            fits = places.shape == (min(loaded.n_found, _REMEMBERED),) and loaded.n_found <= loaded.n_rows
            ordered = fits and bool((np.diff(places, prepend=0) > 0).all() and (places <= loaded.n_rows).all())
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CorruptStateError(f"not the state of OnlineDiscoveries ({error}): load another version") from None
        if not ordered:
            raise CorruptStateError("discoveries.places: not so many rising places of rows: load another version")
        loaded._places = places
        self.__dict__.update(loaded.__dict__)

    def _level_at(self, place: int) -> float:
        """Spend from the first wealth and from what each discovery has earned (Ramdas et al., 2017, eq. 8)."""
        spent = self.wealth * float(_gamma(np.array([place]))[0])
        if not len(self._places):
            return spent
        parts = _gamma(place - self._places)
        earned = self.level * float(parts.sum())
        if self.n_found == len(self._places):  # the first discovery earns less: it pays the first wealth back
            earned -= self.wealth * float(parts[0])
        return spent + earned


def checked_p_values(p_values: ArrayLike) -> Floats:
    """Copy `p_values` [n] as numbers; raise `InputError` unless all lie in 0 … 1."""
    p = np.array(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise InputError(f"p-values are a list of numbers in 0 … 1, got shape {p.shape}: drop NaN, see p_value()")
    return p


def _gamma(steps: Ints) -> Floats:
    """Spend what part of a wealth at which step [n] >= 1 after it was earned."""
    logs = np.log(np.maximum(steps, 2))
    return np.asarray(_GAMMA * logs / (steps * np.exp(np.sqrt(np.log(steps)))), dtype=np.float64)


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise SettingsError(f"the level is the share of discoveries that may be false, between 0 and 1, got {level}")
