"""Are the streams what they are said to be, and do the figures mean what the table says?"""

import csv

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="k-means centres need scikit-learn")

from benchmarks.quality import memories
from benchmarks.quality.memories import Shape, Stream, clusters, measured, poisoned


def small(seed=0, **changes):
    return clusters(Shape("small", 60, 1.8, changes.pop("directions", 4), **changes), seed, 20_000, 400)


@pytest.mark.parametrize("directions", [4, 64])
def test_abnormal_rows_lie_as_far_from_a_centre_as_promised(directions):
    stream = small(directions=directions)
    rows = np.concatenate(list(stream.pieces()))
    assert rows.shape == (20_000, 64)
    largest = rows[np.linalg.norm(rows - rows[0], axis=1) < 7]
    centre = largest.mean(axis=0)
    radius = np.sqrt(((largest - centre) ** 2).sum(axis=1).mean())
    assert radius == pytest.approx(2.4, rel=0.2)
    away = np.linalg.norm(stream.abnormal - centre, axis=1)
    near = away[away < 5.5]
    assert len(near) > 0
    assert near.min() > 1.4 * 2.4


def test_a_stream_is_the_same_each_time_it_is_asked_for():
    stream, again = small(), small()
    for one, two, three in zip(stream.pieces(), stream.pieces(), again.pieces(), strict=True):
        assert one.tobytes() == two.tobytes() == three.tobytes()
    assert stream.normal.tobytes() == again.normal.tobytes()
    assert small(seed=1).normal.tobytes() != stream.normal.tobytes()


def test_a_fifth_of_the_test_rows_are_from_clusters_seen_fewer_than_five_times():
    seen = np.array([1000, 50, 4, 1, 0])
    shares = np.array([0.9, 0.09, 0.005, 0.004, 0.001])
    which = memories._tested(np.random.default_rng(0), shares, seen, 1_000, mixed=True)
    assert np.isin(which[800:], [2, 3]).all()
    assert np.isin(which[:800], [0, 1]).mean() > 0.9
    literal = small(rare_mass=0.46)
    assert literal.rare_share == pytest.approx(0.2, abs=0.06)


def test_a_memory_of_everything_is_as_good_as_the_unbounded():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 8)).astype(np.float32)
    stream = Stream("tiny", 0, lambda: iter([rows]), 300, rows[:50] + 0.01, rows[50:90] + 2, 0.0)
    made = {one.memory: one for one in measured(stream, 300)}
    for name in ("cover", "k-centre coreset", "reservoir", "ring"):
        assert made[name].of_unbounded == 1.0
        assert made[name].auroc == made["unbounded"].auroc
        assert made[name].kept == 300
    assert made["unbounded"].peak_megabytes == pytest.approx(300 * 8 * 4 / 1e6)


def test_tpr_is_taken_where_one_in_a_hundred_normal_rows_alarms():
    stream = Stream("tiny", 0, lambda: iter(()), 0, np.zeros((100, 2)), np.zeros((4, 2)), 0.0)
    scores = np.concatenate([np.arange(100.0), [50.0, 97.5, 98.5, 200.0]])
    figure = memories._figure(stream, "cover", 1, scores, 0.5)
    assert figure.tpr == 0.5
    assert figure.of_unbounded == 1.0


def test_poison_does_not_get_in():
    for jitter in (0.0, 0.05):
        poison = poisoned(0, 3, 100, jitter=jitter)
        assert poison.n_poison == 300
        assert poison.before > 0.95
        assert poison.after >= poison.before - 0.01
        assert poison.entered == 0
        assert poison.waiting >= 10


@pytest.mark.slow
def test_a_quick_run_writes_every_figure_under_its_command(tmp_path, capsys, monkeypatch):
    path = tmp_path / "figures.csv"
    monkeypatch.setattr("sys.argv", ["memories", "--quick", "--seeds", "1", "--out", str(path)])
    memories.main()
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# made by: python -m benchmarks.quality.memories --quick")
    rows = list(csv.DictReader(lines[1:]))
    of_cover = {row["data"]: float(row["of_unbounded"]) for row in rows if row["memory"] == "cover"}
    assert of_cover["quick"] > 0.7
    assert min(ratio for data, ratio in of_cover.items() if data.startswith("poison")) > 0.99
    reservoir = next(row for row in rows if row["memory"] == "reservoir")
    assert float(reservoir["of_unbounded"]) < of_cover["quick"] / 2
    assert capsys.readouterr().out.count("| quick |") == 6


def test_templates_of_the_system_left_out_are_the_abnormal_rows():
    path = memories.data_folder().parent / "embeddings" / memories.TEMPLATES
    if not path.exists():
        pytest.skip("no embeddings of templates: set JAMAIS_DATA")
    stream = memories.templates(path, 0, 2_000, 100)
    with np.load(path) as stored:
        vectors, systems = stored["X"].astype(np.float32), stored["system"]

    def nearest_system(rows):
        gaps = ((rows[:, None] - vectors[None]) ** 2).sum(axis=2)
        return systems[gaps.argmin(axis=1)]

    assert (nearest_system(stream.abnormal[:20]) == memories.LEFT_OUT[0]).mean() > 0.9
    assert (nearest_system(next(stream.pieces())[:20]) == memories.LEFT_OUT[0]).mean() < 0.1
