"""Does a watcher of embeddings learn, score, refuse and go back as it promises?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference.blobs import CENTRES, KNOWN, WIDTH, blob, fitted, ordinary, scattered, watcher

import jamais
from jamais.api import fit
from jamais.detectors import KNN
from jamais.errors import Cancelled, InputError, RefusedUpdateError, SettingsError, ShapeMismatchError, StateError
from jamais.memory import CoverMemory, FeatureMemory
from jamais.recipes.embeddings import EmbeddingSettings
from jamais.recipes.embeddings.beginning import typical_pair
from jamais.recipes.embeddings.space import Space
from jamais.testing.bits import digest
from jamais.types import CancelToken, Event

METHODS = ["knn", "lof", "iforest", "cluster", "reconstruction", "ensemble"]


def state(one: Any) -> str:
    return digest(one.recipe.state_dict())


def whole(*parts: np.ndarray) -> np.ndarray:
    return np.concatenate(parts)


def test_verdicts_have_the_columns_of_the_contract() -> None:
    rows = whole(ordinary(30, 2), blob(5, 4, 2))
    frame = fitted().score(rows)
    assert frame.columns[:10] == [
        *("row", "score", "p_value", "p_extrapolated", "abnormal", "why", "item", "cause", "cluster", "novel"),
    ]
    assert frame["row"].to_list() == list(range(34))
    assert frame["abnormal"].to_list() == [False] * 30 + [True] * 4
    assert (frame["abnormal"] == (frame["p_value"] <= 0.01)).all()
    assert frame["novel"].to_list()[30:] == [True] * 4
    assert frame["item"].n_unique() == 34
    assert frame.schema["cluster"] == pl.Int64
    # An alarm holds its row, so that an answer needs nothing else.
    assert frame["vector"][:30].null_count() == 30
    assert np.array_equal(np.array(frame["vector"][30:].to_list(), np.float32), rows[30:])
    assert fitted().recipe.scorer().empty().schema == frame.schema


def test_scores_and_p_values_are_those_of_the_detector_it_is_made_of() -> None:
    rows = whole(ordinary(30, 2), scattered(5, 2))
    twin = KNN(memory=FeatureMemory(CoverMemory(2_000))).fit(ordinary(450, seed=1))
    frame = fitted().score(rows)
    assert frame["score"].to_list() == twin.decision_function(rows).tolist()
    assert frame["p_value"].to_list() == twin.p_value(rows).tolist()
    assert frame["p_extrapolated"].to_list() == twin.p_extrapolated(rows).tolist()


def test_rows_of_one_cluster_have_one_label_and_known_ones_are_never_novel_more_often_than_asked() -> None:
    frame = fitted().score(whole(*(blob(cluster, 200, 3) for cluster in KNOWN)))
    labels = frame["cluster"].to_numpy().reshape(3, 200)
    assert [len(np.unique(one[one >= 0])) for one in labels] == [1, 1, 1]
    assert len(np.unique(labels[labels >= 0])) == 3
    assert frame["novel"].mean() < 0.03
    assert frame["abnormal"].mean() < 0.03


def test_an_alarm_says_why_in_words() -> None:
    frame = fitted().score(blob(5, 1, 2))
    why = frame["why"][0]
    assert why.startswith("far from all 3 clusters: ")
    assert "× the distance that 0.01 of known rows reach; nearest is remembered row " in why
    (told,) = fitted().explain(blob(5, 1, 2))
    assert told["why"] == why
    assert (told["abnormal"], told["novel"], told["cluster"]) == (True, True, -1)
    assert told["score"] == frame["score"][0]
    assert len(told["nearest"]) == 3
    assert sum(one["share"] for one in told["columns"]) <= 1 + 1e-9
    nearest = fitted().recipe.detector.memory.rows[told["nearest"][0]["id"]]  # type: ignore[attr-defined]
    assert np.isclose(np.linalg.norm(nearest - blob(5, 1, 2)[0]), told["nearest"][0]["distance"])


def test_alarms_of_one_cause_share_it_and_pieces_tell_causes_apart_as_the_whole_does() -> None:
    rows = np.random.default_rng(0).permutation(whole(blob(5, 20, 2), blob(6, 20, 2), ordinary(30, 2)))
    frame = fitted().score(rows)
    alarms = frame.filter("abnormal")
    assert len(alarms) >= 40
    assert alarms["cause"].n_unique() <= 6
    is_five = np.linalg.norm(rows - CENTRES[5], axis=1) < 8
    of = {name: set(frame.filter(pl.Series(mask))["cause"]) for name, mask in (("5", is_five), ("6", ~is_five))}
    assert not of["5"] & of["6"]
    # A cause is called after the first alarm that has it.
    first = alarms.group_by("cause").agg(pl.col("item").first())
    assert (first["cause"] == first["item"]).all()
    stream = fitted().stream()
    pieces = [stream.push(rows[at : at + 7]) for at in range(0, len(rows), 7)]
    assert pl.concat([*pieces, stream.flush()]).equals(frame)


def test_a_row_alone_has_the_verdict_it_has_among_others() -> None:
    rows = whole(ordinary(12, 4), scattered(3, 4))
    frame = fitted().score(rows).drop("row", "cause")
    for at in range(len(rows)):
        assert fitted().score(rows[at : at + 1]).drop("row", "cause").equals(frame[at : at + 1])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_a_far_group_and_says_why(method: str) -> None:
    one = watcher(150, method=method)
    before = state(one)
    frame = one.score(whole(ordinary(30, 2), scattered(10, 2)))
    assert frame["abnormal"][30:].mean() > 0.8
    assert frame["abnormal"][:30].sum() <= 2
    assert all(frame.filter("abnormal")["why"].str.len_chars() > 20)
    told = one.explain(scattered(2, 2))
    assert [len(row["columns"]) for row in told] == [5, 5]
    assert ("members" in told[0]) == (method == "ensemble")
    assert state(one) == before


def test_labels_name_the_first_clusters(tmp_path: Path) -> None:
    rows = whole(*(blob(cluster, 50, 1) for cluster in KNOWN))
    names = np.repeat(["cat", "dog", "owl"], 50)
    given = fit(rows, kind="embeddings", labels=names)
    assert given.recipe.facts.labels == ("cat", "dog", "owl")  # type: ignore[attr-defined]
    assert given.score(blob(1, 5, 2))["cluster"].to_list() == [1] * 5
    np.savez(tmp_path / "rows.npz", rows=rows, names=names)
    stored = fit(tmp_path / "rows.npz", kind="embeddings", settings={"reading.label_column": "names"})
    assert state_without_settings(stored) == state_without_settings(given)
    numbered = fit(rows, kind="embeddings", labels=np.repeat([7, 3, 5], 50))
    assert numbered.recipe.facts.labels == ()  # type: ignore[attr-defined]
    assert numbered.score(blob(1, 5, 2))["cluster"].to_list() == [3] * 5
    with pytest.raises(InputError, match="150 rows and 3 labels"):
        fit(rows, kind="embeddings", labels=[1, 2, 3])
    with pytest.raises(InputError, match="has no label"):
        fit(rows, kind="embeddings", labels=np.where(np.arange(150) == 9, "", names))


def state_without_settings(one: Any) -> str:
    tree = one.recipe.state_dict()
    return digest({name: part for name, part in tree.items() if name not in ("settings", "facts")})


def test_as_many_first_clusters_as_are_asked_for() -> None:
    assert watcher(**{"clusters.n_clusters": 5}).recipe.clusters.n_clusters == 5  # type: ignore[attr-defined]
    assert fitted().recipe.clusters.n_clusters == 3  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="150 rows are too few for 60 clusters"):
        watcher(150, **{"clusters.n_clusters": 60})


def test_scaling_and_angles_do_what_they_say() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32) * [1, 1000, 1] + [0, 0, 9]
    scaled = fit(rows, kind="embeddings", settings={"scaling": "columns", "alarm_rate": 0.01})
    odd = np.array([[9.0, 0.0, 9.0]])
    assert scaled.score(odd)["abnormal"].to_list() == [True]
    assert fit(rows, kind="embeddings", settings={"alarm_rate": 0.01}).score(odd)["abnormal"].to_list() == [False]
    by_angle = watcher(metric="cosine")
    assert by_angle.score(3 * ordinary(60, 2))["abnormal"].sum() <= 2
    assert by_angle.score(-ordinary(60, 2))["abnormal"].all()


def test_a_place_in_space_is_what_numpy_says() -> None:
    rows = ordinary(60, 5)
    wide = rows.astype(np.float64)
    scaled = (wide - wide.mean(axis=0)) / wide.std(axis=0)
    assert np.allclose(Space.of(rows, "euclidean", "columns").of_rows(rows), scaled, atol=1e-6)
    turned = Space.of(rows, "cosine", "columns").of_rows(rows)
    assert np.allclose(turned, scaled / np.linalg.norm(scaled, axis=1)[:, None], atol=1e-6)
    assert Space.of(rows, "euclidean", None).of_rows(rows) is rows
    still = np.array([[1.0, 2.0], [1.0, 4.0]], np.float32)
    assert np.isfinite(Space.of(still, "cosine", "columns").of_rows(still)).all()


def test_the_reach_of_a_cause_is_a_quantile_of_the_pairs_within_clusters() -> None:
    rows, labels = whole(blob(0, 20, 1), blob(1, 20, 1)), np.repeat([0, 1], 20)
    pairs = [
        np.linalg.norm(rows[i].astype(float) - rows[j]) for i in range(40) for j in range(i) if labels[i] == labels[j]
    ]
    assert np.isclose(typical_pair(rows, labels, 0.75), np.quantile(pairs, 0.75))
    assert typical_pair(rows[:2], np.array([0, 1]), 0.75) == 0.0


def test_learning_a_new_kind_of_normal_makes_it_known_and_gives_birth_to_its_cluster() -> None:
    one = watcher()
    report = one.learn(whole(ordinary(60, 2), blob(5, 120, 2)))
    assert report.accepted
    assert len(report.events) == 1
    assert "cluster 3 was born of" in report.events[0]
    again = one.score(blob(5, 50, 3))
    assert again["abnormal"].sum() <= 2
    assert (again["cluster"] == 3).mean() > 0.9
    assert {check.setting for check in report.checks} >= {"normals_changed", "labels_changed", "looks_abnormal"}


def test_what_was_remembered_keeps_its_label_bit_for_bit() -> None:
    one = watcher()
    clusters = one.recipe.clusters  # type: ignore[attr-defined]
    rows, labels = clusters.rows.copy(), clusters.labels.copy()
    one.learn(whole(ordinary(60, 2), blob(5, 120, 2)))
    assert one.score(rows)["cluster"].to_list() == labels.tolist()


def test_nobody_vouches_for_unknown_rows_so_no_cluster_is_born_however_often_they_come() -> None:
    one = watcher()
    clusters = digest(one.recipe.state_dict()["clusters"])
    rows = whole(ordinary(60, 2), blob(5, 120, 2))
    for _ in range(5):
        report = one.learn(rows, trust="unknown")
        assert report.accepted
        assert report.counts["rows held back"] >= 120
    assert digest(one.recipe.state_dict()["clusters"]) == clusters
    assert len(one.recipe.detector.memory) == 450  # type: ignore[attr-defined]
    assert one.score(blob(5, 50, 3))["abnormal"].all()
    # Vouched for after all, they are known, and nothing waits any more.
    one.learn(rows)
    assert len(one.questions()) == 0
    assert len(one.recipe.detector.memory.quarantine) == 0  # type: ignore[attr-defined]
    assert one.score(blob(5, 50, 3))["abnormal"].sum() <= 2


def test_what_waits_in_quarantine_keeps_its_cause() -> None:
    one = watcher()
    rows = blob(5, 60, 2)
    before = one.score(rows)["cause"].to_list()
    one.learn(rows, trust="unknown")
    assert one.score(rows)["cause"].to_list() == before
    asked = one.questions()
    assert set(asked["cause"]) == set(before)
    assert asked["alarms"].sum() == 60


def refused(one: Any, data: Any, **more: Any) -> str:
    before = state(one)
    held = one.recipe
    with pytest.raises(RefusedUpdateError) as told:
        one.learn(data, **more)
    assert state(one) == before
    assert one.recipe is held
    return str(told.value)


def test_only_anomalies_are_refused_with_figures() -> None:
    told = refused(watcher(), scattered(100, 2))
    assert "rows that looked abnormal before (share)" in told
    assert "BROKEN" in told


def test_what_was_confirmed_abnormal_is_not_learned_unseen() -> None:
    one = watcher()
    incident = blob(5, 30, 2)
    one.feedback(one.score(incident), [1] * 30)
    told = refused(one, whole(ordinary(300, 3), incident))
    assert "rows confirmed abnormal in this data" in told
    assert "new rows nearer to a confirmed abnormal (share)" in told
    # Others of the same incident are known by their place.
    assert "new rows nearer to a confirmed abnormal (share)" in refused(one, whole(ordinary(300, 3), blob(5, 30, 9)))
    assert one.learn(ordinary(300, 3)).accepted


def test_one_new_kind_may_come_alone_when_somebody_vouches_for_it() -> None:
    one = watcher()
    report = one.learn(blob(5, 120, 2))
    assert report.figures["looks_abnormal"] == 1.0
    assert report.counts["clusters"] == 4
    assert not one.score(blob(5, 20, 3))["abnormal"].any()


def test_limits_may_be_others_for_one_update() -> None:
    one = watcher()
    assert one.learn(scattered(100, 2), limits={"looks_abnormal": 1}).accepted
    assert one.settings.guard.looks_abnormal == 0.95


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows_are_learned_without_a_word(n: int) -> None:
    one = watcher()
    report = one.learn(scattered(n, 2))
    assert (report.accepted, report.records, report.events) == (True, n, ())
    assert one.learn(scattered(n, 3), trust="unknown").records == n


@pytest.mark.parametrize("trust", ["normal", "unknown"])
@pytest.mark.parametrize("bad", ["nan", "width", "flat", "text", "cut"])
def test_bad_rows_change_nothing_and_are_told_in_one_sentence(bad: str, trust: str, tmp_path: Path) -> None:
    one, rows = watcher(), whole(ordinary(60, 2), blob(5, 60, 2))
    before = state(one)
    np.save(tmp_path / "cut.npy", rows)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-100])
    wrong: dict[str, Any] = {
        "nan": np.where(np.arange(len(rows))[:, None] == 77, np.nan, rows),
        "width": rows[:, :4],
        "flat": rows[0],
        "text": [["a"] * WIDTH],
        "cut": tmp_path / "cut.npy",
    }
    for act in (lambda: one.learn(wrong[bad], trust=trust), lambda: one.score(wrong[bad])):
        with pytest.raises((InputError, ShapeMismatchError)) as told:
            act()
        assert "\n" not in str(told.value)
        assert bad != "nan" or "row 77" in str(told.value)
        assert state(one) == before


class Broke(RuntimeError):
    pass


@pytest.mark.parametrize("trust", ["normal", "unknown"])
@pytest.mark.parametrize("at", [1, 3, 5])
def test_an_update_that_dies_half_way_leaves_the_old_recipe(trust: str, at: int) -> None:
    one, rows = watcher(**{"reading.block_rows": 20}), whole(ordinary(60, 2), blob(5, 60, 2))
    before, held, token, seen = state(one), one.recipe, CancelToken(), list[Event]()

    def dying(event: Event) -> None:
        seen.append(event)
        if len(seen) == at:
            raise Broke

    with pytest.raises(Broke):
        one.learn(rows, trust=trust, on_event=dying)
    assert (state(one), one.recipe is held) == (before, True)
    with pytest.raises(Cancelled, match="nothing was changed"):
        one.learn(rows, trust=trust, cancel=token, on_event=lambda event: token.cancel())
    assert (state(one), one.recipe is held) == (before, True)
    assert one.learn(rows, trust=trust).accepted


def test_rollback_brings_every_score_back_bit_for_bit(tmp_path: Path) -> None:
    one = watcher()
    rows = whole(ordinary(60, 8), blob(5, 30, 8), scattered(10, 8))
    one.save(tmp_path / "kept")
    first, begun = one.score(rows), state(one)
    one.learn(whole(ordinary(60, 2), blob(5, 120, 2)))
    one.feedback(one.score(scattered(10, 8)), [1] * 10)
    one.save()
    changed = one.score(rows)
    assert not changed["score"].equals(first["score"])
    one.rollback(1)
    assert one.score(rows).equals(first)
    assert state(one) == begun
    one.save()
    again = jamais.load(tmp_path / "kept")
    assert again.version == 3
    assert again.score(rows).equals(first)
    assert jamais.load(tmp_path / "kept", version=2).score(rows).equals(changed)


def test_one_part_rolls_back_alone_where_it_fits(tmp_path: Path) -> None:
    one = watcher()
    one.save(tmp_path / "kept")
    clusters = digest(one.recipe.state_dict()["clusters"])
    one.learn(whole(ordinary(60, 2), blob(5, 120, 2)))
    one.rollback(1, only="clusters")
    assert digest(one.recipe.state_dict()["clusters"]) == clusters
    assert len(one.recipe.detector.memory) > 450  # type: ignore[attr-defined]
    tree = one.recipe.state_dict()
    other = fit(ordinary(90, 1)[:, :4], kind="embeddings").recipe.state_dict()
    with pytest.raises(StateError, match="several widths"):
        type(one.recipe).from_state({**tree, "clusters": other["clusters"]})  # type: ignore[attr-defined]


def test_drift_names_what_is_new_what_grew_and_what_shifted() -> None:
    names = [f"c{i}" for i in range(WIDTH)]
    one = fit(pl.DataFrame(ordinary(450, 1), schema=names), kind="embeddings", settings={"alarm_rate": 0.01})
    calm = one.drift(one.score(pl.DataFrame(ordinary(300, 2), schema=names)))
    assert not calm.drifted
    rows = whole(ordinary(90, 2), blob(0, 400, 3), blob(5, 90, 2))
    moved = one.drift(one.score(pl.DataFrame(rows, schema=names)))
    assert moved.drifted
    assert moved.since is not None
    assert moved.since >= 485
    told = "\n".join(moved.changes)
    assert "of the rows are far from every cluster" in told
    assert "grew: cluster" in told
    assert "shifted: c" in told
    with pytest.raises(InputError, match="wants all rows"):
        one.drift(one.score(rows).filter(pl.Series(np.arange(len(rows)) != 5)))


def test_a_picture_shows_all_that_is_remembered() -> None:
    one = watcher()
    one.learn(blob(6, 12, 2), trust="unknown")
    one.feedback(one.score(blob(5, 3, 2)), [1] * 3)
    shown = one.recipe.map_rows()  # type: ignore[attr-defined]
    assert len(shown.rows) == len(shown.labels) == len(shown.kinds) == len(shown.texts)
    assert {kind: shown.kinds.count(kind) for kind in set(shown.kinds)} == {"normal": 450, "abnormal": 3, "waiting": 12}
    assert set(shown.labels[:450].tolist()) <= {-1, 0, 1, 2}


def test_tables_are_read_by_the_names_they_were_fitted_with() -> None:
    names = [f"c{i}" for i in range(WIDTH)]
    frame = pl.DataFrame(ordinary(450, 1), schema=names)
    one = fit(frame.with_columns(who=pl.lit("x")), kind="embeddings")
    turned = pl.DataFrame(ordinary(30, 2), schema=names).select(reversed(names)).with_columns(more=pl.lit(1.0))
    assert one.score(turned)["score"].equals(one.score(ordinary(30, 2))["score"])
    with pytest.raises(InputError, match="no column c5"):
        one.score(turned.drop("c5"))


def test_the_alarm_rate_can_be_another_one_and_means_what_is_said() -> None:
    one = watcher()
    assert "one false alarm in 100 rows; 450 calibration rows support rates down to 0.0022" in (
        one.recipe.meaning_of_rate()
    )
    one.set_alarm_rate(0.2)
    assert 0.1 < float(one.score(ordinary(600, 9))["abnormal"].mean()) < 0.3  # type: ignore[arg-type]
    scores = one.score(ordinary(600, 9))
    assert ((scores["score"] >= one.recipe.threshold()) == scores["abnormal"]).all()
    with pytest.raises(InputError, match="carry no times"):
        one.recipe.rate_for(5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": "magic"}, "method is one of knn"),
        ({"metric": "manhattan"}, "metric is one of"),
        ({"scaling": "rows"}, "scaling is one of None, columns"),
        ({"alarm_rate": 2}, "share between 0 and 1"),
        ({"memory.capacity": 3}, "at least 50"),
        ({"clusters.n_clusters": 0}, "1 or more"),
        ({"clusters.smallest": 1}, "2 or more"),
        ({"clusters.novel_rate": 0}, "shares"),
        ({"answers.wrong": 0.5}, "below one half"),
        ({"answers.agreeing": 0}, "at least 1"),
        ({"answers.reach": 2}, "between 0 and 1"),
        ({"reading.block_rows": 0}, "block_rows"),
        ({"window": "60s"}, "no setting 'window'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        fit(ordinary(90, 1), kind="embeddings", settings=changes)


def test_all_settings_are_kept_and_come_back(tmp_path: Path) -> None:
    one = watcher(**{"memory.capacity": 100, "answers.reach": 0.5, "clusters.columns": 3, "scaling": "columns"})
    one.save(tmp_path / "kept")
    assert jamais.load(tmp_path / "kept").settings == one.settings
    assert isinstance(one.settings, EmbeddingSettings)
    assert len(one.recipe.detector.memory) <= 100  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (ordinary(30, 1), "30 rows to fit on: give at least 50"),
        (np.empty((0, 3)), "0 rows to fit on"),
        (ordinary(90, 1)[0], r"shape \(6,\)"),
        (np.full((90, 3), np.nan), "row 0 holds NaN"),
    ],
)
def test_what_cannot_be_fitted_on_is_told(data: Any, told: str) -> None:
    with pytest.raises((InputError, ShapeMismatchError), match=told):
        fit(data, kind="embeddings")


@pytest.mark.parametrize("data", [ordinary(90, 1), "rows.npy", Path("rows.parquet"), ["a.npz", "b.npz"]])
def test_numbers_want_their_kind_said(data: Any) -> None:
    with pytest.raises(InputError, match="say kind='embeddings'"):
        fit(data)


def test_a_stream_takes_rows_and_says_so_to_others() -> None:
    stream = fitted().stream()
    assert len(stream.push(ordinary(30, 2))) == 30
    assert stream.push(ordinary(30, 3).tolist())["row"].to_list() == list(range(30, 60))
    assert len(stream.push([])) == 0
    assert len(stream.flush()) == len(stream.tick(5)) == len(stream.end(["x"])) == 0
    with pytest.raises(InputError, match="got text"):
        stream.push("0,1,2,3")
    with pytest.raises(InputError, match="not as bytes"):
        stream.push_chunk(b"0,1,2,3")


ODD_DATA = {
    "constant": np.ones((60, 3)),
    "two values": np.repeat([[0.0, 0.0], [1.0, 1.0]], 40, axis=0),
    "one column": np.random.default_rng(0).normal(size=(80, 1)),
    "huge": 1e37 * np.random.default_rng(0).normal(size=(80, 3)),
    "tiny": 1e-30 * np.random.default_rng(0).normal(size=(80, 3)),
    "one far out": np.concatenate([np.random.default_rng(0).normal(size=(79, 3)), np.full((1, 3), 1e20)]),
    "wider than long": np.random.default_rng(0).normal(size=(60, 300)),
    "truth values": np.random.default_rng(0).integers(0, 2, (80, 5)).astype(bool),
}


@pytest.mark.parametrize("changes", [{}, {"metric": "cosine"}, {"scaling": "columns"}], ids=str)
@pytest.mark.parametrize("name", ODD_DATA)
def test_odd_data_lives_a_whole_life_without_a_warning(name: str, changes: dict[str, Any]) -> None:
    rows = ODD_DATA[name]
    one = fit(rows, kind="embeddings", settings=changes)
    moved = np.asarray(rows, dtype=np.float64) + 1
    frame = one.score(moved)
    assert np.isfinite(frame["score"].to_numpy()).all()
    assert frame["p_value"].is_between(0, 1).all()
    one.learn(moved, trust="unknown")
    one.learn(rows)
    alarms = frame.filter("abnormal")
    one.feedback(alarms, [1] * len(alarms))
    one.explain(moved[:2])
    one.drift(one.score(moved))
    again = fit(rows, kind="embeddings", settings=changes)
    assert again.score(moved).equals(frame)


def test_a_stream_that_was_fed_bad_rows_goes_on_as_if_it_had_not_been() -> None:
    stream, twin = fitted().stream(), fitted().stream()
    stream.push(ordinary(30, 2))
    before = stream.state_dict()
    with pytest.raises(InputError, match="row 3 holds NaN"):
        stream.push(np.where(np.arange(9)[:, None] == 3, np.nan, ordinary(9, 3)))
    assert stream.state_dict() == before
    twin.push(ordinary(30, 2))
    assert stream.push(scattered(5, 2)).equals(twin.push(scattered(5, 2)))
