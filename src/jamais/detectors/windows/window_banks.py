"""How unlike every window of normal life is the one that ends here? Several banks vote."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from jamais.detectors.calibration import Calibration
from jamais.detectors.windows.described.descriptors import Descriptor, Deviations, Pattern, Shape, Statistics
from jamais.detectors.windows.described.grid import ChannelScale
from jamais.detectors.windows.described.silence import Silence
from jamais.detectors.windows.described.surprise import Surprise
from jamais.detectors.windows.described.trailing import Trailing
from jamais.detectors.windows.jury import Jury, described, described_windows, smoothed
from jamais.detectors.windows.remembered import Priorities, Remembered, candidates
from jamais.detectors.windows.settings import BankSettings
from jamais.detectors.windows.thinning import thinned
from jamais.errors import InputError, NotReadyError, ShapeMismatchError
from jamais.types import Event, Floats, Ints, Listener, StateTree, Vectors, silent

if TYPE_CHECKING:
    from jamais.detectors.windows.blaming import Blame

FEWEST_ROWS = 100
HELD_BACK = 0.3
"""Share of the fit data, the last in time, whose scores say what is rare; remembered are windows of what is before."""
_DRAWN = 8  # windows drawn for each that may be remembered: those much the same as another need no place of their own
_RARE = 0.001  # p-value of what is kept beside the sample when somebody vouches for it,
_APART = 8  # rows at least, of one stretch
MODES = ("causal", "hindsight")


class Encoder(Protocol):
    """A learned descriptor: whole numbers [n, width] for the windows of `w` rows that end at each row."""

    name: str
    w: int
    group: str

    def of(self, trailing: Trailing) -> Floats: ...


class Look(NamedTuple):
    """What the banks say of some rows."""

    score: Floats
    """[n] higher is less normal; about the number of groups of banks for what is just unusual."""
    parts: Floats
    """[n, banks] distances, 1 being the 95 % quantile of normal windows."""


class WindowBanks:
    """Knows what windows of several channels look like in normal life.

    A uniform sample of normal windows is remembered as it was. Each bank describes them in one way, and a window is as
    far from normal as its nearest ones are. Distances count in units of what is usual between normal windows; groups
    of banks have one vote each, and the score is the sum of the votes. `fit` once, then `look`; `learn` more.
    """

    def __init__(self, settings: BankSettings | None = None, seed: int = 0, encoder: Encoder | None = None) -> None:
        self.settings = settings or BankSettings()
        self.seed = int(seed)
        self.encoder = encoder
        self.forecasts: Surprise | None = None
        self.channels = 0
        self.n_rows = 0
        self.scale: ChannelScale | None = None
        self.remembered = Remembered.none(self.window, 0)
        self.calibrations: dict[str, Calibration] = {}
        self.counts: Ints = np.empty((0, 0), dtype=np.int64)
        """[banks, m] windows that each remembered one was the nearest of."""
        self._jury: Jury | None = None

    @property
    def window(self) -> int:
        """Rows of the longest window."""
        of = self.settings
        return max(*of.statistics, *of.deviations, *of.shapes, *of.patterns, *(one.w for one in self._others))

    @property
    def past(self) -> int:
        """Rows before a row that its score looks at."""
        return self.window - 1 + self.settings.smoothing // 2

    @property
    def ahead(self) -> int:
        """Rows after a row that its score looks at, with hindsight."""
        return self.past

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the banks."""
        return tuple(one.name for one in self._descriptors)

    def fit(self, values: Floats, listener: Listener = silent) -> None:
        """Learn from scratch what is normal in `values` [n, C] (NaN = missing), rows in order of time.

        The last 30 % say what is rare, judged by the rest; then all is remembered. Raises InputError for fewer than
        100 rows or no channel.
        """
        values = _checked(values, None)
        if len(values) < FEWEST_ROWS:
            raise InputError(f"{len(values):,} rows to fit on: give at least {FEWEST_ROWS} of normal life")
        self.channels = values.shape[1]
        self.scale = ChannelScale.of(values, self.settings.floor, self.settings.clip)
        steps = self.scale.steps(values)
        before = int(len(steps) * (1.0 - HELD_BACK))
        if self.settings.forecasts:
            self.forecasts = Surprise.learned(steps[:before])
        listener(Event("remembering", 0, 3))
        self._begin(steps[:before])
        listener(Event("calibrating", 1, 3))
        looked = max(0, before - self.past)
        unseen = self.jury.parts(steps, looked, before)
        self._draw(steps)
        # Judged by what came before, as life goes on; and by what is remembered in the end, which may have lost a phase
        # of the day that the first draw had. The rarer of the two counts.
        apart = self.jury.parts(steps, looked, before, apart=True)
        self.calibrations = {
            name: Calibration.of(np.maximum(self._scores(unseen, name), self._scores(apart, name))) for name in MODES
        }
        listener(Event("remembering", 2, 3))
        self.n_rows = len(steps)
        self.counts = self.jury.counts(steps)
        listener(Event("remembering", 3, 3))

    def look(self, values: Floats, first: int = 0, last: int | None = None, *, hindsight: bool = False) -> Look:
        """Score rows `first` to `last` of `values` [n, C]; the rows around them are looked at only.

        What lies before the first row given is taken as missing, what lies after the last as not there. Rows need
        `past` rows before them, and with hindsight `ahead` after them, to be scored as in the whole.
        """
        steps = self._steps(values)
        last = len(steps) if last is None else last
        end = min(len(steps), last + self.ahead) if hindsight else last
        begin = max(0, first - self.settings.smoothing // 2) if hindsight else first
        parts = self.jury.parts(steps[:end], max(0, first - self.past), begin)
        asked = slice(first - begin, last - begin)
        if not hindsight:
            return Look(self.jury.score(parts)[asked], parts[asked])
        parts = self.jury.covering(parts)
        return Look(smoothed(self.jury.score(parts), self.settings.smoothing)[asked], parts[asked])

    def calibration(self, hindsight: bool = False) -> Calibration:
        """Give the scores of normal rows that were not remembered when they were judged."""
        if not self.calibrations:
            raise NotReadyError("these banks know nothing yet: fit(values) first")
        return self.calibrations["hindsight" if hindsight else "causal"]

    def learn(self, values: Floats, first: int = 0) -> int:
        """Let the windows that end at rows `first`… of `values` [n, C] be remembered, too; give how many came in.

        The sample stays uniform over all rows ever learned; what then is still rarer than one in a thousand is kept
        beside it.
        """
        steps = self._steps(values)
        before = self.remembered
        ends = np.arange(first, len(steps)) - first + self.n_rows
        rows, priorities = candidates(first, len(steps), self.n_rows, _DRAWN * self.settings.prototypes, self.seed)
        places, own = self.jury.places(described(self._descriptors, steps, rows)), self.jury.own_places()
        stay, stood = thinned(places, own, self._reach, len(before.ends) + len(rows))
        m = len(before.ends)
        more = before.joined(
            steps, rows[stay], ends[rows[stay] - first], priorities[stay], np.zeros(len(stay), dtype=np.int64)
        )
        stands = more.stands + np.bincount(stood[stood >= 0], minlength=m + len(stay))
        self._remember(more._replace(stands=stands).lowest(self.settings.prototypes), self.units)
        novel = self._novel(steps, first)
        if len(novel):
            kept = self.remembered.kept(steps, novel, ends[novel - first], self.settings.kept, self.settings.neighbours)
            self._remember(kept, self.units)
        self.n_rows += len(steps) - first
        came = ~np.isin(self.remembered.ends, before.ends)
        stayed = {end: at for at, end in enumerate(before.ends.tolist())}
        counts = np.zeros((len(self.jury.banks), len(self.remembered.ends)), dtype=np.int64)
        for slot, end in enumerate(self.remembered.ends.tolist()):
            if end in stayed:
                counts[:, slot] = self.counts[:, stayed[end]]
        self.counts = counts + self.jury.counts(steps, first)
        return int(came.sum())

    def blame(self, values: Floats, rows: Ints) -> Blame:
        """Give the channels that make the windows ending at `rows` [m] of `values` [n, C] unlike what is remembered."""
        from jamais.detectors.windows.blaming import blame

        return blame(self, values, rows)

    def places(self, values: Floats, rows: Ints) -> Vectors:
        """Describe the windows that end at `rows` [m] of `values` [n, C] as points [m, width] apart as scores are."""
        from jamais.detectors.windows.blaming import places

        return places(self, values, rows)

    def usage(self) -> dict[str, Ints]:
        """Say of each bank how many windows each remembered one [m] was the nearest of."""
        return dict(zip(self.names, self.counts, strict=True)) if len(self.counts) else {}

    @property
    def jury(self) -> Jury:
        """What judges; raises NotReadyError before `fit`."""
        if self._jury is None:
            raise NotReadyError("these banks know nothing yet: fit(values) first")
        return self._jury

    @property
    def units(self) -> Floats:
        """What is usual between normal windows, in each bank."""
        return self.jury.units

    def steps_of(self, values: Floats) -> Floats:
        """Give `values` [n, C] on the grid on which windows are compared."""
        return self._steps(values)

    @property
    def weights(self) -> Floats:
        """The weight of each bank's vote [banks]."""
        return self.jury.weights

    def copy(self) -> WindowBanks:
        """Give banks that go on by themselves."""
        return copy.copy(self)  # what they hold is replaced, never changed

    def state_dict(self) -> StateTree:
        from jamais.detectors.windows.state import tree_of

        return tree_of(self)

    def load_state_dict(self, tree: StateTree) -> None:
        """Become the banks of a state; raise CorruptStateError and change nothing."""
        from jamais.detectors.windows.state import load

        load(self, tree)

    @property
    def _descriptors(self) -> list[Descriptor]:
        of = self.settings
        made: list[Descriptor] = [Statistics(w) for w in of.statistics]
        made += [Deviations(w) for w in of.deviations]
        made += [Shape(w) for w in of.shapes]
        if self.scale is not None:
            made += [Pattern(w, self.scale) for w in of.patterns]
        return [*made, *self._others]

    @property
    def _others(self) -> list[Descriptor]:
        return [*(one for one in (self.forecasts, self.encoder) if one is not None), Silence()]

    def _steps(self, values: Floats) -> Floats:
        if self.scale is None:
            raise NotReadyError("these banks know nothing yet: fit(values) first")
        return self.scale.steps(_checked(values, self.channels))

    def _remember(self, remembered: Remembered, units: Floats, known: list[Floats] | None = None) -> None:
        """Let these windows be what is remembered, `known` by their descriptions; else what is new is described."""
        descriptors = self._descriptors
        if known is None:
            old = self._jury
            slots = {} if old is None else {end: slot for slot, end in enumerate(old.ends.tolist())}
            slot = np.array([slots.get(end, -1) for end in remembered.ends.tolist()], dtype=np.int64)
            fresh = described_windows(descriptors, remembered.at(np.flatnonzero(slot < 0)).steps(), self.window)
            known = [np.empty((len(slot), rows.shape[1])) for rows in fresh]
            for at, rows in enumerate(fresh):
                known[at][slot < 0] = rows
                if old is not None:
                    known[at][slot >= 0] = old.banks[at].rows[slot[slot >= 0]]
        self.remembered = remembered
        self._jury = Jury.of(known, descriptors, remembered, self.settings.neighbours, units)

    def _begin(self, steps: Floats) -> None:
        """Draw a first sample, to measure by it what is much the same; then one of windows that are not."""
        rows, priorities = self._candidates(steps, self.settings.prototypes)
        stands = np.ones(len(rows), dtype=np.int64)
        none = Remembered.none(self.window, self.channels)
        first = none.joined(steps, rows, rows, priorities, stands)
        self._remember(first, np.ones(len(self._descriptors)), described(self._descriptors, steps, rows))
        self._jury = self.jury.measured(steps)
        self._draw(steps)
        self._jury = self.jury.measured(steps)

    def _draw(self, steps: Floats) -> None:
        """Remember a uniform sample of the windows of `steps` that are not much the same."""
        rows, priorities = self._candidates(steps, _DRAWN * self.settings.prototypes)
        known = described(self._descriptors, steps, rows)
        places = self.jury.places(known)
        stay, stood = thinned(places, places[:0], self._reach, self.settings.prototypes)
        stands = np.bincount(stood[stood >= 0], minlength=len(stay))
        none = Remembered.none(self.window, self.channels)
        drawn = none.joined(steps, rows[stay], rows[stay], priorities[stay], stands)
        self._remember(drawn, self.units, [one[stay] for one in known])

    def _candidates(self, steps: Floats, most: int) -> tuple[Ints, Priorities]:
        """Draw rows of the fit data at which whole windows end."""
        rows, priorities = candidates(0, len(steps), 0, len(steps), self.seed)
        whole = rows >= min(self.window - 1, len(steps) // 2)
        return rows[whole][:most], priorities[whole][:most]

    @property
    def _reach(self) -> float:
        """Distance of places up to which windows are much the same."""
        return self.settings.alike * float(np.sqrt(self.jury.weights.sum()))

    def _scores(self, parts: Floats, mode: str) -> Floats:
        if mode == "causal":
            return self.jury.score(parts)
        return smoothed(self.jury.score(self.jury.covering(parts)), self.settings.smoothing)

    def _novel(self, steps: Floats, first: int) -> Ints:
        """Name rows from `first` on that are still rarer than one in a thousand, some of each stretch."""
        calibration = self.calibration()
        score = self.jury.score(self.jury.parts(steps, max(0, first - self.past), first))
        rare = np.flatnonzero(calibration.p_value(score)[0] <= _RARE)
        return np.asarray(rare[np.unique(rare // _APART, return_index=True)[1]] + first, dtype=np.int64)


def _checked(values: Floats, channels: int | None) -> Floats:
    """Take values [n, C] as float64, infinite ones as missing."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0 or channels not in (None, rows.shape[1]):
        wanted = "channels" if channels is None else channels
        raise ShapeMismatchError(f"wanted values [n, {wanted}], got {rows.shape}: one channel alone is x[:, None]")
    return np.where(np.isfinite(rows), rows, np.nan)
