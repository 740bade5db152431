"""Is a value in a variable place of a template far from all that was seen there?

A slot is told by the literal text before it (`size `, `state=`) and the unit after it. Numbers keep their
extremes and a histogram of magnitudes, words a short list. Ids, ports, addresses, times and counters have
no usual value: the names of some give them away, the rest is seen by setting a new extreme again and again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jamais.errors import CorruptStateError
from jamais.parsing.secrets import hide_secrets
from jamais.types import StateTree

_TOKEN = re.compile(rb"[^\s=,;()\[\]{}<>\"'|]+")
_NUMBER = re.compile(rb"(-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,9})?)([A-Za-z%]{0,3})")
_NO_VALUE = re.compile(
    rb"(?i)(?:id|pid|tid|ppid|uid|gid|port|seq|sequence|serial|epoch|timestamp|version|line|offset|node|rank|thread"
    rb"|user|host|address|addr|blk|block|job|task|attempt|session|request|txn|lsn|xid|from|to|at|core|cpu|slot|index|no|nr)"
    rb"[\s=:#_\"'(\[-]*$"
)
_SLOTS = 12  # per template
_WORDS = 12  # more distinct words than this are no closed set
_ENOUGH = 100  # values before a slot says anything
_PROBES = 3  # slots of a template that are watched: each costs a search per line
_LONGEST_WORD = 40

_HIDDEN = b"secret"  # what is left of `<secret>` between brackets, which are no part of words

Finding = tuple[float, str]


@dataclass
class Slot:
    """What was seen in one place: numbers or words."""

    n: int = 0
    low: float = math.inf
    high: float = -math.inf
    extremes: int = 0
    magnitudes: dict[int, int] = field(default_factory=dict)
    words: dict[str, int] = field(default_factory=dict)
    open: bool = False

    def see_number(self, value: float) -> None:
        self.n += 1
        if value > self.high or value < self.low:
            self.extremes += 1
            self.low, self.high = min(self.low, value), max(self.high, value)
        magnitude = _magnitude(value)
        self.magnitudes[magnitude] = self.magnitudes.get(magnitude, 0) + 1

    def see_word(self, word: str) -> None:
        self.n += 1
        if not self.open:
            self.words[word] = self.words.get(word, 0) + 1
            if len(self.words) > _WORDS:
                self.open, self.words = True, {}

    def add(self, other: Slot) -> None:
        """Take over what another slot saw."""
        self.n += other.n
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.extremes += other.extremes
        for magnitude, count in other.magnitudes.items():
            self.magnitudes[magnitude] = self.magnitudes.get(magnitude, 0) + count
        for word, count in other.words.items():
            self.words[word] = self.words.get(word, 0) + count
        self.open = self.open or other.open or len(self.words) > _WORDS
        if self.open:
            self.words = {}

    def limit(self) -> float:
        """Return the number from which a value is far outside, or inf if there is none."""
        # n values in any stable order set about 2 (ln n + .6) extremes; counters and clocks set n.
        if self.n < _ENOUGH or self.extremes > 4 * math.log(self.n) + 8 or self.high <= 0:
            return math.inf
        return max(10.0, 2 * self.high, self.high * float(2 ** min(self.spread(), 10)))

    def spread(self) -> int:
        """Return how many times the largest value is twice the median."""
        seen = 0
        for magnitude in sorted(self.magnitudes):
            seen += self.magnitudes[magnitude]
            if 2 * seen >= self.n:
                return max(_magnitude(self.high) - magnitude, 0)
        return 0

    def row(self) -> list[object]:
        """Return the slot as JSON values."""
        magnitudes = [[m, count] for m, count in self.magnitudes.items()]
        words = [[word, count] for word, count in self.words.items()]
        return [self.n, _finite(self.low), _finite(self.high), self.extremes, self.open, magnitudes, words]

    def is_closed(self) -> bool:
        """Say whether the words are a small set, each seen more than once: then a new one is evidence."""
        return not self.open and self.n >= _ENOUGH and len(self.words) > 1 and min(self.words.values()) > 1


Key = tuple[bytes, bytes]


class SlotTable:
    """Bounded summaries of the numbers and words in the variable places of each template."""

    def __init__(self, capacity: int = 5_000) -> None:
        self.capacity = capacity
        self._slots: dict[int, dict[Key, Slot]] = {}

    def observe(self, template: int, raw: bytes) -> None:
        """Learn from one raw record of `template`: the first 200, then a sample, are enough."""
        slots = self._slots.get(template)
        if slots is None:
            if len(self._slots) >= self.capacity:
                return
            slots = self._slots[template] = {}
        seen: set[Key] = set()
        text = _text(raw)
        public = hide_secrets(text)
        for prefix, value in _places(raw if public == text else public.encode("latin-1")):
            number = _NUMBER.fullmatch(value)
            key = (prefix, number[2] if number else b"")
            if key in seen or (number and _NO_VALUE.search(prefix)):
                continue
            seen.add(key)
            slot = slots.get(key)
            if slot is None:
                if len(slots) >= _SLOTS or _HIDDEN in prefix or value == _HIDDEN:
                    continue
                slot = slots[key] = Slot()
            if number:
                slot.see_number(float(number[1]))
            else:
                slot.see_word(_text(value))
        if len(slots) >= _SLOTS:
            self._make_room(slots)

    def probe(self, template: int) -> Probe | None:
        """Return what looks at a raw record of `template`, or None if nothing in it has a usual value."""
        checks: list[Check] = []
        for (prefix, unit), slot in self._slots.get(template, {}).items():
            check = _number_check(prefix, unit, slot) or _word_check(prefix, slot)
            if check is not None:
                checks.append(check)
        return Probe(checks[:_PROBES]) if checks else None

    def fold(self, survivors: Sequence[int]) -> None:
        """Give the slots of templates that became one to the survivor: `survivors[index]`."""
        folded = SlotTable(self.capacity)
        folded.merge(self, survivors)
        self._slots = folded._slots

    def merge(self, other: SlotTable, index: Sequence[int] | None = None) -> None:
        """Add what another table saw; `index[i]` is the number here of its template i."""
        for template, slots in other._slots.items():
            here = int(index[template]) if index is not None else template
            if here not in self._slots and len(self._slots) >= self.capacity:
                continue
            mine = self._slots.setdefault(here, {})
            for key, slot in slots.items():
                if key in mine or len(mine) < _SLOTS:
                    mine.setdefault(key, Slot()).add(slot)

    def state_dict(self) -> StateTree:
        """Return all that is needed to go on exactly."""
        rows = [
            [template, _text(prefix), _text(unit), *slot.row()]
            for template, slots in self._slots.items()
            for (prefix, unit), slot in slots.items()
        ]
        return {"rows": rows, "templates": list(self._slots)}

    def load_state_dict(self, tree: StateTree) -> None:
        """Go on from `tree`. Raises `CorruptStateError` for a row that is no slot."""
        self._slots = {int(template): {} for template in tree["templates"]}
        for row in tree["rows"]:
            try:
                template, prefix, unit, n, low, high, extremes, is_open, magnitudes, words = row
                self._slots[int(template)][prefix.encode("latin-1"), unit.encode("latin-1")] = Slot(
                    n=int(n),
                    low=math.inf if low is None else float(low),
                    high=-math.inf if high is None else float(high),
                    extremes=int(extremes),
                    magnitudes={int(m): int(c) for m, c in magnitudes},
                    words={str(w): int(c) for w, c in words},
                    open=bool(is_open),
                )
            except (ValueError, TypeError, KeyError) as error:
                raise CorruptStateError(f"slots.rows: {row!r} is no slot ({error})") from None

    def _make_room(self, slots: dict[Key, Slot]) -> None:
        """Forget places with one word only (the tree knows that word) and those that are no closed set."""
        for key, slot in list(slots.items()):
            if slot.n >= _ENOUGH // 2 and not slot.magnitudes and (slot.open or len(slot.words) == 1):
                del slots[key]


Check = tuple[re.Pattern[bytes], Callable[[bytes], Finding | None]]


class Probe:
    """Look at one raw record for values far outside; a usual record costs one literal search per slot."""

    __slots__ = ("_checks", "patterns")

    def __init__(self, checks: list[Check]) -> None:
        self.patterns = [pattern for pattern, _ in checks]
        """None of them found in a whole blob of records: nothing unusual in any of them."""
        self._checks = [(pattern.search, judge) for pattern, judge in checks]

    def __call__(self, raw: bytes) -> Finding | None:
        """Return (nats, what is unusual), None for a usual record."""
        for search, judge in self._checks:
            found = search(raw)
            if found is not None:
                finding = judge(found[1])
                if finding is not None:
                    return finding
        return None


def _places(raw: bytes) -> list[tuple[bytes, bytes]]:
    """Return (literal text before, value) of every token of `raw` that follows a token without digits."""
    places: list[tuple[bytes, bytes]] = []
    start = -1
    for found in _TOKEN.finditer(raw):
        token = found[0]
        if start >= 0 and len(token) <= _LONGEST_WORD:
            prefix = raw[start : found.start()]
            grouped = raw[found.end() : found.end() + 1] == b"," and raw[found.end() + 1 : found.end() + 2].isdigit()
            if len(prefix) <= _LONGEST_WORD and not grouped and raw.find(prefix) == start:
                places.append((prefix, token))
        start = -1 if any(48 <= byte <= 57 for byte in token) else found.start()
    return [(p, v) for p, v in places if _NUMBER.fullmatch(v) or not any(48 <= byte <= 57 for byte in v)]


def _number_check(prefix: bytes, unit: bytes, slot: Slot) -> Check | None:
    limit = slot.limit()
    if not slot.magnitudes or limit == math.inf:
        return None
    # A number far above has as many digits as the limit: most records fail on that, inside the regex engine.
    digits = max(len(str(int(limit))), 1)
    sign = rb"-[0-9][0-9.]*|" if slot.low >= 0 else b""
    end = re.escape(unit) + rb"(?![A-Za-z0-9%]|[.,:/-][0-9])"
    pattern = re.compile(re.escape(prefix) + rb"(" + sign + rb"[0-9]{%d,15}(?:\.[0-9]{1,9})?)" % digits + end)
    low, high, n, spread = slot.low, slot.high, slot.n, max(1, slot.spread())
    name = _text(prefix).strip(" =:\"'([")
    usual = f"normally {_say(low)}–{_say(high)}{_text(unit)}"

    def judge(found: bytes) -> Finding | None:
        value = float(found)
        if 0 <= value < limit:
            return None
        beyond = math.log(value / limit) / (spread * math.log(2)) if value > 0 else 0.0
        return math.log(n + 1) + min(beyond, 10.0), f"{name} {_say(value)}{_text(unit)}, {usual}"

    return pattern, judge


def _word_check(prefix: bytes, slot: Slot) -> Check | None:
    if not slot.words or not slot.is_closed():
        return None
    known = b"|".join(re.escape(word.encode("latin-1")) for word in sorted(slot.words, key=len, reverse=True))
    inside = rb"[^\s=,;()\[\]{}<>\"'|]"
    pattern = re.compile(
        re.escape(prefix)
        + rb"(?!(?:"
        + known
        + rb")(?!"
        + inside
        + rb"))([^\s=,;()\[\]{}<>\"'|0-9]+)(?!"
        + inside
        + rb")"
    )
    n, name = slot.n, _text(prefix).strip(" =:\"'([")
    usual = ", ".join(sorted(slot.words, key=lambda word: -slot.words[word])[:3])

    def judge(found: bytes) -> Finding | None:
        return math.log(n + 1), f"{name} {found.decode('utf-8', 'replace')}, normally {usual}"

    return pattern, judge


def _magnitude(value: float) -> int:
    return 0 if abs(value) < 1 else int(math.log2(abs(value))) + 1


def _say(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")  # any bytes, and back
