"""Does what is kept stay, does what is not go, and never more than that?"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.errors import SettingsError
from jamais.persistence import Retention, VersionInfo, VersionStore
from jamais.persistence.versions.retention import kept

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def version(number: int, **metrics: float) -> VersionInfo:
    time = NOW - timedelta(minutes=10 * (100 - number))
    return VersionInfo(number, time.isoformat().replace("+00:00", "Z"), "", "any", None, metrics)


TEN = [
    version(n, step=n * 50, ap=[0.5, math.nan, 0.9, 0.1, math.inf, 0.8, 0.7, 0.2, 0.3, 0.4][n - 1])
    for n in range(1, 11)
]


@pytest.mark.parametrize(
    ("keep", "stay"),
    [
        (Retention(), range(1, 11)),
        (Retention(latest=3), [8, 9, 10]),
        (Retention(best=(2, "ap", "max")), [3, 6, 10]),
        (Retention(best=(1, "ap", "min")), [4, 10]),
        (Retention(best=(5, "no such", "min")), [10]),
        (Retention(every_steps=200), [4, 8, 10]),
        (Retention(every_seconds=3600), [3, 9, 10]),
        (Retention(latest=1, best=(1, "ap", "max"), every_steps=400), [3, 8, 10]),
        (Retention(latest=1, min_age_s=91.5 * 600), [9, 10]),
    ],
)
def test_each_rule_keeps_what_it_says_and_rules_add_up(keep: Retention, stay: list[int]) -> None:
    assert sorted(kept(TEN, {}, keep, NOW)) == list(stay)


def test_names_protect_and_the_reason_is_told() -> None:
    found = kept(TEN, {"production": 2, "gone": 77}, Retention(latest=1, best=(1, "ap", "max")), NOW)
    assert found == {2: "production", 3: "best 0.9", 10: "newest, latest 1"}


@given(
    st.sets(st.integers(1, 60)),
    st.builds(
        Retention,
        latest=st.none() | st.integers(1, 9),
        best=st.none() | st.tuples(st.integers(1, 9), st.just("ap"), st.sampled_from(["min", "max"])),
        every_steps=st.none() | st.integers(1, 900),
    ),
)
def test_the_newest_always_stays_and_keeping_twice_changes_nothing(numbers: set[int], keep: Retention) -> None:
    infos = [version(n, ap=n % 7, step=n) for n in numbers]
    once = kept(infos, {}, keep, NOW)
    assert not numbers or max(numbers) in once
    assert once.keys() <= numbers
    again = kept([info for info in infos if info.number in once], {}, keep, NOW)
    assert again.keys() == once.keys()


@pytest.mark.parametrize(
    "wrong",
    [{"latest": 0}, {"best": (0, "ap", "max")}, {"best": (1, "ap", "most")}, {"every_steps": -1}, {"min_age_s": -1}],
)
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        Retention(**wrong)  # type: ignore[arg-type]


def big(seed: int) -> dict[str, object]:
    return {"fixed": {"w": np.zeros(20_000)}, "moving": {"w": np.random.default_rng(seed).random(20_000)}}


def test_what_no_version_needs_is_removed_and_what_one_needs_stays(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    for number in range(1, 6):
        store.commit(big(number), reason="", kind="any", parent=number - 1 or None)
    store.promote("pin", 2)
    (tmp_path / "app" / "objects" / ("0" * 64 + ".safetensors")).write_bytes(b"left by a kill")
    trial = store.gc(Retention(latest=2), dry_run=True)
    assert len(store.history()) == 5, "a trial removes nothing"
    done = store.gc(Retention(latest=2))
    assert (done.versions, done.objects, done.freed_bytes) == (trial.versions, trial.objects, trial.freed_bytes)
    assert done.versions == (1, 3)
    assert done.freed_bytes > 2 * 160_000
    assert [info.number for info in store.history()] == [2, 4, 5]
    assert store.verify() == []
    for number in (2, 4, 5):
        assert np.array_equal(store.load(number)[0]["moving"]["w"], big(number)["moving"]["w"])  # type: ignore[index]
    assert store.gc(Retention(latest=2)).versions == ()
    assert store.commit(big(9), reason="", kind="any", parent=5) == 6, "numbers are not given twice"


def test_a_commit_tidies_up_after_itself(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    keep = Retention(latest=2, best=(1, "ap", "max"))
    for number, ap in enumerate([0.1, 0.9, 0.2, 0.3, 0.4], 1):
        store.commit(big(number), reason="", kind="any", metrics={"ap": ap}, parent=number - 1 or None, keep=keep)
    assert [info.number for info in store.history()] == [2, 4, 5]
    assert len(list((tmp_path / "app" / "objects").glob("*.safetensors"))) == 1 + 3


def test_while_a_manifest_is_damaged_no_object_is_removed(tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "app")
    for number in (1, 2, 3):
        store.commit(big(number), reason="", kind="any", parent=number - 1 or None)
    manifest = tmp_path / "app" / "versions" / "0002.json"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:100])
    before = set((tmp_path / "app" / "objects").iterdir())
    done = store.gc()
    assert "as version 2 does not say which it needs" in done.warnings[0]
    assert set((tmp_path / "app" / "objects").iterdir()) == before
    manifest.write_bytes(whole)
    assert np.array_equal(store.load(2)[0]["moving"]["w"], big(2)["moving"]["w"])  # type: ignore[index]
