from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.detectors import __main__ as command
from benchmarks.quality.detectors.contest import ENSEMBLES, Figure, PureNoise, figures
from benchmarks.quality.detectors.sets import Split, odds_splits, template_splits
from benchmarks.quality.detectors.tables import means_table, promises, promises_table
from sklearn.metrics import average_precision_score, roc_auc_score


def split(seed: int = 0, n: int = 120) -> Split:
    rng = np.random.default_rng(seed)
    abnormal = np.arange(60) >= 50
    test = np.where(abnormal[:, None], 4.0, 1.0) * rng.normal(size=(60, 4))
    return Split("normals only", "made", seed, rng.normal(size=(n, 4)), test, abnormal)


@pytest.fixture
def odds(tmp_path: Path) -> Path:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(size=(90, 3)), rng.normal(size=(10, 3)) * 6])
    savemat(tmp_path / "small.mat", {"X": rows, "y": np.repeat([0.0, 1.0], [90, 10])[:, None]})
    return tmp_path


def test_sets_are_split_in_two_ways_and_standardised_by_what_is_fitted(odds: Path) -> None:
    found = [one for one in odds_splits(odds, 2) if one.data == "small"]
    assert [(one.table, one.seed) for one in found] == [(t, s) for s in (0, 1) for t in ("as they are", "normals only")]
    for one in found:
        assert np.abs(one.fit.mean(axis=0)).max() < 1e-9
        assert np.abs(one.fit.std(axis=0) - 1).max() < 1e-9
        assert len(one.test) == len(one.abnormal) == 40
    as_they_are, normals = found[:2]
    assert len(as_they_are.fit) == 60
    assert len(normals.fit) == 60 - (10 - int(as_they_are.abnormal.sum()))
    assert (as_they_are.abnormal == normals.abnormal).all()


def test_sets_without_a_folder_are_the_bundled_and_generated_ones() -> None:
    names = {one.data for one in odds_splits(None, 1)}
    assert "digits, 4 rare (scikit-learn)" in names
    assert "dense beside sparse" in names
    assert len(names) == 6
    for one in odds_splits(None, 1):
        assert 0 < one.abnormal.sum() < len(one.test) / 4


def test_templates_leave_one_system_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAMAIS_DATA", str(tmp_path))
    assert list(template_splits(1)) == []
    (tmp_path / "embeddings").mkdir()
    rows = np.arange(60, dtype=np.float16).reshape(30, 2)
    systems = np.repeat(["a", "b", "c"], 10)
    np.savez(tmp_path / "embeddings" / "loghub_templates1363_minilm384_f16.npz", X=rows, system=systems)
    found = list(template_splits(1))
    assert [one.data for one in found] == ["a", "b", "c"]
    assert [len(one.fit) for one in found] == [12, 12, 12]
    b = found[1]
    assert sorted(b.test[b.abnormal][:, 0].tolist()) == rows[10:20, 0].tolist()
    assert not set(b.fit[:, 0]) & set(b.test[:, 0])


def test_figures_of_one_split_are_those_of_scikit_learn() -> None:
    one = split()
    found = {(figure.method, figure.whose): figure for figure in figures(one, peers=False)}
    assert {method for method, whose in found if whose == "jamais"} == set(ENSEMBLES).union(*ENSEMBLES.values())
    distance = ((one.test - one.fit.mean(axis=0)) ** 2).sum(axis=1)
    mean = found["distance to the mean", "trivial"]
    assert mean.auroc == pytest.approx(roc_auc_score(one.abnormal, distance), abs=1e-12)
    assert mean.average_precision == pytest.approx(average_precision_score(one.abnormal, distance), abs=1e-12)
    assert found["ensemble", "jamais"].auroc > 0.85
    assert abs(found["ensemble + noise", "jamais"].auroc - found["ensemble", "jamais"].auroc) < 0.05
    assert found["pure noise", "jamais"].auroc < 0.75


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_peers_take_part_and_one_that_raises_counts_as_chance() -> None:
    found = {figure.method: figure for figure in figures(split()) if figure.whose == "PyOD"}
    assert set(found) == {"KNN", "LOF", "IForest", "CBLOF", "PCA"}
    ours = {figure.method: figure for figure in figures(split(), peers=False)}
    assert found["KNN"].auroc == pytest.approx(ours["knn"].auroc, abs=0.01)
    assert found["LOF"].auroc == pytest.approx(ours["lof"].auroc, abs=0.01)
    assert found["CBLOF"].auroc == 0.5 or not found["CBLOF"].note


def made_up(values: dict[str, float]) -> list[Figure]:
    everyone = {"knn": 0.7, "lof": 0.8, "iforest": 0.8, "cluster": 0.9, "reconstruction": 0.6, "pure noise": 0.5}
    base = split()
    return [
        Figure(replace(base, data=data), method, "jamais", value, value, 1.0)
        for data in ("one", "two")
        for method, value in {**everyone, **values}.items()
    ]


def test_promises_are_kept_or_broken() -> None:
    kept = promises(made_up({"ensemble": 0.9, "ensemble + noise": 0.896}))
    assert [(one.ensemble, one.measure, one.kept) for one in kept] == [
        (ensemble, measure, True) for ensemble in ENSEMBLES for measure in ("auroc", "average_precision")
    ]
    first = kept[0]
    assert (first.best_member, first.median_member) == (0.9, 0.8)
    assert first.mean_member == pytest.approx(0.76)
    assert first.worst_gap_to_median == pytest.approx(0.1)
    far_from_best = promises(made_up({"ensemble": 0.89, "ensemble + noise": 0.9}))
    assert [one.kept for one in far_from_best] == [False, False, True, True]
    assert "NO" in promises_table(far_from_best)


def test_the_means_table_says_where_a_peer_raised() -> None:
    found = [Figure(split(seed), "CBLOF", "PyOD", 0.5, 0.1, 1.0, "raised: no") for seed in (0, 1)]
    assert "| CBLOF | PyOD | 0.500 | 0.100 | 2.0 | raised on 2 of 2, counted as .5 |" in means_table(
        found, "normals only"
    )


def test_noise_is_the_same_for_the_same_row_and_about_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(2000, 3))
    noise = PureNoise(seed=1).fit(rows)
    scores = noise.decision_function(rows)
    assert scores[::-1].tobytes() == noise.decision_function(rows[::-1]).tobytes()
    assert abs(scores.mean() - 0.5) < 0.03
    assert (PureNoise(seed=2).fit(rows).decision_function(rows) != scores).any()


def test_the_command_writes_a_row_for_each_set_and_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_splits", lambda options: [split(0), split(1)])
    monkeypatch.setattr(command, "figures", lambda one: figures(one, peers=False))
    monkeypatch.setattr(sys, "argv", ["detectors", "--out", str(tmp_path / "found.csv"), "--seeds", "2"])
    command.main()
    assert "### Ensembles and their members" in capsys.readouterr().out
    first, *lines = (tmp_path / "found.csv").read_text().splitlines()
    assert first.startswith("# made by: python -m benchmarks.quality.detectors --out")
    rows = list(csv.DictReader(lines))
    assert len(rows) == len({row["method"] for row in rows}) == 10
    assert {row["seeds"] for row in rows} == {"2"}
    assert {(row["n_fit"], row["width"], row["n_test"], row["n_abnormal"]) for row in rows} == {
        ("120", "4", "60", "10")
    }


def test_a_folder_without_sets_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["detectors", "--odds", str(tmp_path)])
    with pytest.raises(SystemExit):
        command.main()
