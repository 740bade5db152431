"""Do the benchmarks of persistence see what they are there to see? Planted faults must show."""

import csv
import dataclasses
import os
import sys

import pytest
from benchmarks.quality.persistence import crash, damage, power, savers, trials
from benchmarks.quality.persistence import report as quality_report
from benchmarks.quality.persistence.damage import Counts
from benchmarks.speed.persistence import __main__ as speed
from benchmarks.speed.persistence import forked, report
from benchmarks.speed.persistence.forked import Cost, WorkFailedError

from jamais.persistence import digests, files


@pytest.mark.slow
def test_the_speed_benchmark_runs_and_names_its_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.csv"
    options = ["--megabytes", "45", "--json-megabytes", "45", "--rounds", "1", "--cache", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["persistence", *options, "--out", str(out)])
    speed.main()
    first, *rest = out.read_text().splitlines()
    assert first.startswith("# made by: python -m benchmarks.speed.persistence --megabytes 45")
    rows = list(csv.DictReader(rest))
    assert {row["what"] for row in rows} >= {"save", "blocked", "load warm", "load cold", "JSON save"}
    assert len(capsys.readouterr().out.split("<=")) > len(report.BUDGETS)


def test_a_budget_is_judged_by_its_own_row():
    floor, slow = [Cost(1.0, 1.0, 0.0, {})], [Cost(1.6, 1.9, 70.0, {})]
    rows, said = report.judged(
        [report.row("save", report.ONE_FILE, slow, floor), report.row("save", "others", slow, floor)]
    )
    assert rows[0].budget == "wall_ratio <= 1.5: MISSED; cpu_ratio <= 2: ok; extra_mb <= 64: MISSED"
    assert rows[1].budget == ""
    assert len(said) == 3


def test_work_is_measured_in_a_child_and_its_error_is_not_a_result():
    cost = forked.measured(lambda n: bytearray(n << 20), before=lambda: 50, after=lambda made: {"n": len(made)})
    assert 45 < cost.extra_mb < 60
    assert cost.found == {"n": 50 << 20}
    with pytest.raises(WorkFailedError, match="ZeroDivisionError"):
        forked.measured(lambda _: 1 / 0)


@pytest.mark.parametrize("saver", [savers.OURS[0], savers.OURS[3], savers.OURS[4]], ids=lambda one: one.name)
def test_a_loader_that_compares_nothing_is_caught(tmp_path, monkeypatch, saver):
    class Blind:
        def update(self, data): ...

        def hexdigest(self):
            return "0" * 32

    real = digests.hasher
    monkeypatch.setattr(digests, "fast", lambda data: "0" * 32)
    monkeypatch.setattr(digests, "hasher", lambda name: Blind() if name == digests.FAST else real(name))
    monkeypatch.setattr(damage, "OURS", (saver,))
    for others in ("LIBRARIES",):
        monkeypatch.setattr(damage, others, ())
    monkeypatch.setattr(damage, "FOLDER_WITH_BIN", saver)
    monkeypatch.setattr(damage, "STORE_IN_FULL", saver)
    found = next(iter(damage.all_damage(30, 1, tmp_path)))
    assert found.outcomes.get(trials.SILENT, 0) > 20
    assert quality_report.broken_promises([found], [])


def test_a_save_that_flushes_nothing_is_caught_by_the_disk_model(tmp_path):
    def unflushed(one, folder):
        kept, os.fsync = os.fsync, lambda handle: None
        try:
            savers.OURS[0].save(one, folder)
        finally:
            os.fsync = kept

    careless = dataclasses.replace(savers.OURS[0], save=unflushed)
    during, after = power.power_cuts([careless], tmp_path)
    assert during.outcomes[trials.ERROR]
    assert after.outcomes[crash.OLD]
    assert len(quality_report.broken_promises([during, after], [])) == 2


def test_a_folder_that_is_not_exchanged_in_one_step_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    (found,) = crash.at_every_call([savers.OURS[3]], 1000, tmp_path)
    assert found.outcomes[trials.ERROR] == 1
    assert quality_report.broken_promises([found], [])


def test_what_others_lose_breaks_no_promise_of_jamais():
    assert not quality_report.broken_promises(
        [Counts("crash", "kill", "torch.save", savers.LIBRARY, 1, {trials.ERROR: 1})], []
    )
