"""What do `fit` and `load` take, and what do they say when they cannot?"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.reference.small_log import GROUP_BY, TINY, normal, today

import jamais
from jamais import api
from jamais.errors import CorruptStateError, DamagedVersionWarning, InputError, SettingsError, StateError
from jamais.memory import CoverMemory
from jamais.persistence import save_model_binary
from jamais.types import Event

LINES = normal(60)


def fit(data: Any, **more: Any) -> jamais.Watcher:
    return jamais.fit(data, **{"kind": "logs", "settings": TINY, **more})


def test_fit_saves_version_one_where_it_is_told(tmp_path: Path) -> None:
    events: list[Event] = []
    watcher = fit(LINES, out=tmp_path / "app", seed=3, on_event=events.append)
    assert watcher.version == 1
    assert {"reading"} <= {event.phase for event in events}
    (info,) = watcher.history()
    assert info.kind == "logs" == watcher.kind
    assert "fit on" in info.reason
    assert watcher.recipe.seed == 3  # type: ignore[attr-defined]
    again = jamais.load(tmp_path / "app")
    assert again.version == 1
    assert again.settings == watcher.settings
    assert again.score(today()).equals(watcher.score(today()))
    assert again.warnings == ()


def test_fitting_into_a_folder_that_holds_a_watcher_adds_a_version(tmp_path: Path) -> None:
    fit(LINES, out=tmp_path / "app")
    assert fit(LINES, out=tmp_path / "app", alarm_rate=0.02).version == 2
    assert jamais.load(tmp_path / "app").alarm_rate == 0.02
    assert jamais.load(tmp_path / "app", version=1).alarm_rate == 0.001


def test_all_ways_to_give_the_same_lines_give_the_same_watcher(tmp_path: Path) -> None:
    text = "\n".join(LINES) + "\n"
    plain, packed = tmp_path / "a.log", tmp_path / "b.log.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    half = text.index("\n", len(text) // 2) + 1
    (tmp_path / "part1.txt").write_text(text[:half])
    (tmp_path / "part2.txt").write_text(text[half:])
    ways: list[Any] = [
        plain,
        str(plain),
        packed,
        [tmp_path / "part1.txt", tmp_path / "part2.txt"],
        str(tmp_path / "part*.txt"),
        iter(LINES),
        (line for line in LINES),
        pl.DataFrame({"message": LINES}),
    ]
    wanted = fit(LINES).score(today())
    for way in ways:
        assert fit(way).score(today()).equals(wanted), way


def test_the_kind_of_text_need_not_be_said(tmp_path: Path) -> None:
    for name in ("app.log", "syslog", "messages.1", "app.log.gz", "out.jsonl"):
        path = tmp_path / name
        text = "\n".join(LINES) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
        assert jamais.fit(path, settings=TINY).kind == "logs"
    assert jamais.fit(LINES, settings=TINY).kind == "logs"
    assert jamais.fit(str(tmp_path / "app.l*"), settings=TINY).kind == "logs"


def test_a_table_with_a_time_column_is_a_series(tmp_path: Path) -> None:
    times = [f"2024-03-01T{i // 60:02}:{i % 60:02}:00Z" for i in range(600)]
    rows = np.random.default_rng(0).normal(size=(600, 2))
    table = pl.DataFrame({"time": times, "cpu": rows[:, 0], "memory": rows[:, 1]})
    table.write_csv(tmp_path / "m.csv")
    table.write_parquet(tmp_path / "m.parquet")
    (tmp_path / "m.csv.gz").write_bytes(gzip.compress((tmp_path / "m.csv").read_bytes()))
    pandas = pd.DataFrame(rows, columns=["cpu", "memory"], index=pd.to_datetime(times))
    for data in (tmp_path / "m.csv", [tmp_path / "m.parquet"], str(tmp_path / "*.csv.gz"), table, pandas):
        assert api._kind_of(data) == "series"
    assert jamais.fit(tmp_path / "m.csv").kind == "series"


def test_a_table_of_messages_is_no_series(tmp_path: Path) -> None:
    table = pl.DataFrame({"time": ["2024-03-01T10:00:00Z"], "pid": [7], "message": ["it began"]})
    table.write_csv(tmp_path / "log.csv")
    for data in (table, tmp_path / "log.csv"):
        with pytest.raises(InputError, match="kind="):
            jamais.fit(data)


@pytest.mark.parametrize("data", ["cpu.csv", "x.parquet", Path("v.npy"), 17, pl.DataFrame({"cpu": [1.0]})], ids=str)
def test_what_is_no_text_asks_for_its_kind(data: Any) -> None:
    with pytest.raises(InputError, match="kind="):
        jamais.fit(data)


def test_settings_come_as_mapping_and_keywords_and_are_kept(tmp_path: Path) -> None:
    watcher = fit(LINES, settings={**TINY, "memory.capacity": "77"}, group_by=GROUP_BY, out=tmp_path / "app")
    for one in (watcher, jamais.load(tmp_path / "app")):
        assert one.settings.memory.capacity == 77
        assert one.settings.group_by == GROUP_BY
        assert one.settings.encoder.width == 32
    with pytest.raises(SettingsError, match="did you mean 'window'"):
        fit(LINES, windows="20")
    with pytest.raises(SettingsError, match="capacity"):
        fit(LINES, settings={"memory.capacty": 5})


def test_a_seed_makes_it_repeatable() -> None:
    one, two, other = (fit(LINES, seed=seed).recipe.state_dict()["meaning"]["encoder"]["weights"] for seed in (1, 1, 2))
    assert all((one[name] == two[name]).all() for name in one)
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.parametrize("n", [0, 1, 99])
def test_fewer_than_a_hundred_records_are_too_few(n: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"(?i)^{n} records.*100"):
        fit(LINES[:n] if n else iter([]), out=tmp_path / "app")
    assert not (tmp_path / "app").exists()
    assert fit(LINES[:100]).score(LINES[:3]).height == 3


def test_a_log_that_is_one_session_is_told_at_fit() -> None:
    lines = [f"2026-03-02 08:00:{k % 60:02d} INFO a: req r1 step {k}" for k in range(200)]
    with pytest.raises(InputError, match=r"(?i)session|group|rows"):
        fit(lines, group_by=GROUP_BY)


def test_alarms_per_day_set_the_rate_at_the_pace_of_the_data() -> None:
    watcher = fit(LINES, alarms_per_day=50)
    recipe: Any = watcher.recipe
    assert watcher.alarm_rate * recipe.facts.rows_per_day() == pytest.approx(50)
    seconds = (recipe.facts.last_time - recipe.facts.first_time) / 1e6
    assert recipe.facts.rows_per_day() == pytest.approx(len(LINES) / seconds * 86_400, rel=0.01)
    assert "about 50 false alarms a day" in recipe.meaning_of_rate()
    timeless = [line.split(" ", 2)[2] for line in LINES]
    with pytest.raises(InputError, match="alarm_rate"):
        fit(timeless, alarms_per_day=50)


def test_the_rate_is_explained() -> None:
    recipe: Any = fit(LINES).recipe
    n = recipe.calibration.n_rows
    assert n == round(0.3 * len(LINES))
    said = recipe.meaning_of_rate()
    assert f"{n:,} calibration rows support rates down to" in said
    assert "extrapolated" in said
    assert "extrapolated" not in recipe.with_alarm_rate(0.1).meaning_of_rate()


def test_what_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        jamais.load(tmp_path / "nowhere")
    fit(LINES, out=tmp_path / "app")
    with pytest.raises((InputError, StateError)):
        jamais.load(tmp_path / "app", version=7)
    state = next((tmp_path / "app" / "objects").glob("*.json"))
    state.write_bytes(state.read_bytes().replace(b"0", b"1", 1))
    with pytest.raises(CorruptStateError):
        jamais.load(tmp_path / "app", version=1)


def test_a_damaged_newest_version_is_stepped_over_aloud(tmp_path: Path) -> None:
    watcher = fit(LINES, out=tmp_path / "app")
    watcher.set_alarm_rate(0.05)
    watcher.save()
    manifest = tmp_path / "app" / "versions" / "0002.json"
    manifest.write_bytes(manifest.read_bytes()[:-40])
    with pytest.warns(DamagedVersionWarning) as said:
        older = jamais.load(tmp_path / "app")
    assert older.alarm_rate == pytest.approx(0.001)
    assert ["version 2 is damaged" in str(said[0].message), "version 1 was loaded" in str(said[1].message)] == [
        True
    ] * 2
    assert older.warnings == tuple(str(one.message).split(": ", 1)[1] for one in said)


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    watcher = fit(LINES)
    for data in (tmp_path / "no.log", str(tmp_path / "no*.log")):
        for asked in (
            lambda data=data: fit(data),
            lambda data=data: watcher.score(data),
            lambda data=data: watcher.learn(data),
        ):
            with pytest.raises(InputError, match="no"):
                asked()


def test_the_package_offers_three_names_and_no_others() -> None:
    assert jamais.__all__ == ["Watcher", "__version__", "fit", "load"]
    assert jamais.Watcher is type(fit(LINES))
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = jamais.train  # type: ignore[attr-defined]


def test_a_watcher_taken_out_as_a_file_loads_and_wants_a_folder_to_save_to(tmp_path: Path) -> None:
    watcher = fit(LINES, out=tmp_path / "app")
    save_model_binary(watcher, tmp_path / "app.bin", verify=True)
    again = jamais.load(tmp_path / "app.bin")
    assert again.score(LINES).equals(watcher.score(LINES))
    with pytest.raises(InputError, match=r"has no folder yet: save\(path\)"):
        again.save()
    assert again.save(tmp_path / "new") == 1
    assert again.history()[0].reason == f"from {tmp_path / 'app.bin'}"
    save_model_binary(CoverMemory(5), tmp_path / "memory.bin")
    with pytest.raises(InputError, match="holds a CoverMemory, not a watcher"):
        jamais.load(tmp_path / "memory.bin")
