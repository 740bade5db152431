"""Do the baselines compute what their descriptions say, by hand and against other implementations?"""

import math

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the baselines need the bench extra")

from benchmarks.quality import baselines
from benchmarks.quality.baselines import SEVERE

FIT = [(1, 2, 3), (1, 2, 3), (1, 3, 2), (1, 2, 2, 4)]


def fitted(model, sessions=FIT):
    model.fit(sessions)
    return model


def random_sessions(seed, n, n_events):
    generator = np.random.default_rng(seed)
    return [tuple(map(int, generator.integers(0, n_events, generator.integers(1, 9)))) for _ in range(n)]


def test_new_event_asks_only_whether_an_event_is_new():
    assert fitted(baselines.NewEvent()).score([(3, 3, 3), (1, 5)]).tolist() == [0.0, 1.0]


def test_unseen_count_vector_forgets_order_but_not_counts():
    model = fitted(baselines.UnseenKey(baselines.count_key))
    assert model.score([(3, 2, 1), (1, 2, 3, 3)]).tolist() == [0.0, 1.0]


def test_frozen_set_memory_forgets_counts_but_not_combinations():
    model = fitted(baselines.UnseenKey(frozenset))
    assert model.score([(3, 2, 1, 1), (1, 2), (3, 4)]).tolist() == [0.0, 1.0, 1.0]


def test_rarest_event_is_the_smoothed_share_of_sessions_in_nats():
    scores = fitted(baselines.RarestEvent()).score([(1, 2), (1, 3), (2, 4), (9,)])
    assert scores == pytest.approx([-math.log(c / 5) for c in (4.5, 3.5, 1.5, 0.5)])


def test_bigram_surprise_is_witten_bell_by_hand():
    model = fitted(baselines.BigramSurprise())
    # singles: 1 x4, 2 x5, 3 x3, 4 x1 = 13 of 4 kinds; after 1: 2 x3, 3 x1
    alone_3 = (3 + 4 / 5) / (13 + 4)
    assert model.probability(1, 3) == pytest.approx((1 + 2 * alone_3) / (4 + 2))
    unknown = (4 / 5) / 17
    assert model.probability(99, 99) == pytest.approx(unknown)
    start = -math.log(model.probability(-1, 1))
    assert model.score([(1, 3)]) == pytest.approx([max(start, -math.log(model.probability(1, 3)))])


def test_bigram_probabilities_after_any_event_sum_to_one_with_the_unknown_event():
    model = fitted(baselines.BigramSurprise())
    for first in (-1, 1, 2, 4):
        assert sum(model.probability(first, e) for e in (1, 2, 3, 4, 99)) == pytest.approx(1.0)


def test_nearest_counts_is_the_smallest_l1_distance_per_event():
    model = fitted(baselines.NearestCounts())
    assert model.score([(3, 1, 2), (1, 2, 3, 3), (7, 8)]) == pytest.approx([0.0, 1 / 4, 5 / 2])


def test_nearest_set_is_jaccard_distance_where_unknown_events_match_nothing():
    model = fitted(baselines.NearestSet())
    assert model.score([(2, 1, 3), (1, 2), (1, 2, 3, 7, 8)]) == pytest.approx([0.0, 1 / 3, 2 / 5])


def test_nearest_neighbours_agree_with_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors")
    known, asked = random_sessions(0, 300, 12), random_sessions(1, 300, 12)
    columns = baselines.columns_of(known)
    rows = [baselines.count_matrix(s, columns) for s in (known, asked)]
    search = neighbors.NearestNeighbors(n_neighbors=1, metric="manhattan").fit(rows[0])
    expected = search.kneighbors(rows[1])[0][:, 0] / rows[1].sum(1)
    assert fitted(baselines.NearestCounts(), known).score(asked) == pytest.approx(expected)
    search = neighbors.NearestNeighbors(n_neighbors=1, metric="jaccard").fit(rows[0] > 0)
    expected = search.kneighbors(rows[1] > 0)[0][:, 0]
    assert fitted(baselines.NearestSet(), known).score(asked) == pytest.approx(expected)


def test_pca_residual_agrees_with_scikit_learn():
    decomposition = pytest.importorskip("sklearn.decomposition")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    known, asked = random_sessions(2, 400, 10), random_sessions(3, 100, 12)
    columns = baselines.columns_of(known)
    rows = [np.log1p(baselines.count_matrix(s, columns)) for s in (known, asked)]
    scaler = preprocessing.StandardScaler().fit(rows[0])
    pca = decomposition.PCA(n_components=0.95).fit(scaler.transform(rows[0]))
    centred = scaler.transform(rows[1])
    expected = ((centred - pca.inverse_transform(pca.transform(centred))) ** 2).sum(1)
    assert fitted(baselines.PcaResidual(), known).score(asked) == pytest.approx(expected)


def test_a_severe_word_counts_only_in_an_unseen_event():
    texts = {1: "disk failure on <*>", 2: "link FAILED", 3: "all fine"}
    known = [(1,)]
    asked = [(1,), (2,), (3,)]
    assert fitted(baselines.SevereNews(texts), known).score(asked).tolist() == [0.0, 1.0, 0.0]
    assert fitted(baselines.SevereNews(texts, mild=0.5), known).score(asked).tolist() == [0.0, 1.0, 0.5]


@pytest.mark.parametrize("text", ["Connection timed out", "kernel PANIC", "could not open", "writeBlock error"])
def test_words_of_failure_are_severe(text):
    assert SEVERE.search(text)


@pytest.mark.parametrize("text", ["terrorize", "default route set", "job completed", "received 12 bytes"])
def test_harmless_words_are_not_severe(text):
    assert not SEVERE.search(text)


def test_a_score_does_not_depend_on_the_other_sessions_asked_about():
    known, asked = random_sessions(4, 200, 9), random_sessions(5, 50, 12)
    for name, make in baselines.all_baselines({}).items():
        model = fitted(make(), known)
        alone = np.array([model.score([session])[0] for session in asked])
        assert model.score(asked) == pytest.approx(alone, abs=1e-12), name
