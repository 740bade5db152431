"""Does `jamais learn --plot` draw what an update did, and nothing where nothing was done?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import jamais


def test_a_page_tells_what_was_learned_and_each_known_template(
    watcher: Path, today: Path, tmp_path: Path, typed: Any
) -> None:
    page = tmp_path / "memory.html"
    said = typed("learn", watcher, today, "--plot", page)
    assert said.code == 0
    assert f"drawn: {page}" in said.err
    text = page.read_text()
    assert "1 new one learned" in text
    assert "version 1: " in text
    assert "version 2: " in text
    assert "new: write failed on sdb, device vanished" in text
    known = jamais.load(watcher).recipe.map_rows()  # type: ignore[attr-defined]
    assert text.count('data-t="known') == 2 * len(known.rows) - 1
    assert len(known.rows) == len(known.texts) == len(known.labels)


def test_a_dry_run_is_drawn_and_changes_nothing(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "memory.png"
    plain = typed("learn", watcher, today, "--dry-run", "--json")
    said = typed("learn", watcher, today, "--dry-run", "--json", "--plot", picture)
    assert json.loads(said.out) == json.loads(plain.out)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(jamais.load(watcher).history()) == 1


def test_what_waits_in_quarantine_is_drawn_as_waiting(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    page = tmp_path / "memory.html"
    assert typed("learn", watcher, today, "--trust", "unknown", "--plot", page).code == 0
    assert "waiting: write failed on sdb, device vanished" in page.read_text()
    assert "1 waiting" in page.read_text()


def test_a_confirmed_abnormal_template_is_drawn_as_such(watcher: Path) -> None:
    kept = jamais.load(watcher)
    known = kept.recipe.state_dict()["parser"]
    item = next(name for name, text in zip(known["ids"], known["texts"], strict=True) if "hit after" in text)
    kept.feedback([{"item": item, "cause": item, "why": "a rule of ours"}], [1], limits={"normals_changed": 1.0})
    rows = kept.recipe.map_rows()  # type: ignore[attr-defined]
    abnormal = [text for text, kind in zip(rows.texts, rows.kinds, strict=True) if kind == "abnormal"]
    assert abnormal == [known["texts"][known["ids"].index(item)]]


def test_a_refused_update_draws_nothing(watcher: Path, today: Path, tmp_path: Path, typed: Any) -> None:
    alarms, answers, page = tmp_path / "alarms.jsonl", tmp_path / "a.csv", tmp_path / "memory.html"
    typed("score", watcher, today, "--alarms", alarms)
    item = next(r["item"] for r in map(json.loads, alarms.read_text().splitlines()) if "vanished" in r["why"])
    answers.write_text(f"item,label\n{item},1\n")
    assert typed("feedback", watcher, "--alarms", alarms, "--labels", answers).code == 0
    refused = typed("learn", watcher, today, "--plot", page)
    assert refused.code == 2
    assert "refused, nothing was changed" in refused.err
    dry = typed("learn", watcher, today, "--dry-run", "--plot", page)
    assert dry.code == 0
    assert "would be refused" in dry.err
    assert not page.exists()


def test_a_wrong_name_is_said_before_anything_is_learned(watcher: Path, today: Path, typed: Any) -> None:
    said = typed("learn", watcher, today, "--plot", "memory.gif")
    assert said.code == 2
    assert ".png, .svg or .html" in said.err
    assert len(jamais.load(watcher).history()) == 1


def test_a_kind_without_a_picture_says_so(
    watcher: Path, today: Path, tmp_path: Path, typed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jamais.recipes.logs.recipe import LogRecipe

    monkeypatch.delattr(LogRecipe, "map_rows")
    said = typed("learn", watcher, today, "--plot", tmp_path / "m.html")
    assert said.code == 2
    assert "no picture" in said.err
    assert len(jamais.load(watcher).history()) == 1
