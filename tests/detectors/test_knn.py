from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from jamais.detectors.knn import KNN
from jamais.errors import CorruptStateError, InputError, NotReadyError, SettingsError, ShapeMismatchError
from jamais.memory import CoverMemory
from jamais.testing.bits import digest


def data(n: int = 400, width: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def peer_scores(rows: np.ndarray, queries: np.ndarray, k: int, method: str, metric: str) -> np.ndarray:
    peer = NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(rows.astype(np.float64))
    distances, _ = peer.kneighbors(queries.astype(np.float64))
    return {
        "largest": distances[:, -1],
        "mean": distances.mean(axis=1),
        "median": np.median(distances, axis=1),
    }[method]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("method", ["largest", "mean", "median"])
@pytest.mark.parametrize("k", [1, 4, 5])
def test_scores_are_those_of_scikit_learn_even_with_repeated_rows(method: str, metric: str, k: int) -> None:
    rows = np.repeat(data(), np.random.default_rng(1).integers(1, 4, 400), axis=0)
    queries = np.concatenate([data(60, seed=2) * 2, rows[:20]])
    detector = KNN(n_neighbors=k, method=method, metric=metric).fit(rows)
    assert np.abs(detector.decision_function(queries) - peer_scores(rows, queries, k, method, metric)).max() < 3e-7


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("method", ["largest", "mean", "median"])
def test_training_scores_leave_each_row_out(method: str, metric: str) -> None:
    rows = np.repeat(data(60), [1, 2, 5] * 20, axis=0)
    detector = KNN(n_neighbors=4, method=method, metric=metric).fit(rows)
    wanted = [peer_scores(np.delete(rows, i, axis=0), rows[i : i + 1], 4, method, metric)[0] for i in range(len(rows))]
    assert np.abs(detector.decision_scores_ - wanted).max() < 3e-7
    assert abs(detector.labels_.mean() - 0.1) < 0.03
    assert (detector.labels_ == (detector.decision_scores_ > detector.threshold_)).all()


def test_an_exact_repeat_scores_zero_where_others_round() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 256))
    base *= 50 / np.linalg.norm(base, axis=1, keepdims=True)
    rows = (base[rng.integers(0, 30, 2000)] + 1e-4 * rng.normal(size=(2000, 256))).astype(np.float32)
    for metric in ("euclidean", "cosine"):
        detector = KNN(n_neighbors=1, metric=metric).fit(rows)
        assert (detector.decision_function(rows[::9]) == 0).all()
        distances, ids = detector.nearest(rows[::9])
        assert (distances == 0).all()
        assert (detector.memory.rows[np.searchsorted(detector.memory.ids, ids[:, 0])] == rows[::9]).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    metric=st.sampled_from(["euclidean", "cosine"]),
    method=st.sampled_from(["largest", "mean", "median"]),
    n=st.integers(7, 300),
)
def test_a_row_alone_has_the_bits_of_a_row_in_a_batch(seed: int, metric: str, method: str, n: int) -> None:
    detector = KNN(metric=metric, method=method).fit(data(n, seed=seed))
    queries = data(50, seed=seed + 1) + 40
    together = detector.decision_function(queries)
    alone = np.concatenate([detector.decision_function(row[None]) for row in queries])
    assert together.tobytes() == alone.tobytes()
    assert together[::-1].tobytes() == detector.decision_function(queries[::-1]).tobytes()


def test_scoring_changes_nothing_and_inputs_stay_untouched() -> None:
    rows, queries = data(), data(30, seed=5)
    kept = rows.copy(), queries.copy()
    detector = KNN().fit(rows)
    before = digest(detector.state_dict())
    first = detector.decision_function(queries)
    detector.predict(queries)
    detector.nearest(queries)
    assert (rows == kept[0]).all()
    assert (queries == kept[1]).all()
    assert digest(detector.state_dict()) == before
    rows[:] = 0
    assert detector.decision_function(queries).tobytes() == first.tobytes()


def test_reloaded_detector_continues_as_if_never_stopped() -> None:
    first = KNN(n_neighbors=3, method="mean", metric="cosine", memory=100).fit(data())
    second = KNN()
    second.load_state_dict(first.state_dict())
    for detector in (first, second):
        detector.partial_fit(data(200, seed=7))
    queries = data(40, seed=8)
    assert first.decision_function(queries).tobytes() == second.decision_function(queries).tobytes()
    assert first.threshold_ == second.threshold_
    assert first.p_value(queries).tobytes() == second.p_value(queries).tobytes()
    assert digest(first.state_dict()) == digest(second.state_dict())
    assert len(second.memory) <= 100
    assert first.decision_scores_.shape == (400,)
    with pytest.raises(NotReadyError, match="training scores are not saved"):
        _ = second.decision_scores_


def test_partial_fit_brings_scores_down_and_forget_brings_them_back() -> None:
    detector = KNN(n_neighbors=1).fit(data())
    new = data(5, seed=9) + 30
    far = detector.decision_function(new)
    detector.partial_fit(new)
    assert (detector.decision_function(new) == 0).all()
    _, ids = detector.nearest(new)
    assert detector.forget(ids[:, 0]) == 5
    assert detector.decision_function(new).tobytes() == far.tobytes()


def test_predict_follows_the_threshold() -> None:
    detector = KNN(contamination=0.05).fit(data())
    assert detector.predict(data(1, seed=3) + 30).tolist() == [1]
    assert detector.predict(np.zeros((1, 12))).tolist() == [0]
    assert abs(detector.labels_.mean() - 0.05) < 0.01


def test_a_filled_memory_scores_without_fit_but_has_no_threshold() -> None:
    memory = CoverMemory(50)
    memory.add(data(20))
    detector = KNN(n_neighbors=2, memory=memory)
    assert detector.decision_function(data(3, seed=1)).shape == (3,)
    memory.add(data(3, seed=1), counts=[2, 2, 2])
    assert (detector.decision_function(data(3, seed=1)) == 0).all()
    with pytest.raises(NotReadyError, match="fit"):
        detector.predict(data(3))


def test_zero_vectors_have_cosine_distance_one_to_all_others() -> None:
    rows = np.concatenate([np.zeros((1, 12), np.float32), data(30)])
    detector = KNN(n_neighbors=1, metric="cosine").fit(rows)
    assert detector.decision_function(np.zeros((1, 12))).tolist() == [0.0]
    detector.forget([0])
    assert detector.decision_function(np.zeros((1, 12))).tolist() == pytest.approx([1.0], abs=1e-15)


def test_few_exemplars_and_wrong_inputs_say_what_is_wanted() -> None:
    detector = KNN(n_neighbors=5)
    with pytest.raises(NotReadyError, match="needs 5 remembered rows, has 0"):
        detector.decision_function(data(3))
    with pytest.raises(NotReadyError, match="needs 6 remembered rows, has 5: call fit"):
        detector.fit(data(5))
    detector.partial_fit(data(2), counts=np.array([3, 3]))
    assert detector.decision_function(data(3)).shape == (3,)
    assert detector.nearest(data(3))[0].shape == (3, 2)
    with pytest.raises(ShapeMismatchError, match=r"\[n, 12\]"):
        detector.decision_function(data(3, width=5))
    with pytest.raises(InputError, match="finite"):
        detector.decision_function(np.full((1, 12), np.inf))
    for wrong in ({"n_neighbors": 0}, {"method": "best"}, {"metric": "l1"}, {"contamination": 0.9}):
        with pytest.raises(SettingsError):
            KNN(**wrong)  # type: ignore[arg-type]
    with pytest.raises(CorruptStateError, match="KNN"):
        detector.load_state_dict({"n_neighbors": 3})


def test_importing_the_detector_imports_no_torch() -> None:
    code = "import sys, jamais.detectors.knn; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_cosine_knows_which_exemplar_stands_for_a_row_among_those_of_its_direction() -> None:
    rows = data(40)
    rows = np.concatenate([rows, rows * 2, rows * 3])  # each direction three times, at three lengths
    detector = KNN(n_neighbors=3, metric="cosine").fit(rows)
    wanted = [peer_scores(np.delete(rows, i, axis=0), rows[i : i + 1], 3, "largest", "cosine")[0] for i in range(120)]
    assert np.abs(detector.decision_scores_ - wanted).max() < 3e-7


@pytest.mark.parametrize("method", ["largest", "mean", "median"])
def test_too_few_rows_beside_itself_are_joined_as_far_as_they_go(method: str) -> None:
    rows = data(3)
    detector = KNN(n_neighbors=3, method=method).partial_fit(rows)
    wanted = [peer_scores(np.delete(rows, i, axis=0), rows[i : i + 1], 2, method, "euclidean")[0] for i in range(3)]
    assert np.abs(detector.unseen_scores(rows) - wanted).max() < 3e-7
    assert KNN(n_neighbors=1, method=method).partial_fit(rows[:1]).unseen_scores(rows[:1]).tolist() == [0.0]


def test_cosine_is_explained_by_the_angle_and_not_by_the_length() -> None:
    rows = np.eye(12, dtype=np.float32) + 0.01
    detector = KNN(n_neighbors=1, metric="cosine").fit(rows)
    query = rows[3] * 50
    query[7] += 20.0
    (reason,) = detector.explain(query[None], n_features=2)
    assert {column for column, _ in reason.features} == {3, 7}
    assert reason.features[0][0] == 7
    assert KNN(n_neighbors=1).fit(rows).explain(query[None])[0].features[0][0] == 3  # the length


def test_tensors_score_as_arrays_do() -> None:
    import torch

    rows, queries = data(), data(20, seed=6)
    for metric in ("euclidean", "cosine"):
        detector = KNN(metric=metric).fit(torch.from_numpy(rows).double())
        wanted = detector.decision_function(queries)
        assert detector.decision_function(torch.from_numpy(queries)).tobytes() == wanted.tobytes()
        assert detector.nearest(torch.from_numpy(queries))[1].tolist() == detector.nearest(queries)[1].tolist()


def test_the_device_of_a_tensor_decides_where_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from jamais.detectors import knn
    from jamais.memory.nearest import NearestRows

    asked = []
    whole = NearestRows.nearest

    def nearest(self: NearestRows, queries: np.ndarray, k: int, **how: object) -> object:
        asked.append(how.get("device", ""))
        return whole(self, queries, k, **how)  # type: ignore[arg-type]

    detector, queries = KNN().fit(data()), data(20, seed=6)
    wanted = detector.decision_function(queries)
    monkeypatch.setattr(NearestRows, "nearest", nearest)
    monkeypatch.setattr(knn, "device_of", lambda X: "cpu" if isinstance(X, torch.Tensor) else "")
    assert detector.decision_function(torch.from_numpy(queries)).tobytes() == wanted.tobytes()
    assert detector.predict(torch.from_numpy(queries)).shape == (20,)
    detector.decision_function(queries)
    assert asked == ["cpu", "cpu", ""]


@pytest.mark.gpu
def test_cuda_tensors_score_with_the_same_bits() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    detector, queries = KNN().fit(data(3_000)), data(200, seed=6)
    there = torch.from_numpy(queries).cuda()
    assert detector.decision_function(there).tobytes() == detector.decision_function(queries).tobytes()


def test_an_approximate_search_survives_saving_and_is_exact_in_small_memories() -> None:
    detector = KNN(approximate=True).fit(data())
    again = KNN()
    again.load_state_dict(detector.state_dict())
    assert again.approximate
    assert again.get_params()["approximate"] is True
    assert again.decision_function(data(9)).tobytes() == KNN().fit(data()).decision_function(data(9)).tobytes()
