"""Do the splits of the quality benchmark keep the future out, and do alarms mean what the rate says?"""

import csv

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the baselines need the bench extra")

from benchmarks.data import data_folder
from benchmarks.quality import datasets, protocol, report
from benchmarks.quality.baselines import NewEvent, all_baselines

TEXTS = {1: "start", 2: "work", 3: "stop", 9: "fatal error"}


def tiny_log():
    """Ten blocks, one started every 10 s, each with three lines 10 s apart; the last two hold event 9."""
    rows = []
    for block in range(10):
        middle = 9 if block >= 8 else 2
        rows += [(10 * block + 10 * step, block, e) for step, e in enumerate((1, middle, 3))]
    rows.sort(key=lambda row: (row[0], row[1]))
    sessions = []
    for block in range(10):
        numbers = [i for i, row in enumerate(rows) if row[1] == block]
        events = tuple(rows[i][2] for i in numbers)
        label = int(block in (1, 8, 9))
        sessions.append(datasets.Session(f"blk_{block}", label, events, np.array(numbers)))
    lines = [f"{second:03d} blk_{block} {TEXTS[event]}" for second, block, event in rows]
    seconds = np.array([row[0] for row in rows])
    return datasets.SessionLog(lines, seconds, sessions, TEXTS)


def splits():
    return {(s.protocol, s.fit_on): s for s in datasets.session_splits(tiny_log(), "tiny", share=0.3)}


def test_the_operator_knows_no_line_after_the_cut():
    cut = 0.3 * 110
    for fit_on in ("normal", "all unlabelled"):
        known = list(splits()["operator", fit_on].fit_lines())
        assert max(int(line[:3]) for line in known) <= cut
    assert splits()["operator", "all unlabelled"].fit == [(1, 2, 3), (1, 2, 3), (1, 2), (1,)]


def test_whole_sessions_are_known_to_their_end_but_start_before_the_cut():
    whole = splits()["whole", "all unlabelled"]
    assert whole.fit == [(1, 2, 3)] * 4
    assert [line.split()[1] for line in whole.fit_lines()].count("blk_3") == 3


def test_a_fit_on_normal_sessions_leaves_the_abnormal_lines_out_of_the_file_too():
    normal = splits()["operator", "normal"]
    assert len(normal.fit) == 3
    assert not any("blk_1 " in line for line in normal.fit_lines())
    assert any("blk_1 " in line for line in splits()["operator", "all unlabelled"].fit_lines())


def test_all_protocols_are_tested_on_the_same_later_sessions_whole():
    for split in splits().values():
        assert split.groups == [f"blk_{i}" for i in range(4, 10)]
        assert split.labels.tolist() == [0, 0, 0, 0, 1, 1]
        assert split.test[-1] == (1, 9, 3)
        shown = list(split.test_lines())
        assert len(shown) == 18
        assert shown == sorted(shown, key=lambda line: int(line[:3]))


def test_windows_are_fitted_on_normals_and_the_tail_is_a_view_of_the_same_scores():
    train = [(0, (1, 2)), (1, (9, 9)), (0, (2, 2))]
    later = [(0, (1, 1)), (1, (9, 1)), (0, (3, 3))]
    split = datasets.window_split("w", train, later, TEXTS, tail=1)
    assert split.fit == [(1, 2), (2, 2)]
    assert list(split.fit_lines()) == ["start", "work", "work", "work"]
    assert split.views["last 20 %"].tolist() == [True] * 3
    assert split.views["last 10 %"].tolist() == [False, False, True]


def test_an_alarm_needs_a_conformal_p_value_at_or_under_the_rate():
    calibration = np.arange(99.0)  # 100 ranks: .01 is the smallest p-value
    scores = np.array([97.0, 98.0, 98.5])
    assert protocol.conformal(scores, calibration).tolist() == [0.03, 0.02, 0.01]
    assert protocol.alarms_at(0.02, scores, calibration).tolist() == [False, True, True]


def test_a_rate_that_the_calibration_cannot_resolve_means_above_all_of_it():
    calibration = np.arange(99.0)
    scores = np.array([98.0, 98.1])
    assert protocol.alarms_at(0.001, scores, calibration).tolist() == [False, True]


def test_ties_with_the_calibration_never_raise_the_share_of_alarms_above_the_rate():
    generator = np.random.default_rng(0)
    calibration = generator.integers(0, 5, 999).astype(float)
    fresh = generator.integers(0, 5, 20000).astype(float)
    assert protocol.alarms_at(0.01, fresh, calibration).mean() <= 0.01


def test_the_threshold_comes_from_the_last_part_of_the_fit_data_scored_by_the_earlier_part():
    later_news = [(1,)] * 7 + [(2,)] * 3  # the held-back part is new to the earlier part: no alarm on news
    split = datasets.window_split("w", [(0, w) for w in later_news], [(0, (1,)), (1, (3,))], TEXTS, tail=1)
    run = protocol.run_baseline("new event", NewEvent, split)
    assert run.n_calibration == 3
    assert run.scores.tolist() == [0.0, 1.0]
    assert not run.alarms[0.01].any()


def test_ours_are_compared_with_the_best_baseline_of_the_view_and_the_table_shows_it(tmp_path):
    split = splits()["operator", "normal"]
    runs = [protocol.run_baseline(name, make, split) for name, make in all_baselines(TEXTS).items()]
    perfect = split.labels.astype(float)
    ours = protocol.Run("jamais", True, perfect, dict.fromkeys(protocol.RATES, perfect > 0), 0, 1.0)
    rows = protocol.judge([*runs, ours], split, seed=0)
    best = max(row.average_precision for row in rows if not row.run.ours)
    last = rows[-1]
    assert last.difference is not None
    assert last.difference.value == pytest.approx(1.0 - best)
    assert next(r for r in rows if r.run.method == last.against).average_precision == best
    assert last.quality[0.01].f1 == 1.0

    tables = [report.figures(split, row) for row in rows]
    report.write_csv(tmp_path / "out.csv", tables, "python -m somewhere")
    first, *rest = (tmp_path / "out.csv").read_text().splitlines()
    assert first == "# made by: python -m somewhere"
    read = list(csv.DictReader(rest))
    assert [row["method"] for row in read] == [*all_baselines(TEXTS), "jamais"]
    assert f"vs {last.against}" in report.markdown(tables)


@pytest.mark.slow
def test_the_real_splits_have_the_sizes_that_the_anchors_name():
    folder = data_folder()
    if not (folder / "hdfs_2pct_raw").is_dir():
        pytest.skip("needs the data sets under $JAMAIS_DATA")
    sizes = {
        (s.protocol, s.fit_on): (len(s.fit), len(s.test), int(s.labels.sum()))
        for s in datasets.hdfs_splits(folder / "hdfs_2pct_raw")
    }
    assert sizes["operator", "normal"] == (2090, 9292, 231)
    assert sizes["whole", "all unlabelled"] == (2209, 9292, 231)
    bgl = next(datasets.bgl_splits(folder / "bgl_windows20"))
    assert (len(bgl.fit), len(bgl.test), int(bgl.labels.sum())) == (169484, 46313, 2971)
