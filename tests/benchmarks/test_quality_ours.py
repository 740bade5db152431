"""Does our row of the quality benchmark see only what a user would type? A stand-in plays the watcher."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("scipy", reason="the protocol imports the baselines")

from benchmarks.quality import ours
from test_quality_protocol import TEXTS, datasets, splits

import jamais


class StandIn:
    """Scores a group by its number of the word fatal; groups come out in reverse."""

    def __init__(self, grouping, drop=0):
        self.grouping, self.drop = grouping, drop

    def score(self, path):
        lines = Path(path).read_text().splitlines()
        if "window" in self.grouping:
            size = self.grouping["window"]
            scores = [sum("fatal" in x for x in lines[i : i + size]) for i in range(0, len(lines), size)]
            return pl.DataFrame({"score": np.array(scores, float), "p_value": 1.0 / (1 + np.array(scores))})
        groups = {}
        for line in lines:
            name = re.search(self.grouping["group_by"], line)[1]
            groups[name] = groups.get(name, 0) + ("fatal" in line)
        names = list(groups)[::-1][self.drop :]
        scores = np.array([groups[name] for name in names], float)
        p_values = np.where(scores > 0, 0.005, 0.5)
        return pl.DataFrame({"group": names, "score": scores, "p_value": p_values})


@pytest.fixture
def calls(monkeypatch):
    seen = []

    def fit(path, *, kind, seed, settings, **grouping):
        seen.append((Path(path).read_text().splitlines(), kind, seed, settings, grouping))
        return StandIn(grouping)

    monkeypatch.setattr(jamais, "fit", fit, raising=False)
    return seen


def test_verdicts_are_joined_with_the_test_sessions_by_group(calls):
    split = splits()["operator", "normal"]
    run = ours.run_jamais("jamais", split, seed=3)
    assert run.scores.tolist() == [0, 0, 0, 0, 1, 1]
    assert run.alarms[0.01].tolist() == [False] * 4 + [True] * 2
    assert not run.alarms[0.001].any()
    lines, kind, seed, settings, grouping = calls[0]
    assert lines == list(split.fit_lines())
    assert (kind, seed, settings) == ("logs", 3, {"severity": True})
    assert grouping == {"group_by": datasets.BLOCK}


def test_the_second_row_switches_the_tone_off(calls):
    ours.run_jamais("jamais without tone", splits()["whole", "normal"], seed=0)
    assert calls[0][3] == {"severity": False}


def test_windows_are_taken_in_the_order_they_come(calls):
    window = (1,) * 20
    later = [(0, window), (1, (9, *window[1:]))]
    split = datasets.window_split("w", [(0, window)] * 3, later, TEXTS, tail=1)
    assert ours.run_jamais("jamais", split, seed=0).scores.tolist() == [0.0, 1.0]
    assert calls[0][4] == {"window": 20}


def test_a_test_session_without_a_verdict_is_an_error_and_not_a_normal(monkeypatch):
    monkeypatch.setattr(jamais, "fit", lambda path, **_: StandIn({"group_by": datasets.BLOCK}, 2), raising=False)
    with pytest.raises(ValueError, match="2 of 6 test groups"):
        ours.run_jamais("jamais", splits()["operator", "normal"], seed=0)
