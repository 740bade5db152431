"""Do the layers of seed 002 grow by groups, remember who is old, and fit any saved size?"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jamais.errors import InputError, SettingsError, ShapeMismatchError
from jamais.models import Autoencoder, ClusteringLayer, DynamicClusteringLayer


def blob(centre: list[float], n: int, seed: int, spread: float = 0.1) -> torch.Tensor:
    made = torch.randn(n, len(centre), generator=torch.Generator().manual_seed(seed)) * spread
    return made + torch.tensor(centre)


@pytest.fixture
def layer() -> DynamicClusteringLayer:
    made = DynamicClusteringLayer(2, 1.0, 0.6, width=2)
    made.place(torch.tensor([[0.0, 0.0], [5.0, 0.0]]))
    return made


def test_an_autoencoder_mirrors_its_widths_with_relu_on_hidden_layers_only() -> None:
    made = Autoencoder([7, 5, 3])
    assert [type(one).__name__ for one in made.encoder] == ["Linear", "ReLU", "Linear"]
    assert [(one.in_features, one.out_features) for one in made.decoder if hasattr(one, "in_features")] == [
        (3, 5),
        (5, 7),
    ]
    rows = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    assert made(rows).shape == (4, 7)
    # What is rebuilt comes from the very latents that clusters are made of: the seed normalised one of them.
    made.encoder.scale.fill_(2.0)
    assert torch.equal(made.decoder(made.encoder(rows)) / 2.0, made(rows))


def test_first_weights_come_from_a_seed_and_touch_no_global_one() -> None:
    before = torch.random.get_rng_state()
    one, same, other = Autoencoder([6, 4, 2], seed=1), Autoencoder([6, 4, 2], seed=1), Autoencoder([6, 4, 2], seed=2)
    ClusteringLayer(3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.encoder[0].weight, same.encoder[0].weight)
    assert not torch.equal(one.encoder[0].weight, other.encoder[0].weight)


def test_wrong_sizes_are_told() -> None:
    with pytest.raises(SettingsError, match=r"at least two widths of 1 or more, got \[5\]"):
        Autoencoder([5])
    with pytest.raises(SettingsError, match=r"n_clusters and width >= 1 and alpha > 0, got 0, 10, 1\.0"):
        ClusteringLayer(0)
    with pytest.raises(SettingsError, match="expansion_threshold > 0"):
        DynamicClusteringLayer(3, expansion_threshold=0.0)
    with pytest.raises(ShapeMismatchError, match=r"wants latents \[n, 10\], got \[4, 3\]"):
        ClusteringLayer(3)(torch.zeros(4, 3))
    with pytest.raises(ShapeMismatchError, match=r"encoder wants rows \[n, 5\], got \[4, 3\]"):
        Autoencoder([5, 2])(torch.zeros(4, 3))


def test_one_group_of_far_rows_is_one_centre(layer: DynamicClusteringLayer) -> None:
    # The seed made 429 centres of 1,797 rows: one for each far row.
    born = layer.dynamic_update(torch.cat([blob([0, 0], 50, 1), blob([0, 9], 80, 2), blob([9, 9], 40, 3)]))
    assert born.tolist() == [2, 3]
    assert layer.n_clusters == 4 == len(layer.clusters)
    np.testing.assert_allclose(layer.clusters.detach()[2:].numpy(), [[0, 9], [9, 9]], atol=0.1)


def test_lone_far_rows_are_no_cluster(layer: DynamicClusteringLayer) -> None:
    scattered = torch.tensor([[50.0 * i, 80.0] for i in range(30)])
    assert layer.dynamic_update(torch.cat([scattered, blob([0, 9], 9, 1)])).tolist() == []
    assert layer.n_clusters == 2


@pytest.mark.parametrize("spread", [0.01, 0.1, 0.5, 2.0])
@pytest.mark.parametrize("n", [20, 50, 400])
def test_a_group_of_any_width_is_one_centre_where_no_reach_was_measured(spread: float, n: int) -> None:
    layer = DynamicClusteringLayer(3)
    layer.place(blob([0.0] * 10, 3, 1, spread=1.0))
    assert len(layer.dynamic_update(blob([40.0] * 10, n, 2, spread=spread))) == 1
    assert float((layer.clusters.detach()[3] - 40.0).abs().max()) < 1.5 * spread


def test_only_centres_from_before_are_history(layer: DynamicClusteringLayer) -> None:
    assert layer.history_centers_mask.tolist() == [False, False]
    layer.dynamic_update(blob([0, 9], 30, 1))
    assert layer.history_centers_mask.tolist() == [True, True, False]  # the seed said True of all
    layer.dynamic_update(blob([9, 9], 30, 2))
    assert layer.history_centers_mask.tolist() == [True, True, True, False]
    assert "history_centers_mask" in layer.state_dict()


def test_numbers_and_protection_of_old_centres_stay_when_the_layer_grows(layer: DynamicClusteringLayer) -> None:
    layer.fisher.fill_(3.0)
    layer.anchors.fill_(7.0)
    old = layer.clusters.detach().clone()
    layer.dynamic_update(blob([0, 9], 30, 1))
    assert torch.equal(layer.clusters.detach()[:2], old)
    assert layer.fisher.tolist() == [[3, 3], [3, 3], [0, 0]]
    assert layer.anchors[:2].tolist() == [[7, 7], [7, 7]]
    assert torch.equal(layer.anchors[2], layer.clusters.detach()[2]), "a new centre is anchored where it was born"


def test_a_group_that_is_as_dense_among_old_rows_is_no_news(layer: DynamicClusteringLayer) -> None:
    group, fringe = blob([0, 9], 30, 1), blob([0, 9], 300, 2)
    known = torch.cat([blob([0, 0], 300, 3), fringe])
    assert layer.dynamic_update(torch.cat([blob([0, 0], 300, 4), group]), known=known).tolist() == []
    assert layer.dynamic_update(torch.cat([blob([0, 0], 300, 4), group]), known=known[:300]).tolist() == [2]


def test_how_far_is_far_is_measured_for_each_cluster(layer: DynamicClusteringLayer) -> None:
    wide, narrow = blob([0, 0], 400, 1, spread=1.0), blob([5, 0], 400, 2, spread=0.1)
    labels = np.repeat([0, 1], 400)
    layer.calibrate(torch.cat([wide, narrow]).numpy(), labels)
    assert float(layer.reach[0]) == pytest.approx(2.45, rel=0.1)  # 95 % of a round blob of two dimensions
    assert float(layer.reach[1]) == pytest.approx(0.245, rel=0.1)
    answers = layer.recognise(np.array([[0, 1.5], [5, 0.8], [5, 0.1]], dtype=np.float32))
    assert answers.tolist() == [0, -1, 1]


def test_bad_latents_are_refused_and_nothing_is_changed(layer: DynamicClusteringLayer) -> None:
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    with pytest.raises(ShapeMismatchError, match=r"latents \[n, 2\], got \[4, 768\]: encode rows first"):
        layer.dynamic_update(torch.zeros(4, 768))
    with pytest.raises(InputError, match="not finite"):
        layer.dynamic_update(torch.full((4, 2), torch.nan))
    for name, tensor in layer.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)
    assert layer.dynamic_update(torch.zeros(1, 2)).tolist() == []


def test_a_saved_layer_of_another_size_resizes_this_one(layer: DynamicClusteringLayer) -> None:
    layer.dynamic_update(blob([0, 9], 30, 1))
    other = DynamicClusteringLayer(7, width=2)
    other.load_state_dict(layer.state_dict())
    assert other.n_clusters == 3
    rows = torch.cat([blob([0, 9], 5, 2), blob([0, 0], 5, 3)])
    assert torch.equal(other(rows), layer(rows))
    assert other.history_centers_mask.tolist() == [True, True, False]


def test_the_answer_for_a_latent_does_not_hang_on_its_neighbours(layer: DynamicClusteringLayer) -> None:
    rows = blob([2, 0], 100, 1, spread=2.0).numpy()
    together = layer.leads(rows)
    alone = np.concatenate([layer.leads(row[None]) for row in rows])
    assert together.tobytes() == alone.tobytes()
