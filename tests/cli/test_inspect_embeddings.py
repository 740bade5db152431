"""Does `jamais inspect` tell of a watcher of embeddings what its clusters are and where they came from?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jamais


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A watcher of three far groups that has learned a fourth; not to be changed."""
    chance = np.random.default_rng(3)
    centres = 20 * chance.normal(size=(4, 6))
    rows = [(centre + chance.normal(size=(120, 6))).astype(np.float32) for centre in centres]
    folder = tmp_path_factory.mktemp("watchers") / "embedded"
    labels = np.repeat(["cat", "dog", "owl"], 120)
    watcher = jamais.fit(np.concatenate(rows[:3]), kind="embeddings", out=folder, settings={"labels": labels})
    watcher.learn(np.concatenate([rows[0], rows[3]]), limits={"looks_abnormal": 1.0})
    watcher.save()
    return folder


def test_clusters_are_told_with_rows_name_and_birth(embedded: Path, typed: Any) -> None:
    known = json.loads(typed("inspect", embedded, "--json").out)
    assert known["kind"] == "embeddings"
    clusters = known["clusters"]
    assert [one["id"] for one in clusters] == sorted(one["id"] for one in clusters)
    assert [one["name"] for one in clusters[:3]] == ["cat", "dog", "owl"]
    assert sum(one["rows"] for one in clusters) + known["pending"] <= 600
    assert all(one["born"] == "" for one in clusters[:3])
    assert [one["born"].startswith("cluster 3 was born of") for one in clusters[3:]] == [True]
    assert clusters[3]["born"] in known["events"]


def test_a_person_reads_the_same(embedded: Path, typed: Any) -> None:
    said = typed("inspect", embedded)
    assert said.code == 0
    assert "clusters  4" in said.out
    assert "  cat  since fit" in said.out
    assert "cluster 3 was born of" in said.out
    assert "rows of width 6" in said.out
    assert "settings  all as they come" in said.out
    settings = typed("inspect", embedded, "--settings").out
    assert "clusters.exemplars = 200" in settings


def test_templates_of_embeddings_are_refused_in_words(embedded: Path, typed: Any) -> None:
    said = typed("inspect", embedded, "--templates")
    assert said.code == 2
    assert "embeddings has no templates" in said.err


def test_questions_about_embeddings_are_answered_and_a_new_cluster_is_drawn(tmp_path: Path, typed: Any) -> None:
    chance = np.random.default_rng(4)
    centres = 20 * chance.normal(size=(4, 6))
    rows = [(centre + chance.normal(size=(120, 6))).astype(np.float32) for centre in centres]
    np.save(tmp_path / "old.npy", np.concatenate(rows[:3]))
    np.save(tmp_path / "new.npy", np.concatenate([rows[0], rows[3]]))
    folder, alarms, answers = tmp_path / "w", tmp_path / "a.jsonl", tmp_path / "answers.csv"
    assert typed("fit", tmp_path / "old.npy", "--kind", "embeddings", "--out", folder).code == 0
    typed("score", folder, tmp_path / "new.npy", "--alarms", alarms)
    assert typed("questions", folder, "--alarms", alarms, "--out", answers).code == 0
    text = answers.read_text()
    assert text.startswith("label,row,about,")
    answers.write_text(text.replace("\n,", "\n0,", 1))
    assert typed("feedback", folder, "--alarms", alarms, "--labels", answers).code == 0
    assert json.loads(typed("inspect", folder, "--json").out)["answers"][0]["belief"] < 0.5
    page = tmp_path / "memory.html"
    assert typed("learn", folder, tmp_path / "new.npy", "--plot", page, "--limit", "looks_abnormal=1").code == 0
    told = page.read_text()
    assert "1 cluster born (3), 0 of " in told
    assert 'class="name born"' in told
