"""Are whole logs scored as a plain loop over their lines would score them?"""

from __future__ import annotations

import functools
import re
from datetime import timedelta

import numpy as np
import pytest
from tests.reference import naive, small_log
from tests.reference.small_log import BEGIN, ODD, odd_at, said

from jamais.api import fit
from jamais.models.tone import Tone
from jamais.recipes.logs import LogRecipe
from jamais.watcher import Watcher

_VARIABLE = re.compile(r"\b(?:r\d+|\d+)\b")
FIT = small_log.normal()
FIT.insert(len(FIT) * 4 // 5, odd_at(BEGIN + timedelta(seconds=400), "FATAL disk: gone"))  # calibrates


def lines_of(texts: list[str]) -> list[naive.Line]:
    """Read lines by one regular expression; the event is level, source and the text without its variables."""
    found = []
    for text in texts:
        match = re.fullmatch(r"(\S+ \S+) ([A-Z]+) (\w+): (.*)", text)
        assert match is not None
        stamp, level, source, message = match.groups()
        level = {"WARN": "WARNING"}.get(level, level)
        group = re.search(small_log.GROUP_BY, message)
        event = f"{level} {source}: {_VARIABLE.sub('<*>', message)}"
        found.append(naive.Line(micros(stamp), group and group[1], event, source))
    return found


def micros(stamp: str) -> int:
    return int(np.datetime64(stamp.replace(" ", "T"), "us").astype(np.int64))


class Meaning:
    """What meaning adds to an unseen event, from the vectors and tones of all templates, one pair at a time."""

    def __init__(self, recipe: LogRecipe) -> None:
        self.encoder = recipe.meaning.encoder
        self.said = [(c.split("\x1f")[0], t) for c, t in zip(recipe.parser.contexts, recipe.parser.texts, strict=True)]
        self.gaps = [
            min(self.distance(text, other) for j, (_, other) in enumerate(self.said) if j != i)
            for i, (_, text) in enumerate(self.said)
        ]
        self.tones = [self.tone(*one) for one in self.said]
        self.characters = set("".join(text for _, text in self.said))

    def distance(self, text: str, other: str) -> float:
        a, b = self.encoder.encode([text, other]).astype(np.float64)
        return float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    def tone(self, level: str, text: str) -> float:
        return float(Tone.shipped().score([f"{level} {text}"])[0])

    def extra(self, event: str) -> float:
        level, text = event.split(" ", 1)[0], event.split(": ", 1)[1]
        others = [other for _, other in self.said if other != text]
        gap, tone = min(self.distance(text, other) for other in others), self.tone(level, text)
        n = len(self.said) + 1
        novelty = sum(one <= gap + 1e-7 for one in self.gaps) / n
        visible = re.sub(r"<\w+>|<\*>|\s", "", text)
        unknown = sum(c not in self.characters for c in visible) / len(visible)
        return 8 * ((novelty + sum(one <= tone for one in self.tones) / n) / 2 - 0.5) + 2 * unknown


@functools.cache
def watcher_of(mode: str) -> Watcher:
    return fit(FIT, kind="logs", settings={**small_log.TINY, **small_log.MODES[mode]})


def twin_of(mode: str, watcher: Watcher) -> naive.SessionTwin | naive.WindowTwin:
    extra = Meaning(watcher.recipe).extra  # type: ignore[arg-type]
    if mode == "sessions":
        return naive.SessionTwin(extra)
    timed = mode == "window of time"
    # A line is a window of one.
    return naive.WindowTwin(extra, {"lines": 1, "window of lines": 20}.get(mode, 10_000_000), timed)


def later() -> list[str]:
    """Lines of another hour with a gap of a minute, a burst, a session that stops half-way, and something unseen."""
    lines = [one for one in said(150, 2, BEGIN + timedelta(hours=1)) if not one.group or one.group != "r200075"]
    hole = lines[len(lines) // 3].time
    lines = [one for one in lines if not hole < one.time <= hole + timedelta(seconds=60)]
    texts = small_log.text(lines)
    burst = [
        f"{lines[40].time:%Y-%m-%d %H:%M:%S}.999 DEBUG db: req r999 query returned {k % 40} rows" for k in range(200)
    ]
    return texts[:41] + burst + texts[41:200] + [odd_at(lines[200].time)] + texts[200:]


@pytest.mark.parametrize("mode", small_log.MODES)
def test_scores_of_a_later_log_are_those_of_the_slow_twin(mode: str) -> None:
    watcher = watcher_of(mode)
    twin = twin_of(mode, watcher)
    twin.fit(lines_of(FIT))
    frame = watcher.score(later())
    assert frame["score"].to_list() == pytest.approx(twin.score(lines_of(later())), rel=1e-5, abs=1e-8)
    assert frame["score"].max() > 5


@pytest.mark.parametrize("mode", small_log.MODES)
def test_calibration_scores_are_those_the_last_rows_had_when_they_came(mode: str) -> None:
    watcher = watcher_of(mode)
    scores = np.sort(twin_of(mode, watcher).fit(lines_of(FIT)))
    kept = watcher.recipe.calibration  # type: ignore[attr-defined]
    assert np.repeat(kept.values, kept.weights.astype(int)) == pytest.approx(scores, rel=1e-5, abs=1e-8)


def test_sessions_say_where_they_lie() -> None:
    texts = later()
    frame = watcher_of("sessions").score(texts)
    sessions = naive.sessions_of(lines_of(texts))
    assert frame["row"].to_list() == list(range(len(sessions)))
    assert frame["group"].to_list() == [key if isinstance(key, str) else None for key in sessions]
    assert frame["first_row"].to_list() == [members[0] for members in sessions.values()]
    assert frame["last_row"].to_list() == [members[-1] for members in sessions.values()]
    (unseen,) = frame.filter(frame["template"].str.contains("sdb"))["line"].to_list()
    assert ODD in texts[unseen - 1]
    for row in frame.iter_rows(named=True):
        assert row["first_row"] <= row["line"] - 1 <= row["last_row"]


@pytest.mark.parametrize("mode", ["window of lines", "window of time"])
def test_windows_say_where_they_lie_even_empty_ones(mode: str) -> None:
    texts = later()
    watcher = watcher_of(mode)
    frame = watcher.score(texts)
    twin = twin_of(mode, watcher)
    assert isinstance(twin, naive.WindowTwin)
    windows = twin.windows(lines_of(texts))
    assert frame["row"].to_list() == list(range(len(windows)))
    seen = 0
    for row, window in zip(frame.iter_rows(named=True), windows, strict=True):
        if window:
            assert (row["first_row"], row["last_row"]) == (seen, seen + len(window) - 1)
            assert row["first_row"] <= row["line"] - 1 <= row["last_row"]
        else:
            assert row["template"] == "" or "silent" in row["why"] or not row["abnormal"]
        seen += len(window)
    assert any(not window for window in windows) == (mode == "window of time")


def test_a_silent_minute_is_told_as_a_count_of_zero() -> None:
    frame = small_log.fitted("window of time").score(later())
    told = frame.filter(frame["abnormal"])["why"].to_list()
    assert any(why.startswith("silent: 0 in 10 s, normally ") for why in told), told
    assert any(re.match(r"rate: 2\d\d in 10 s, normally \d+–\d+: db lines", why) for why in told), told


def test_lines_say_time_level_source_and_number() -> None:
    texts = later()
    frame = watcher_of("lines").score(texts)
    twins = lines_of(texts)
    assert frame["row"].to_list() == list(range(len(texts)))
    assert frame["line"].to_list() == list(range(1, len(texts) + 1))
    assert frame["time"].dt.epoch("us").to_list() == [line.time for line in twins]
    assert frame["source"].to_list() == [line.source for line in twins]
    assert frame["level"].to_list() == [line.event.split(" ", 1)[0] for line in twins]
