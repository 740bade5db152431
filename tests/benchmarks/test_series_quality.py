"""Are the series, the peers and the figures of the series benchmark what its tables say?"""

import csv

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the peers need scikit-learn")

from benchmarks.quality.series import __main__ as command
from benchmarks.quality.series import contaminated, halves, kept, measures, peers, report, sets


def series(n=400, m=600, channels=3, seed=0, spans=((200, 240), (450, 460))):
    """Three waves; in the spans of the test the first two channels stand still far off."""
    chance = np.random.default_rng(seed)
    at = np.arange(n + m)[:, None]
    values = np.sin(at / (5 + np.arange(channels))) + 0.05 * chance.normal(size=(n + m, channels))
    labels = np.zeros(m, dtype=np.int64)
    for first, after in spans:
        values[n + first : n + after, :2] = 4.0
        labels[first:after] = 1
    causes = tuple(sets.Cause(first, after, (0, 1)) for first, after in spans)
    return sets.Series("made", "one", values[:n], values[n:], labels, 20, causes)


@pytest.mark.parametrize("method", list(peers.PEERS))
def test_every_peer_gives_each_row_a_score_and_the_plain_ones_find_a_plain_anomaly(method):
    made = series()
    kept_rows = made.rows.copy()
    score = peers.PEERS[method](made.train)(made.rows)
    assert score.shape == (600,)
    assert np.isfinite(score).all()
    assert np.array_equal(made.rows, kept_rows)
    assert np.array_equal(peers.PEERS[method](made.train)(made.rows), score)
    found = measures.figures(made, score)
    if method in ("squared norm", "PCA points", "KNN, channels scaled"):
        assert found["vus_pr"] > 0.8
    if method == "random":
        assert found["vus_roc"] < 0.7


def test_peers_see_the_train_part_only():
    made = series()
    for method, fit in peers.PEERS.items():
        if method == "random":
            continue
        score = fit(made.train)
        first = score(made.rows[:300])
        other = score(np.concatenate([made.rows[:300], made.rows[:300] + 50.0]))
        assert np.allclose(first[:200], other[:200], rtol=1e-4), method


def test_a_row_of_kmeansad_has_the_mean_of_the_windows_that_hold_it():
    scores, width, n = np.random.default_rng(0).random(21), 5, 25
    slow = [np.mean([scores[w] for w in range(21) if w <= row < w + width]) for row in range(n)]
    assert np.allclose(peers._spread(scores, width, n), slow)


def test_windows_are_those_of_tsb_ad_channel_after_channel():
    rows = np.arange(12.0).reshape(6, 2)
    windows = np.concatenate(list(peers._windows(rows, 3, normalise=False)))
    assert windows.shape == (4, 6)
    assert windows[1].tolist() == [2.0, 4.0, 6.0, 3.0, 5.0, 7.0]
    scaled = np.concatenate(list(peers._windows(rows, 3, normalise=True)))
    assert np.allclose(scaled.mean(axis=1), 0, atol=1e-6)
    assert np.allclose(scaled.std(axis=1, ddof=1), 1, atol=1e-6)


def test_the_score_of_a_window_stands_at_its_middle():
    assert peers._centred(np.array([1.0, 2.0, 3.0]), 4, 6).tolist() == [1.0, 1.0, 1.0, 2.0, 3.0, 3.0]
    assert peers._centred(np.array([1.0, 2.0, 3.0]), 1, 3).tolist() == [1.0, 2.0, 3.0]


def test_pca_of_tsb_ad_is_the_sum_of_distances_over_shares():
    from scipy.spatial.distance import cdist
    from sklearn.decomposition import PCA

    made = series(channels=5)
    middle, spread = made.train.mean(axis=0), made.train.std(axis=0)
    scale = lambda rows: (rows - middle) / spread  # noqa: E731
    model = PCA(n_components=0.25, svd_solver="full").fit(scale(made.train))
    wanted = (cdist(scale(made.rows), model.components_) / model.explained_variance_ratio_).sum(axis=1)
    assert np.allclose(peers.pca_points(made.train)(made.rows), wanted, rtol=1e-3)


def test_depths_order_rows_as_the_score_of_scikit_learn_does():
    from sklearn.ensemble import IsolationForest

    rows = np.random.default_rng(0).normal(size=(900, 7)).astype(np.float32)
    model = IsolationForest(n_estimators=25, max_features=0.8, random_state=0).fit(rows)
    mean = 2 * (np.log(255) + np.euler_gamma) - 2 * 255 / 256
    assert np.allclose(-(2 ** (-peers._depths(model, rows) / mean)), model.score_samples(rows))


def test_hit_rate_counts_true_channels_among_the_most_blamed():
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    assert measures.hit_rate(shares, (0, 1), 1.0) == 1.0
    assert measures.hit_rate(shares, (0, 2), 1.0) == 0.5
    assert measures.hit_rate(shares, (0, 2), 1.5) == 1.0
    assert measures.hit_rate(shares, (3,), 1.5) == 0.0


def test_only_stretches_with_an_alarm_are_judged_by_their_highest_rows():
    made = series()
    scores, alarms = np.zeros(600), np.zeros(600, dtype=bool)
    scores[205], alarms[205] = 9.0, True
    asked = []

    def shares(rows):
        asked.append(rows)
        return np.tile([0.6, 0.3, 0.1], (len(rows), 1))

    found = measures.hits(made.causes, scores, alarms, shares)
    assert (found.segments, found.found, found.at_100) == (2, 1, 1.0)
    assert len(asked) == 1
    assert len(asked[0]) == measures.ROWS_PER_STRETCH
    assert 205 in asked[0]
    none = measures.hits(made.causes, scores, np.zeros(600, dtype=bool), shares)
    assert none.found == 0
    assert np.isnan(none.at_100)


def test_causes_belong_to_the_stretch_that_they_overlap():
    labels = np.zeros(100, dtype=np.int64)
    labels[10:20] = labels[40:45] = 1
    causes = sets.causes_of(labels, "10-20:1,3\n40-44:2\n\n70-75:1\n")
    assert causes == (sets.Cause(10, 20, (0, 2)), sets.Cause(40, 45, (1,)))


def test_contamination_is_one_per_cent_of_train_and_leaves_a_stretch_out():
    made = series(n=2000)
    changed = contaminated.contaminate(made)
    differs = (changed.series.train != made.train).any(axis=1)
    assert differs.sum() == 20
    assert changed.taken.sum() == 20
    assert set(map(tuple, changed.series.train[differs])) == set(map(tuple, made.rows[changed.taken]))
    assert np.array_equal(changed.series.rows, made.rows)
    rest = changed.rest(made)
    assert len(rest.rows) == 580
    assert rest.labels.sum() == 30
    short = series(n=2000, spans=((10, 14), (20, 24)))
    assert contaminated.contaminate(short).taken.sum() == 4


def row(method, name, figure, **more):
    return {"set": "made", "series": name, "method": method, "vus_pr": figure, "ap": 0.5, **more}


def test_new_rows_stand_in_for_those_of_the_same_series_and_method(tmp_path):
    path = tmp_path / "table.csv"
    report.merge(path, [row("a", "1", 0.1), row("b", "1", 0.2)])
    report.merge(path, [row("a", "1", 0.3), row("a", "2", 0.4)])
    assert path.read_text(encoding="utf-8").startswith("# made by: ")
    assert [(r["method"], r["series"], r["vus_pr"]) for r in report.read(path)] == [
        ("a", "1", "0.3000"),
        ("b", "1", "0.2000"),
        ("a", "2", "0.4000"),
    ]


def test_a_log_of_runs_only_grows(tmp_path):
    path = tmp_path / "new" / "runs.csv"
    report.append(path, [{"date": "d", "mean": 0.25}])
    report.append(path, [{"date": "e", "mean": 0.5}])
    with path.open(encoding="utf-8", newline="") as file:
        assert [r["mean"] for r in csv.DictReader(file)] == ["0.2500", "0.5000"]


def test_halves_are_odd_and_even_series_and_published_figures_are_of_the_same_ones():
    rows = [row("ours", name, figure) for name, figure in (("001_MSL_a", 0.2), ("002_MSL_b", 0.4), ("003_SMAP_c", 0.6))]
    table = halves.halves(rows, {"001_MSL_a": {"CNN": 0.5}, "002_MSL_b": {"CNN": 0.7}, "009_MSL_z": {"CNN": 0.0}})
    ours, cnn = sorted(table, key=lambda line: line["source"], reverse=True)
    assert ours["method"] == "ours"
    figures = [ours[part] for part in ("all", "odd", "even", "MSL", "SMAP")]
    assert figures == pytest.approx([0.4, 0.4, 0.4, 0.3, 0.6])
    assert (cnn["series"], cnn["all"], cnn["odd"]) == (2, pytest.approx(0.6), pytest.approx(0.5))


def test_kept_scores_are_those_of_the_series_and_high_is_abnormal(tmp_path):
    share = np.array([0.5, 0.001, 1.0], dtype=np.float16)
    about = '{"cpu_seconds": {"one": {"fit": 2.0, "score": 1.0}}}'
    np.savez_compressed(tmp_path / "CNN-made.npz", one=share, about=np.array(about))
    scores, fit, score = kept.kept("CNN", "made", "one", tmp_path)
    assert scores.argmax() == 1
    assert (fit, score) == (2.0, 1.0)
    assert kept.kept("CNN", "made", "two", tmp_path) is None
    assert kept.kept("USAD", "made", "one", tmp_path) is None


@pytest.mark.parametrize("data", ["smd", "asd"])
def test_kept_scores_fit_their_series(data):
    if not sets.present(data):
        pytest.skip("the series are not here: set JAMAIS_DATA")
    for one in sets.read(data, limit=2):
        assert one.causes
        assert all(0 <= channel < one.rows.shape[1] for cause in one.causes for channel in cause.channels)
        for method in kept.METHODS:
            found = kept.kept(method, data, one.name)
            if found:
                assert found[0].shape == one.labels.shape
                assert np.isfinite(found[0]).all()


def test_a_look_at_two_series_runs_all_that_is_asked_for(tmp_path, monkeypatch, capsys):
    made = [series(), series(seed=1, spans=((100, 130), (300, 320)))]
    monkeypatch.setattr(command, "present", lambda data: True)
    monkeypatch.setattr(command, "read", lambda data, limit: iter(made[:limit]))
    arguments = ["--sets", "asd", "--limit", "1", "--methods", "jamais causal", "jamais offline", "squared norm", "CNN"]
    monkeypatch.setattr("sys.argv", ["series", *arguments, "--out", str(tmp_path)])
    command.main()
    rows = report.read(tmp_path / command.TABLE)
    assert [row["method"] for row in rows] == ["jamais causal", "jamais offline", "squared norm"]  # no scores are kept
    assert all(0 < float(row["vus_pr"]) <= 1 and int(row["segments"]) == 2 for row in rows)
    assert "| jamais causal | 1 |" in capsys.readouterr().out
    assert not (tmp_path / command.RUNS).exists()


def test_contaminated_rows_say_what_was_lost_over_all_and_over_the_rest(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "present", lambda data: True)
    monkeypatch.setattr(command, "read", lambda data, limit: iter([series(n=2000)]))
    arguments = ["--sets", "asd", "--contaminated", "--methods", "squared norm", "KMeansAD"]
    monkeypatch.setattr("sys.argv", ["series", *arguments, "--out", str(tmp_path)])
    command.main()
    rows = report.read(tmp_path / command.CONTAMINATED)
    assert [(row["method"], row["taken"], row["train"]) for row in rows] == [
        ("KMeansAD", "20", "2000"),
        ("squared norm", "20", "2000"),
    ]
    assert "loss" in capsys.readouterr().out


def test_every_run_on_the_37_series_is_logged_even_a_short_one(tmp_path):
    rows = [row("jamais causal", "1", 0.5, fit_seconds=1.0, score_seconds=2.0), row("KNN", "1", 0.1)]
    command.log_37(rows, tmp_path)
    command.log_37(rows, tmp_path)
    logged = report.read(tmp_path / command.RUNS)
    assert [(line["method"], line["series"], line["vus_pr"], line["cpu_seconds"]) for line in logged] == [
        ("jamais causal", "1", "0.5000", "3.0000")
    ] * 2
    assert all("BankSettings" in line["settings"] for line in logged)
