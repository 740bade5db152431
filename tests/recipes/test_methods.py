"""Does every detector serve a log watcher, and are its reasons of use?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.reference import small_log

import jamais
from jamais.errors import SettingsError
from jamais.memory import CoverMemory
from jamais.recipes.logs.events.novelty import FEWEST_ROWS, METHODS, Novelty
from jamais.testing import digest


def varied(n: int = 400) -> list[str]:
    """Log lines of some forty templates, so that detectors have something to go by."""
    verbs = ("opened", "closed", "flushed", "copied", "checked", "renamed", "rotated", "archived")
    things = ("segment", "index", "socket", "snapshot", "journal")
    return [
        f"2026-03-02 08:{i // 60 % 60:02d}:{i % 60:02d} INFO {verbs[i % 8]} {things[i % 5]} {i % 17} in {i % 29} ms"
        for i in range(n)
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_watcher_of_any_method_alarms_on_what_it_never_saw_and_reloads_to_the_bit(
    method: str, tmp_path: Path
) -> None:
    watcher = jamais.fit(varied(), kind="logs", settings={**small_log.TINY, "method": method, "alarm_rate": 0.01})
    strange = "2026-03-02 09:10:00 FATAL kernel panic: machine check exception on cpu 3"
    verdicts = watcher.score([*varied(50), strange])
    assert verdicts["abnormal"].to_list() == [False] * 50 + [True]
    watcher.save(tmp_path / "kept")
    again = jamais.load(tmp_path / "kept")
    assert again.settings.method == method
    assert again.score([*varied(50), strange]).equals(verdicts)
    for one in (watcher, again):
        one.learn(["2026-03-02 10:00:00 INFO compacted ledger 3 in 7 ms"] * 40)
    assert digest(again.recipe.state_dict()) == digest(watcher.recipe.state_dict())
    assert again.score([strange]).equals(watcher.score([strange]))


@pytest.mark.parametrize("method", METHODS)
def test_novelty_is_pure_and_follows_the_memory(method: str) -> None:
    random = np.random.default_rng(0)
    memory = CoverMemory(200)
    memory.add(random.normal(size=(60, 8)), counts=random.integers(1, 1000, 60))
    novelty = Novelty(memory, method)
    asked = random.normal(size=(9, 8)).astype(np.float32)
    before = digest(memory.state_dict())
    scores = novelty.scores(asked)
    assert digest(memory.state_dict()) == before
    alone = np.concatenate([novelty.scores(asked[i : i + 1]) for i in range(9)])
    assert scores.tobytes() == alone.tobytes()
    assert novelty.unseen().shape == (60,)
    memory.forget(memory.ids[:10])
    assert novelty.unseen().shape == (50,)
    assert novelty.scores(asked).tobytes() == Novelty(memory, method).scores(asked).tobytes()


def test_how_often_a_template_came_does_not_make_it_nearer() -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(40, 8))
    even, uneven = CoverMemory(100), CoverMemory(100)
    even.add(rows)
    uneven.add(rows, counts=np.arange(1, 41) ** 3)
    for method in METHODS:
        both = [Novelty(memory, method).scores(rows[:5].astype(np.float32) * 2) for memory in (even, uneven)]
        assert both[0].tobytes() == both[1].tobytes(), method


def test_with_few_templates_the_nearest_decides() -> None:
    memory = CoverMemory(100)
    memory.add(np.random.default_rng(2).normal(size=(FEWEST_ROWS - 1, 4)))
    asked = np.ones((3, 4), dtype=np.float32)
    assert (Novelty(memory, "lof").scores(asked) == Novelty(memory, "knn").scores(asked)).all()


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(SettingsError, match="the method is one of knn, lof, iforest"):
        jamais.fit(varied(), kind="logs", settings={"method": "svm"})


def test_explain_names_lines_words_and_shares() -> None:
    watcher = jamais.fit(varied(), kind="logs", settings=small_log.TINY)
    known, strange = varied(1)[0], "2026-03-02 09:10:00 INFO opened segment 3 in 5 parsecs"
    told = watcher.explain([known, strange])
    assert [one["known"] for one in told] == [True, False]
    nearest = told[1]["nearest_lines"]
    assert len(nearest) == 3
    assert [one["distance"] for one in nearest] == sorted(one["distance"] for one in nearest)
    assert nearest[0]["template"] == told[1]["nearest"]
    assert all(one["count"] > 0 for one in nearest)
    assert told[0]["nearest_lines"][0]["distance"] == 0.0
    words = dict(told[1]["words"])
    assert words
    assert abs(sum(words.values()) - 1.0) < 1e-6 or len(words) == 5
    assert told[0]["words"] == []
    assert abs(sum(one["share"] for one in told) - 1.0) < 1e-9
    assert told[1]["share"] > told[0]["share"]
