"""Does a watcher of series learn, use and keep a learned description of windows, when it is asked for?"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.reference.small_series import TINY, normal, shifted, today, watcher

import jamais
from jamais.errors import Cancelled, SettingsError
from jamais.recipes.series import encoders
from jamais.recipes.series.settings import ENCODERS, SeriesSettings
from jamais.testing.bits import digest
from jamais.types import CancelToken, Event, silent


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for a moment only."""
    monkeypatch.setattr(encoders, "CONTRAST_STEPS", 3)
    monkeypatch.setattr(encoders, "MEMTO_EPOCHS", (1, 1))
    monkeypatch.setattr(encoders, "MEMTO_WINDOWS", 64)


@cache
def known(encoder: str) -> Any:
    return watcher(encoder=encoder)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_its_bank_has_a_vote_of_its_own(encoder: str) -> None:
    banks = known(encoder).recipe.banks
    at = banks.names.index(encoder)
    assert banks.weights[at] == 1.0
    plain: Any = watcher()
    assert set(banks.names) - set(plain.recipe.banks.names) == {encoder}
    look = banks.look(shifted(normal(160, 1, 400), 80, 110))
    assert look.parts[85:110, at].max() > 1.5 * look.parts[64:80, at].max()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_rows_are_scored_purely_and_streamed_as_the_whole(encoder: str) -> None:
    one, rows = known(encoder), today()
    before = digest(one.recipe.state_dict())
    whole = one.score(rows)
    stream = one.stream()
    cuts = [0, 1, 2, 3, 50, 75, 76, 160]
    parts = [stream.push(rows[first:last]) for first, last in pairwise(cuts)]
    assert pl.concat([*parts, stream.flush()]).equals(whole, null_equal=True)
    assert whole["abnormal"].any()
    assert digest(one.recipe.state_dict()) == before


@pytest.mark.parametrize("encoder", ENCODERS)
def test_saved_loaded_and_taught_it_is_the_same_to_the_bit(encoder: str, tmp_path: Path) -> None:
    one: Any = watcher(encoder=encoder)
    one.save(tmp_path / "kept")
    loaded: Any = jamais.load(tmp_path / "kept")
    assert digest(loaded.recipe.state_dict()) == digest(one.recipe.state_dict())
    assert loaded.recipe.settings.encoder == encoder
    assert loaded.score(today()).equals(one.score(today()), null_equal=True)
    more = shifted(normal(120, 1, 400), 60, 90)
    for each in (one, loaded):
        each.learn(more)
    assert digest(loaded.recipe.state_dict()) == digest(one.recipe.state_dict())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_seed_gives_the_same_weights_and_the_held_back_rows_none(encoder: str) -> None:
    settings = SeriesSettings(encoder=encoder)
    values = normal(300)

    def weights(rows: np.ndarray, seed: int = 0) -> str:
        made: Any = encoders.learned_encoder(settings, rows, seed, silent, None)
        return digest(made.state_dict())

    assert weights(values) == weights(values)
    assert weights(values) != weights(values, 1)
    # Two rows trade places, so that means and spreads of the channels stay.
    late = values.copy()
    late[[250, 251]] = late[[251, 250]]
    assert weights(late) == weights(values)
    early = values.copy()
    early[[150, 151]] = early[[151, 150]]
    assert weights(early) != weights(values)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_gaps_constant_channels_and_the_fewest_rows_can_be_fitted(encoder: str) -> None:
    values = np.concatenate([normal(100), np.full((100, 1), 3.0)], axis=1)
    values[30:33] = np.nan
    values[50, 1] = np.nan
    values = np.concatenate([values, values[:3]])
    one = watcher(data=values, encoder=encoder)
    assert np.isfinite(one.score(values)["score"].drop_nulls().to_numpy()).all()


def test_none_is_the_default_and_costs_no_training() -> None:
    assert SeriesSettings().encoder is None
    plain: Any = jamais.fit(normal(200), kind="series", settings={**TINY, "encoder": "none"})
    assert plain.recipe.banks.encoder is None
    assert encoders.learned_encoder(SeriesSettings(), normal(10), 0, silent, None) is None


@pytest.mark.parametrize("wrong", ["transformer", "", "MEMTO"])
def test_a_name_that_is_none_is_told_with_the_ones_there_are(wrong: str) -> None:
    with pytest.raises(SettingsError, match="patches or memto, or none"):
        jamais.fit(normal(200), kind="series", settings={"encoder": wrong})


@pytest.mark.parametrize("encoder", ENCODERS)
def test_training_tells_how_far_it_is_and_cancelled_it_leaves_nothing(encoder: str, tmp_path: Path) -> None:
    told: list[str] = []
    cancel = CancelToken()

    def listener(event: Event) -> None:
        told.append(event.phase)
        if event.phase in ("contrast", "phase 1"):
            cancel.cancel()

    with pytest.raises(Cancelled):
        jamais.fit(
            normal(300),
            kind="series",
            out=tmp_path / "made",
            settings={**TINY, "encoder": encoder},
            on_event=listener,
            cancel=cancel,
        )
    assert told[-1] in ("contrast", "phase 1", "memory")
    assert "remembering" not in told
    assert not (tmp_path / "made").exists()
