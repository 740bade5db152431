"""Can one part of a watcher go back alone, and is it refused where the parts do not belong together?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference import small_log

import jamais
from jamais.errors import InputError, StateError
from jamais.persistence import VersionStore
from jamais.persistence.component import encoder_digests, grafted
from jamais.testing import digest

FIT = [str(line) for line in small_log.said(300, seed=1)]
MORE = [
    *(str(line) for line in small_log.said(60, seed=2)),
    *(f"2026-03-02 09:00:00.000 INFO new: thing {i} came up" for i in range(40)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    watcher = jamais.fit(FIT, kind="logs", out=tmp_path / "app", settings=small_log.TINY)
    watcher.learn(MORE)
    watcher.set_alarm_rate(0.01)
    watcher.save()
    return tmp_path / "app"


def test_the_memory_goes_back_and_everything_else_stays(folder: Path) -> None:
    watcher = jamais.load(folder)
    first, second = (VersionStore(folder).load(n)[0] for n in (1, 2))
    assert len(second["meaning"]["memory"]["rows"]) > len(first["meaning"]["memory"]["rows"])
    watcher.rollback(1, only="meaning/memory")
    assert watcher.save() == 3
    third = VersionStore(folder).load(3)[0]
    assert digest(third["meaning"]["memory"]) == digest(first["meaning"]["memory"])
    for part in ("parser", "unit", "calibration", "alarm_rate", "settings"):
        assert digest(third[part]) == digest(second[part]), part
    assert set(third["meaning"]["exemplars"].tolist()) <= set(third["meaning"]["memory"]["ids"].tolist())
    assert jamais.load(folder).history()[-1].reason == "rollback of meaning/memory to version 1"
    jamais.load(folder).score(MORE)


def test_a_number_goes_back_alone_and_a_name_will_do(folder: Path) -> None:
    VersionStore(folder).promote("stable", 1)
    watcher = jamais.load(folder)
    watcher.rollback("stable", only="alarm_rate")
    assert watcher.alarm_rate == pytest.approx(0.001)
    watcher.rollback("last")
    assert watcher.alarm_rate == pytest.approx(0.01)


def test_a_memory_of_another_encoder_is_refused_and_nothing_changes(folder: Path, tmp_path: Path) -> None:
    other = jamais.fit(
        FIT, kind="logs", settings={**small_log.TINY, "encoder": {**small_log.TINY["encoder"], "width": 16}}
    )
    store = VersionStore(folder)
    store.commit(other.to_state(), reason="another encoder", kind="logs", parent=2)
    watcher = jamais.load(folder)
    before = digest(watcher.to_state())
    for part in ("meaning/memory", "meaning/encoder"):
        with pytest.raises(StateError, match=r"encoder [0-9a-f]{12}.* roll back both, or the whole"):
            watcher.rollback(1, only=part)
    assert digest(watcher.to_state()) == before


def test_a_parser_that_knows_fewer_templates_than_are_counted_is_refused(folder: Path) -> None:
    watcher = jamais.load(folder)
    before = digest(watcher.to_state())
    with pytest.raises(StateError, match="numbers would change their meaning"):
        watcher.rollback(1, only="parser")
    assert digest(watcher.to_state()) == before


def test_a_part_that_is_not_there_is_named_with_those_that_are(folder: Path) -> None:
    with pytest.raises(InputError, match=r"no part 'meaning/memoir'; parts here: meaning/encoder, meaning/memory"):
        jamais.load(folder).rollback(1, only="meaning/memoir")


def test_a_graft_changes_neither_tree() -> None:
    first: dict[str, Any] = {"a": {"b": np.zeros(2), "c": 1}, "d": 1}
    second: dict[str, Any] = {"a": {"b": np.ones(2), "c": 2}, "d": 2}
    made = grafted(first, "a/b", second)
    assert (made["a"]["b"].tolist(), made["a"]["c"], made["d"]) == ([1, 1], 1, 1)
    assert (first["a"]["b"].tolist(), second["a"]["b"].tolist()) == ([0, 0], [1, 1])
    assert encoder_digests({"x": {"encoder_digest": "e"}, "encoder_digest": ""}) == {"e"}
