"""Is the use of a memory told and drawn: even, lopsided, collapsed?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jamais.errors import InputError, ShapeMismatchError
from jamais.plots.series import draw_usage, usage_of


def test_even_use_has_entropy_one_and_one_item_for_all_has_none() -> None:
    assert usage_of(np.full(20, 7)) == (20, 20, pytest.approx(1.0), pytest.approx(0.1))
    alone = usage_of([0, 0, 9, 0])
    assert (alone.n_used, alone.entropy, alone.top_share) == (1, 0.0, 1.0)
    assert str(alone.entropy) == "0.0"
    assert usage_of([0, 0]) == (2, 0, 0.0, 0.0)
    assert usage_of([3]).entropy == 1.0


def test_entropy_is_that_of_the_shares_over_log_m() -> None:
    counts = np.array([1, 2, 5, 0, 8])
    shares = [c / 16 for c in counts if c]
    assert usage_of(counts).entropy == pytest.approx(-sum(s * np.log(s) for s in shares) / np.log(5))


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_memories_are_drawn_with_their_ages_and_cosines(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    usage = {"bank $1": rng.poisson(3, 200), "empty": np.zeros(3), "one": np.array([4])}
    draw_usage(tmp_path / f"a{suffix}", usage, when={"bank $1": np.arange(200)})
    items = {"bank $1": rng.normal(size=(200, 4)), "one": np.zeros((1, 4))}
    draw_usage(tmp_path / f"b{suffix}", usage, items=items, title="MEMTO")
    assert {path.name for path in tmp_path.iterdir()} == {f"a{suffix}", f"b{suffix}"}


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_usage(tmp_path / "p.html", {"a": [1, 2]})
    with pytest.raises(InputError, match="no memory"):
        draw_usage(tmp_path / "p.png", {})
    with pytest.raises(ShapeMismatchError, match="a has 2 counts and 3 items"):
        draw_usage(tmp_path / "p.png", {"a": [1, 2]}, items={"a": np.ones((3, 2))})
    assert not list(tmp_path.iterdir())
