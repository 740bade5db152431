from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from benchmarks.quality.online import __main__ as command
from benchmarks.quality.online.clusters import contest
from benchmarks.quality.online.clusters.base import Base, make_base
from benchmarks.quality.online.clusters.deep import Ewc, FineTuned, Replayed, Seed002
from benchmarks.quality.online.clusters.idec import Recipe, exact_fisher, nearest, sharpen, soft_labels, spectral
from benchmarks.quality.online.clusters.idec import train as train_idec
from benchmarks.quality.online.clusters.measure import Row, measured
from benchmarks.quality.online.clusters.memory_first import MemoryFirst, OnlineUpdate, Tuned
from benchmarks.quality.online.clusters.peers import Bertopic, Dbstream, MiniBatchKMeans, Refit, Static, Watch
from benchmarks.quality.online.clusters.report import OURS, Promise, pays, promises, promises_table, table
from benchmarks.quality.online.clusters.streams import (
    NEWS,
    NO_NEWS,
    SOURCES,
    THREE,
    Part,
    Source,
    Stream,
    deal,
    streams,
)
from numpy.typing import NDArray

from jamais.evaluation.clustering import clustering_accuracy

PROTOCOLS = (NEWS, NO_NEWS, THREE)
RECIPE = Recipe((6, 16, 4), 4, 10, 3)
TINY = Source(lambda: blobs(), (0.5, 0.25, 0.25), 2)


def blobs(n: int = 120, width: int = 6) -> Part:
    """Ten classes, hardly touching."""
    rng = np.random.default_rng(0)
    centres = np.random.default_rng(1).normal(size=(10, width)) * 4
    classes = np.repeat(np.arange(10), n)
    rows = centres[classes] + rng.normal(size=(len(classes), width))
    return Part(rows.astype(np.float32), classes)


def stream(protocol: str = NEWS, seed: int = 0, recipe: Recipe | None = None) -> Stream:
    made = deal("made", TINY, blobs(), protocol, seed)
    return Stream(**{**made.__dict__, "recipe": recipe})


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(stream(recipe=RECIPE), tmp_path_factory.mktemp("bases"))


@pytest.fixture
def shallow(tmp_path: Path) -> Base:
    return make_base(stream(), tmp_path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_row_is_dealt_out_twice_and_classes_come_when_they_are_due(protocol: str) -> None:
    made = stream(protocol, seed=3)
    parts = [made.base, *made.updates, made.test]
    everything = np.concatenate([part.rows for part in parts])
    assert len(np.unique(everything, axis=0)) == len(everything)
    assert set(made.base.classes.tolist()) == set(made.first)
    for number, update in enumerate(made.updates):
        assert set(update.classes.tolist()) == set(made.known(number + 1))
    assert set(made.test.classes.tolist()) == set(made.known(len(made.updates)))
    assert made.arrivals[-1] == ((4, 5) if protocol != NO_NEWS else ())
    assert len(made.known(len(made.updates))) == (8 if protocol == NO_NEWS else 10)


def test_streams_with_and_without_news_have_the_same_base_and_seeds_differ() -> None:
    assert stream(NEWS).base.rows.tobytes() == stream(NO_NEWS).base.rows.tobytes()
    other = [stream(NEWS, seed).base.rows.tobytes() for seed in (0, 1, 100)]
    assert len(set(other)) == 3


def test_three_updates_bring_equally_many_rows_of_each_class_that_is_there() -> None:
    made = stream(THREE, seed=1)
    for update in made.updates:
        assert len(set(np.bincount(update.classes)[np.unique(update.classes)].tolist())) == 1
    assert [len(one) for one in (made.first, *made.arrivals)] == [4, 2, 2, 2]
    assert made.arrivals[-1] == (0, 1)


def test_digits_are_dealt_as_the_protocol_says() -> None:
    (made,) = streams("digits", (NEWS,), range(1))
    assert made.arrivals == ((8, 9),)
    assert 690 < len(made.base.rows) < 750
    assert (len(made.updates[0].rows), len(made.test.rows)) == (449, 450) or len(made.test.rows) == 449


@pytest.mark.parametrize("data", ["mnist", "clinc", "fashion"])
def test_sets_that_lie_elsewhere_have_the_promised_sizes(data: str) -> None:
    if SOURCES[data].missing:
        pytest.skip(str(SOURCES[data].missing))
    (made,) = streams(data, (NEWS,), range(1))
    if data == "clinc":
        assert (len(made.first), len(made.arrivals[0]), made.base.rows.shape[1]) == (120, 30, 384)
        assert np.linalg.norm(made.base.rows, axis=1) == pytest.approx(384**0.5, rel=1e-5)
        return
    assert (len(made.updates[0].rows), len(made.test.rows)) == (4000, 5000)
    assert 14_500 < len(made.base.rows) < 15_500


def test_a_base_is_trained_once_and_read_again_bit_for_bit(tmp_path: Path, deep: Base) -> None:
    made = [make_base(stream(recipe=RECIPE), tmp_path) for _ in range(2)]
    assert len(list(tmp_path.iterdir())) == 1
    rows = deep.stream.test.rows
    assert made[0].latents(rows).tobytes() == made[1].latents(rows).tobytes() == deep.latents(rows).tobytes()
    assert made[0].seconds == made[1].seconds > 0
    assert (made[0].told(rows) == deep.network.labels(rows)).all()  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_deep_base_finds_digits_that_k_means_does_not() -> None:
    (made,) = streams("digits", (NEWS,), range(100, 101))
    rows, classes = made.base.rows, made.base.classes
    guided = train_idec(rows, 8, Recipe((64, 64, 10), 20, 20, 5), seed=0)
    plain = train_idec(rows, 8, Recipe((64, 64, 10), 20, 0, 5), seed=0)
    accuracies = [clustering_accuracy(classes, one) for one in (spectral(rows, 8, 0), guided.labels(rows))]
    assert min(accuracies) > 0.75
    assert clustering_accuracy(classes, plain.labels(rows)) < min(accuracies)


def test_targets_sum_to_one_and_fisher_is_squared_row_by_row(deep: Base) -> None:
    assert deep.network is not None
    rows = deep.stream.base.rows
    soft = soft_labels(deep.network, rows)
    assert sharpen(soft).sum(1).numpy() == pytest.approx(np.ones(len(rows)), abs=1e-5)
    fisher = exact_fisher(deep.network, rows, seed=0, samples=50)
    twice = exact_fisher(deep.network, np.repeat(rows[:1], 2, axis=0), seed=0)
    assert [one.shape for one in fisher][-1] == deep.network.centres.shape
    assert all((one >= 0).all() for one in fisher + twice)


DEEP = [
    Static,
    Refit,
    lambda base: MiniBatchKMeans(base, grow=True),
    lambda base: MiniBatchKMeans(base, grow=False, near=True),
    Dbstream,
    Seed002,
    FineTuned,
    Ewc,
    Replayed,
    OnlineUpdate,
    lambda base: MemoryFirst(base, space="latents"),
    lambda base: MemoryFirst(base, told=False),
    lambda base: Tuned(base, taught=True),
    lambda base: Tuned(base, taught=False),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", DEEP)
@pytest.mark.parametrize("protocol", [NEWS, THREE])
def test_everybody_learns_on_and_has_figures(tmp_path: Path, make: contest.Make, protocol: str) -> None:
    base = make_base(stream(protocol, recipe=RECIPE), tmp_path)
    method = make(base)
    for row in measured(base.stream, method, {0: 1.0}):
        assert 0 <= row["shift"] <= 100
        assert 0 <= row["new"] <= 100
        assert row["k"] == row["k_before"] + row["born"] == method.k or row["update"] < len(base.stream.updates)
        assert row["cpu"] >= 0


@pytest.mark.filterwarnings("ignore")
def test_static_moves_nothing_and_a_refit_keeps_ids_by_matching(shallow: Base) -> None:
    (static,) = measured(shallow.stream, Static(shallow), {})
    (refit,) = measured(shallow.stream, Refit(shallow), {})
    assert (static["shift"], static["born"], static["shift_base"]) == (0, 0, 0)
    assert np.isnan(static["shift_remembered"])
    assert refit["k"] == 10
    assert refit["new"] > 90
    assert refit["shift"] < 10


@pytest.mark.filterwarnings("ignore")
def test_mini_batches_keep_ids_and_grow_only_when_told(shallow: Base) -> None:
    (old,) = measured(shallow.stream, MiniBatchKMeans(shallow, grow=False), {})
    (grown,) = measured(shallow.stream, MiniBatchKMeans(shallow, grow=True), {})
    assert (old["k"], grown["k"]) == (8, 10)
    assert grown["all"] > old["all"]
    assert max(old["shift"], grown["shift"]) < 5


def test_bertopic_appends_what_points_elsewhere(shallow: Base) -> None:
    method = Bertopic(shallow, least=-2.0)
    method.update(shallow.stream.updates[0].rows, 2, lambda labels: None)
    assert method.k == shallow.k
    method = Bertopic(shallow, least=2.0)
    before = method.labels(shallow.stream.test.rows)
    method.update(shallow.stream.updates[0].rows, 2, lambda labels: None)
    assert method.k == shallow.k + 10
    assert (before < shallow.k).all()


def test_memory_first_finds_the_new_classes_and_moves_no_old_label(shallow: Base) -> None:
    (row,) = measured(shallow.stream, MemoryFirst(shallow), {0: 2.0})
    assert (row["shift"], row["shift_remembered"]) == (0, 0)
    assert row["n_remembered"] > 0
    assert row["new"] > 90
    assert row["share_of_refit"] == pytest.approx(100 * row["cpu"] / 2.0)


class Scripted:
    """Says what it is told to say: before, in the middle of the update and after."""

    name = OURS

    def __init__(self, answers: list[NDArray[np.int64]], test: NDArray[np.float32]) -> None:
        self._answers, self._test, self.k = answers, test, 2

    def labels(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        at = [int(np.flatnonzero((self._test == row).all(axis=1))[0]) for row in rows]
        return self._answers[0][at]

    def update(self, rows: NDArray[np.float32], n_new: int, watch: Watch) -> None:
        self._answers = self._answers[1:]
        watch(self.labels)
        self._answers, self.k = self._answers[1:], 3

    def remembered(self) -> NDArray[np.float32]:
        return self._test[:2]


def test_the_figures_of_an_update_are_those_of_counting() -> None:
    test = Part(np.arange(10, dtype=np.float32)[:, None], np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2]))
    made = Stream("made", NEWS, 0, (0, 1), ((2,),), test.only((0, 1)), (test,), test, None, None)
    before = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 0])
    within = np.array([5, 5, 5, 1, 1, 1, 1, 1, 1, 0])
    after = np.array([0, 3, 0, -1, 1, 1, 1, 1, -1, 2])
    (row,) = measured(made, Scripted([before, within, after], test.rows), {})
    assert row["shift"] == pytest.approx(100 * 2 / 8)
    assert row["shift_remembered"] == pytest.approx(50)
    assert row["worst_within"] == pytest.approx(100 * 3 / 8)
    assert row["old_before"] == pytest.approx(100 * 7 / 8)
    assert row["old"] == pytest.approx(100 * 6 / 8)
    assert row["new"] == pytest.approx(50)
    assert row["none"] == pytest.approx(20)
    assert (row["k_before"], row["k"], row["born"], row["k_true"]) == (2, 3, 1, 3)
    assert np.isnan(row["share_of_refit"])


def row(**figures: object) -> Row:
    base = dict.fromkeys(Row.__annotations__, 0.0)
    texts = {"data": "digits", "protocol": NEWS, "method": OURS, "arrived": "8 9", "seed": 0, "update": 1}
    return {**base, **texts, **figures}  # type: ignore[typeddict-item, return-value]


def verdicts(found: list[Promise]) -> dict[str, bool]:
    return {one.what: one.kept for one in found}


def test_promises_are_kept_or_missed() -> None:
    good = [row(new=91.0, share_of_refit=0.9, old=80.0), row(seed=1, new=90.0, share_of_refit=1.0, old=80.0)]
    assert all(verdicts(promises(good)).values())
    assert not verdicts(promises([row(new=89.0)]))["digits: new ACC"]
    assert not verdicts(promises([row(shift=0.51)]))["digits: label shift, held-out %"]
    assert not verdicts(promises([row(shift_remembered=0.01), row(seed=1)]))["digits: label shift, remembered %"]
    assert not verdicts(promises([row(share_of_refit=1.1)]))["digits: CPU, % of a full refit"]
    assert not verdicts(promises([row(protocol=NO_NEWS, born=1)]))["digits: phantom clusters without news"]
    three = [row(protocol=THREE, update=one, shift=0.1 * one) for one in (1, 2, 3)]
    assert verdicts(promises(three))["digits: label shift, worst of three updates %"]
    three[0]["shift"] = 0.6
    assert not verdicts(promises(three))["digits: label shift, worst of three updates %"]
    assert "MISSED" in promises_table(promises(three))


def test_other_methods_promise_nothing() -> None:
    assert promises([row(method="static", shift=50.0)]) == []


def test_tables_show_means_spread_and_each_seed() -> None:
    drawn = table([row(new=80.0, worst_within=3.0), row(seed=1, new=90.0, worst_within=5.0)], "digits", NEWS)
    assert "85.0 ± 7.1" in drawn
    assert "| 80 90 |" in drawn
    assert "(4.0)" in drawn


def test_whether_training_pays_is_said_with_figures() -> None:
    names = {"": 80.0, ", latents": 50.0, ", latents fine-tuned": 85.0}
    taught = ", latents fine-tuned towards the input space's clusters"
    found = [row(method=OURS + name, new=new) for name, new in {**names, taught: 60.0}.items()]
    assert "digits: yes (+5.0 points" in pays(found)
    found[2]["shift"] = 0.6
    assert "digits: no" in pays(found)
    assert pays(found[:2]) == ""


@pytest.mark.filterwarnings("ignore")
def test_a_killed_run_goes_on_and_measures_nothing_twice(tmp_path: Path) -> None:
    made = stream()
    first = list(contest.rows(made, tmp_path, "kmeans", contest.Kept(tmp_path / "rows.jsonl", resume=False)))
    again = list(contest.rows(made, tmp_path, "kmeans", contest.Kept(tmp_path / "rows.jsonl", resume=True)))
    np.testing.assert_equal(again, first)
    anew = contest.Kept(tmp_path / "rows.jsonl", resume=True, again="old-k")
    assert not anew.find(made, "kmeans-old-k")
    assert anew.find(made, "kmeans-true-k")
    assert anew.find(made, "refit")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_measures_digits_and_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.csv"
    options = ["--only", "clusters", "--quick", "--who", "jamais", "--out", str(out), "--first-seed", "101"]
    found = command.main(options)["clusters"]
    printed = capsys.readouterr().out
    assert "### What was promised of ClusterMemory" in printed
    assert "Does training the encoder pay? digits: " in printed
    first, *lines = out.read_text().splitlines()
    assert first.startswith("# made by: python -m benchmarks.quality.online")
    assert str(tmp_path) not in first
    rows = list(csv.DictReader(lines))
    assert len(rows) == len(found) >= 6
    ours = next(one for one in rows if one["method"] == OURS)
    assert float(ours["shift_remembered"]) == 0


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(SystemExit, match="no part is called foo: choose among clusters, logs"):
        command.main(["--only", "foo"])


def test_centres_are_nearest_by_distance() -> None:
    rng = np.random.default_rng(0)
    rows, centres = rng.normal(size=(50, 3)), rng.normal(size=(7, 3))
    assert (nearest(rows, centres) == ((rows[:, None] - centres) ** 2).sum(2).argmin(1)).all()
