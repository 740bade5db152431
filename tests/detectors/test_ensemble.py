from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jamais.detectors import KNN, LOF, Cluster, Ensemble, IForest, Reconstruction
from jamais.detectors.calibration import Calibration
from jamais.detectors.detector import Detector
from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError
from jamais.memory import CoverMemory, FeatureMemory
from jamais.testing import DETECTOR_CHECKS, DetectorCase, digest

WIDTH = 5


def rows(n: int, seed: int, spread: float = 1.0) -> Any:
    return (spread * np.random.default_rng(seed).normal(size=(n, WIDTH))).astype(np.float32)


def strangers(n: int, seed: int) -> Any:
    """Rows that lie some 6 standard deviations away from all of `rows`."""
    far = rows(n, seed)
    return (6.0 * far / np.linalg.norm(far, axis=1, keepdims=True)).astype(np.float32)


class Noise(Detector):
    """Knows nothing: its score is a hash of the row's bytes."""

    def settings(self) -> dict[str, Any]:
        return {"contamination": self.contamination}

    def __init__(self, contamination: float = 0.1, memory: Any = None) -> None:
        super().__init__(contamination, memory)

    def _refit(self) -> None: ...

    def _scores(self, rows: Any) -> Any:
        return np.array([np.random.default_rng(list(row.tobytes())).normal() for row in rows])

    _unseen_scores = _scores


def three(**settings: Any) -> Ensemble:
    return Ensemble([KNN(3), KNN(8, "mean"), KNN(4, metric="cosine")], **settings)


CASES = {
    "three": three,
    "stouffer": lambda: three(method="stouffer"),
    "bounded": lambda: three(memory=40),
    "one": lambda: Ensemble(["knn"]),
    "default": Ensemble,
}


@pytest.mark.parametrize("check", DETECTOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", CASES)
def test_it_keeps_the_contract_of_a_detector(name: str, check: Any) -> None:
    check(DetectorCase(CASES[name], rows(90, 0), rows(20, 1, 2.0)))


def test_it_is_made_of_five_over_one_memory() -> None:
    one = Ensemble(contamination=0.2, random_state=3)
    assert list(one.detectors) == ["knn", "lof", "iforest", "cluster", "reconstruction"]
    assert all(member.memory is one.memory for member in one.detectors.values())
    assert all(member.contamination == 0.2 for member in one.detectors.values())
    assert one.detectors["iforest"].settings()["random_state"] == 3


def calm(member: Detector, known: Any) -> Any:
    """Give a member's unseen scores without the tenth that may be abnormal."""
    scores = member.unseen_scores(known)
    return scores[scores <= np.quantile(scores, 0.9)]


def nats(member: Detector, known: Any, asked: Any) -> Any:
    return -np.log(Calibration.of(calm(member, known)).p_value(member.decision_function(asked))[0])


def test_the_score_is_the_weighted_mean_of_what_the_members_p_values_say() -> None:
    known, asked = rows(200, 0), rows(50, 1, 1.5)
    one = three().fit(known)
    slow = sum(one.weights[name] * nats(member, known, asked) for name, member in one.detectors.items())
    assert one.decision_function(asked) == pytest.approx(slow, rel=1e-12)


def test_a_few_abnormal_rows_among_those_learned_do_not_hush_the_members() -> None:
    clean, asked = rows(300, 0), strangers(20, 1)
    dirty = np.concatenate([clean, strangers(15, 2)])
    loud = [Ensemble().fit(known).decision_function(asked).mean() for known in (clean, dirty)]
    assert loud[1] > 0.6 * loud[0]


def test_a_remembered_row_is_judged_as_if_no_member_had_learned_it() -> None:
    known = rows(80, 0)
    one = Ensemble([KNN(3), KNN(8)]).fit(known)
    slow = []
    for i in range(len(known)):
        others = [KNN(3).fit(np.delete(known, i, axis=0)), KNN(8).fit(np.delete(known, i, axis=0))]
        calibrated = []
        for name, other in zip(one.detectors, others, strict=True):
            score = other.decision_function(known[i : i + 1])[0]
            unseen = one.detectors[name].unseen_scores(known)
            kept = np.delete(unseen, i)[np.delete(unseen <= np.quantile(unseen, 0.9), i)]
            calibrated.append(-np.log((1 + (kept >= score).sum()) / (len(kept) + 1)))
        slow.append(np.average(calibrated, weights=list(one.weights.values())))
    # Beyond all calm rows a tail is fitted.
    beyond = np.any([member.unseen_scores(known) >= calm(member, known).max() for member in one.detectors.values()], 0)
    assert 0 < beyond.sum() < 20
    assert one.decision_scores_[~beyond] == pytest.approx(np.array(slow)[~beyond], rel=1e-12)
    assert (one.decision_scores_[beyond] >= np.array(slow)[beyond] - 1e-12).all()
    assert (one.calibration().values == np.unique(one.decision_scores_)).all()


@pytest.mark.parametrize("method", ["fisher", "stouffer"])
def test_p_values_of_unseen_normals_are_uniform_before_and_after_learning(method: str) -> None:
    shares = []
    for seed in range(8):
        one = Ensemble([KNN(5), KNN(5, metric="cosine"), IForest(20)], method=method).fit(rows(399, seed))
        shares.append([(one.p_value(rows(500, 100 + seed)) <= rate).mean() for rate in (0.05, 0.2)])
        for turn in range(4):
            one.partial_fit(rows(50, 1000 + 50 * seed + turn))
        shares.append([(one.p_value(rows(500, 200 + seed)) <= rate).mean() for rate in (0.05, 0.2)])
    found, error = np.mean(shares, axis=0), np.std(shares, axis=0) / len(shares) ** 0.5
    assert (np.abs(found - (0.05, 0.2)) < np.maximum(4 * error, 0.1 * np.array([0.05, 0.2]))).all()


def test_a_noise_member_weighs_nothing_and_spoils_nothing() -> None:
    known, strange, more = rows(400, 0), strangers(60, 1), rows(300, 2)
    plain, noisy = Ensemble([KNN(), IForest()]), Ensemble([KNN(), Noise(), IForest()])
    for one in (plain, noisy):
        one.fit(known)
    assert noisy.weights["noise"] < 0.02
    assert noisy.weights["knn"] == pytest.approx(0.5, abs=0.01)
    assert abs(noisy.performance()["members"]["noise"]["agreement"]) < 0.15
    for asked in (strange, more):
        assert noisy.decision_function(asked) == pytest.approx(plain.decision_function(asked), abs=0.15)


def test_all_members_of_noise_weigh_alike() -> None:
    one = Ensemble([Noise(), Noise()]).fit(rows(300, 0))
    assert one.weights == {"noise": 0.5, "noise-2": 0.5}


def test_labels_of_both_kinds_move_the_weights_to_who_is_right() -> None:
    rng = np.random.default_rng(0)
    direction = rng.normal(size=WIDTH) / 3 + 3.0

    def shells(n: int, angle: float) -> Any:
        """Rows near one direction at any distance; abnormal rows point elsewhere, at usual distances."""
        return ((direction + angle * rng.normal(size=(n, WIDTH))) * rng.uniform(0.3, 3.0, size=(n, 1))).astype("f4")

    one = Ensemble([KNN(5, metric="cosine"), KNN(5)]).fit(shells(400, 0.1))
    assert one.performance()["weights_from"] == "normal rows"
    before = one.weights["knn"]
    one.feedback(shells(20, 0.3), [1] * 20)
    assert one.performance()["weights_from"] == "normal rows"
    assert one.performance()["evaluated_on_labels"] is None
    one.feedback(shells(30, 0.1), [0] * 30)
    record = one.performance()
    assert record["weights_from"] == "labels"
    assert record["evaluated_on_labels"] == {"normal": 30, "abnormal": 20}
    assert record["members"]["knn"]["auroc"] > record["members"]["knn-2"]["auroc"]
    assert one.weights["knn"] > before + 0.1
    assert sum(one.weights.values()) == pytest.approx(1.0)


def test_the_record_is_json_and_has_thresholds_at_the_alarm_rate() -> None:
    one = three().fit(rows(150, 0)).set_alarm_rate(0.02)
    one.feedback(np.vstack([rows(6, 1), strangers(4, 2)]), [0] * 6 + [1] * 4)
    record = json.loads(json.dumps(one.performance(), allow_nan=False))
    assert set(record["members"]) == set(one.detectors)
    member = record["members"]["knn"]
    assert member["calibration_rows"] == 156
    assert member["threshold"] == one.detectors["knn"]._calibrations()[1].threshold(0.02)
    assert not member["threshold_is_extrapolated"]
    assert record["ensemble"]["alarm_rate"] == 0.02
    assert record["ensemble"]["auroc"] == 1.0


def test_calibrations_are_made_once_per_change(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    inner = KNN._unseen_scores
    monkeypatch.setattr(KNN, "_unseen_scores", lambda self, given: calls.append(len(given)) or inner(self, given))
    one = Ensemble([KNN(3), KNN(5)]).fit(rows(120, 0))
    assert calls == [120] * 4  # each member: the rows it was fitted to, and those of the calibration
    calls.clear()
    for _ in range(3):
        one.p_value(rows(10, 1))
        one.predict(rows(10, 1))
        one.explain(rows(2, 1))
        one.state_dict()
    assert not calls
    one.partial_fit(rows(1, 2))
    for _ in range(3):
        one.p_value(rows(10, 1))
        one.performance()
    assert calls == [121, 121]


def test_fitting_rows_or_the_memory_that_holds_them_is_the_same() -> None:
    known = np.repeat(rows(40, 0), [1, 3] * 20, axis=0)
    one, two = three().fit(known), three()
    two.memory.add(known)
    two.fit()
    assert np.sort(one.decision_scores_).tobytes() == np.sort(two.decision_scores_).tobytes()
    assert one.threshold_ == two.threshold_


def test_a_detector_over_the_same_memory_takes_part_itself_and_others_stay_as_they_are() -> None:
    memory = FeatureMemory()
    inside, outside = KNN(3, memory=memory), KNN(4).fit(rows(30, 5))
    before = digest(outside.state_dict())
    one = Ensemble([inside, outside], memory=memory).fit(rows(60, 0))
    assert one.detectors["knn"] is inside
    assert one.detectors["knn-2"] is not outside
    assert one.detectors["knn-2"].settings() == outside.settings()
    assert digest(outside.state_dict()) == before
    assert inside.threshold_ > 0


def test_it_follows_whatever_a_member_or_the_memory_learns() -> None:
    one = Ensemble([KNN(3), IForest(10)]).fit(rows(80, 0))
    one.detectors["knn"].partial_fit(rows(20, 1))
    assert len(one.memory) == 100
    twin = Ensemble(["knn"])
    twin.load_state_dict(one.state_dict())
    assert twin.decision_function(rows(9, 2)).tobytes() == one.decision_function(rows(9, 2)).tobytes()
    before = one.decision_function(rows(9, 2))
    other = KNN(3).fit(rows(50, 3))
    one.memory.merge(other.memory)
    assert len(one.memory) == 150
    assert (one.decision_function(rows(9, 2)) != before).any()
    one.detectors["iforest"].fit(force=True)
    assert one.calibration().n_rows == 150
    assert one.forget(one.memory.ids[:50]) == 50
    assert one.calibration().n_rows == 100


def test_what_is_not_vouched_for_waits_and_what_is_abnormal_is_lifted() -> None:
    one = three().fit(rows(200, 0))
    strange = strangers(4, 1)
    one.partial_fit(np.vstack([rows(20, 2), strange]), trust="unknown")
    assert len(one.memory) == 200
    assert len(one.memory.quarantine) >= 4
    near_miss = rows(1, 3)
    before = one.p_value(near_miss)
    one.feedback(near_miss, [1])
    assert one.p_value(near_miss)[0] < before[0]
    assert one.predict(near_miss)[0] == 1
    assert len(one.memory) == 200


def test_reasons_say_what_each_member_heard() -> None:
    known, asked = rows(200, 0), strangers(2, 1)
    one = three().fit(known)
    for i, reason in enumerate(one.explain(asked)):
        heard = reason.details["members"]
        assert list(heard) == list(one.detectors)
        for name, member in one.detectors.items():
            assert heard[name]["nats"] == pytest.approx(nats(member, known, asked)[i])
            assert heard[name]["score"] == member.decision_function(asked)[i]
            assert heard[name]["weight"] == one.weights[name]
        assert sum(share for _, share in reason.features) == pytest.approx(1.0)
        assert reason.abnormal


def test_columns_that_make_a_row_strange_are_named() -> None:
    strange = rows(1, 1) * 0
    strange[0, 3] = 9.0
    (reason,) = Ensemble([KNN(), IForest(), Cluster()]).fit(rows(300, 0)).explain(strange)
    assert reason.features[0][0] == 3
    assert reason.features[0][1] > 0.6


def test_a_state_holds_one_copy_of_the_memory_and_the_settings_of_all() -> None:
    one = Ensemble([KNN(7, "median"), IForest(10, random_state=5)], method="stouffer", memory=CoverMemory(50))
    one.fit(rows(100, 0)).set_alarm_rate(0.05)
    one.detectors["knn"].set_alarm_rate(0.2)
    tree = one.state_dict()
    assert all("memory" not in member for member in tree["engine"]["members"].values())
    two = Ensemble(["knn"])
    two.load_state_dict(tree)
    assert digest(two.state_dict()) == digest(tree)
    assert two.settings() == one.settings() == type(one)(**one.settings()).settings()
    assert all(member.memory is two.memory for member in two.detectors.values())
    asked = rows(30, 1, 2.0)
    for this, that in ((one, two), *zip(one.detectors.values(), two.detectors.values(), strict=True)):
        assert this.decision_function(asked).tobytes() == that.decision_function(asked).tobytes()
        assert this.threshold_ == that.threshold_


def test_a_weight_from_a_state_counts_until_something_changes() -> None:
    one, two = three().fit(rows(100, 0)), three()
    tree = one.state_dict()
    two.load_state_dict({**tree, "engine": {**tree["engine"], "weights": np.array([0.5, 0.3, 0.2])}})
    assert list(two.weights.values()) == [0.5, 0.3, 0.2]
    two.partial_fit(rows(1, 1))
    one.partial_fit(rows(1, 1))
    assert two.weights == one.weights


class Shrinks:
    """A model from outside."""

    def __init__(self, part: float = 0.5) -> None:
        self.part = part

    def reconstruct(self, rows: Any) -> Any:
        return rows * np.float32(self.part)


def test_a_member_that_changes_without_the_memory_is_calibrated_anew() -> None:
    one = Ensemble([KNN(3), Reconstruction(Shrinks())]).fit(rows(60, 0))
    asked = rows(9, 1)
    before = one.decision_function(asked)
    one.detectors["reconstruction"].model = Shrinks(0.75)  # type: ignore[attr-defined]
    assert one.decision_function(asked) == pytest.approx(before)  # every error is half of what it was
    assert one.detectors["reconstruction"].calibration().values.max() < 2.0


def test_a_model_from_outside_is_used_and_kept_through_loading() -> None:
    model = Shrinks()
    one = Ensemble([KNN(3), Reconstruction(model)]).fit(rows(60, 0))
    assert one.detectors["reconstruction"].model is model  # type: ignore[attr-defined]
    two = Ensemble([Reconstruction(model)])
    two.load_state_dict(one.state_dict())
    asked = rows(9, 1)
    assert two.decision_function(asked).tobytes() == one.decision_function(asked).tobytes()
    assert two.weights == one.weights
    three = Ensemble(["knn"])
    three.load_state_dict(one.state_dict())
    with pytest.raises(NotReadyError, match="model"):
        three.decision_function(asked)
    three.detectors["reconstruction"].model = model  # type: ignore[attr-defined]
    assert three.decision_function(asked).tobytes() == one.decision_function(asked).tobytes()


def test_an_empty_one_can_be_saved_and_loaded() -> None:
    one = three()
    one.load_state_dict(Ensemble(["knn"]).state_dict())
    assert list(one.detectors) == ["knn"]
    with pytest.raises(NotReadyError, match="fit"):
        one.decision_function(rows(1, 0))


HOSTILE: dict[str, Any] = {
    "a type that is none": lambda tree: tree["settings"]["detectors"][0].update(type="os.system"),
    "an ensemble in an ensemble": lambda tree: tree["settings"]["detectors"][0].update(type="ensemble"),
    "settings of another": lambda tree: tree["settings"]["detectors"][0].update(settings={"n_clusters": 3}),
    "no detectors": lambda tree: tree["settings"].update(detectors=[]),
    "detectors that are a number": lambda tree: tree["settings"].update(detectors=7),
    "a method that is none": lambda tree: tree["settings"].update(method="max"),
    "a member missing": lambda tree: tree["engine"]["members"].pop("knn"),
    "a member too many": lambda tree: tree["engine"]["members"].update(lof={}),
    "a member's training": lambda tree: tree["engine"]["members"]["knn"].update(training={"threshold": "x"}),
    "no weights": lambda tree: tree["engine"].pop("weights"),
    "weights too few": lambda tree: tree["engine"].update(weights=np.ones(1)),
    "weights below zero": lambda tree: tree["engine"].update(weights=np.array([2.0, -1.0, 0.0])),
    "weights of NaN": lambda tree: tree["engine"].update(weights=np.full(3, np.nan)),
    "members that are a list": lambda tree: tree["engine"].update(members=[1, 2, 3]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_state_is_refused_and_changes_nothing(name: str) -> None:
    one = three().fit(rows(60, 0))
    tree = one.state_dict()
    HOSTILE[name](tree)
    before = digest(one.state_dict())
    with pytest.raises(CorruptStateError):
        one.load_state_dict(tree)
    assert digest(one.state_dict()) == before


def test_members_that_make_no_sense_are_refused() -> None:
    for wrong, match in (
        ([], "at least one"),
        (["svm"], "knows knn"),
        ([3], "got int"),
        ([Ensemble(["knn"])], "another"),
    ):
        with pytest.raises(SettingsError, match=match):
            Ensemble(wrong)
    with pytest.raises(SettingsError, match="fisher, stouffer"):
        Ensemble(["knn"], method="mean")
    with pytest.raises(InputError, match="cannot save"):
        Ensemble([Noise()]).state_dict()


def test_rows_too_few_for_any_member_are_too_few() -> None:
    one = Ensemble([KNN(3), KNN(9)])
    with pytest.raises(NotReadyError, match="10"):
        one.fit(rows(9, 0))
    assert len(one.memory) == 0
    one.fit(rows(10, 0))
    assert np.isfinite(one.decision_function(rows(5, 1))).all()


def test_exact_repeats_of_normal_rows_are_not_alarming() -> None:
    few = rows(12, 0)
    known = np.repeat(few, 20, axis=0)
    one = Ensemble([KNN(), LOF(), IForest(), Cluster()]).fit(known)
    assert (one.p_value(few) > 0.05).sum() >= 11  # the highest of twelve ties may be told apart by out-of-bag noise
    assert (one.p_value(strangers(5, 1)) < 0.01).all()
    assert np.isfinite(one.decision_function(strangers(5, 1) * np.float32(1e30))).all()
