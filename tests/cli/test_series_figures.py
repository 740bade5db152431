"""Are the alarms of a series compared with the truth as it is written, and with chance?"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from jamais.cli.verdicts.series_figures import Values, labels_of, measured, table
from jamais.errors import InputError
from jamais.evaluation import series
from jamais.sources.series import SeriesBlock

N = 600
TRUTH = np.isin(np.arange(N), [*range(100, 120), *range(400, 450)])


def frames(timed: bool = True) -> list[pl.DataFrame]:
    """Verdicts in three frames, one row a minute, as the series recipe writes them."""
    score = np.random.default_rng(2).random(N) + TRUTH * (np.arange(N) % 3 == 0)
    time = pl.Series(np.arange(N) * 60_000_000).cast(pl.Datetime("us", "UTC")) if timed else [None] * N
    whole = pl.DataFrame(
        {"row": np.arange(N), "time": time, "score": score, "abnormal": score > 0.98},
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )
    return [whole[:250], whole[250:251], whole[251:]]


def blocks() -> list[SeriesBlock]:
    """The rows with two that were put in, where nothing was measured."""
    values = np.random.default_rng(5).normal(size=(N, 2)) + 3 * TRUTH[:, None]
    rows, values = np.insert(np.arange(N), 300, [-1, -1]), np.insert(values, [300, 300], np.nan, axis=0)
    times = np.zeros(len(rows), dtype=np.int64)
    return [SeriesBlock(rows[:200], times[:200], values[:200]), SeriesBlock(rows[200:], times[200:], values[200:])]


def held(given: list[SeriesBlock]) -> Values:
    values = Values()
    for block in given:
        values.take(block)
    return values


def written(place: Path, text: str) -> str:
    place.write_text(text, encoding="utf-8")
    return str(place)


WAYS = {
    "one a row": "label\n" + "\n".join(str(int(label)) for label in TRUTH) + "\n",
    "no head": "\n".join(f"{int(label)}.0" for label in TRUTH) + "\n",
    "by row": "row,label\n" + "\n".join(f"{row},{int(label)}" for row, label in enumerate(TRUTH)) + "\n",
    "only abnormal rows": "row,label\n" + "\n".join(f"{row},1" for row in np.flatnonzero(TRUTH)) + "\n",
    "stretches of rows": "start,end,label\n100,119,1\n0,50,0\n400,449,1\n",
    "stretches without a label": "Start, End\n100,119\n400,449\n",
    "stretches of time": "start,end,label\n1970-01-01T01:40:00,1970-01-01T01:59:30,1\n"
    "1970-01-01T06:40:00,1970-01-01T07:29:00,1\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_the_truth_may_be_written_in_many_ways(way: str, tmp_path: Path) -> None:
    figures = measured(frames(), labels_of(written(tmp_path / "truth.csv", WAYS[way])), 0.01)
    assert (figures["segments"], figures["abnormal"]) == (2, 70)
    assert figures["segment_rows"] == [[100, 119], [400, 449]]


def test_figures_are_those_of_evaluation_beside_chance_and_norm(tmp_path: Path) -> None:
    figures = measured(frames(), labels_of(written(tmp_path / "t.csv", WAYS["one a row"])), 0.01, held(blocks()))
    verdicts = pl.concat(frames())
    score, alarms = verdicts["score"].to_numpy(), verdicts["abnormal"].to_numpy()
    values = np.concatenate([block.values[block.rows >= 0] for block in blocks()])
    want = series.report(TRUTH, score, alarms, np.arange(N) * 60_000_000, values).figures()
    assert {name: figures[name] for name in want} == want
    json.dumps(figures, allow_nan=False)
    text = table(figures)
    for told in ("uniform random", "squared norm", "alarm rate", "rows 100 to 119: alarmed", "alarms per day", "PA-F1"):
        assert told in text


def test_without_times_or_values_less_is_told(tmp_path: Path) -> None:
    figures = measured(frames(timed=False), labels_of(written(tmp_path / "t.csv", WAYS["by row"])), 0.01)
    assert figures["squared_norm"] is figures["delays_seconds"] is figures["score"]["alarms_per_day"] is None
    text = table(figures)
    assert "uniform random" in text
    assert "alarms per day" not in text
    assert "squared norm" not in text


def test_rows_without_a_label_are_said_to_count_as_normal(tmp_path: Path) -> None:
    figures = measured(frames(), labels_of(written(tmp_path / "t.csv", WAYS["only abnormal rows"])), 0.01)
    assert (figures["rows"], figures["labelled"]) == (600, 70)
    assert "530 rows without a label count as normal" in table(figures)


def test_values_of_other_rows_are_left_out(tmp_path: Path) -> None:
    truth = labels_of(written(tmp_path / "t.csv", WAYS["by row"]))
    assert measured(frames(), truth, 0.01, held(blocks()[:1]))["squared_norm"] is None
    assert measured(frames(), truth, 0.01, Values())["squared_norm"] is None


def test_too_many_values_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamais.cli.verdicts.series_figures._MOST_NUMBERS", 1000)
    truth = labels_of(written(tmp_path / "t.csv", WAYS["by row"]))
    assert measured(frames(), truth, 0.01, held(blocks()))["squared_norm"] is None


def test_many_segments_are_not_all_listed(tmp_path: Path) -> None:
    rows = "".join(f"{row},1\n" for row in range(0, 600, 20))
    figures = measured(frames(), labels_of(written(tmp_path / "t.csv", "row,label\n" + rows)), 0.01)
    assert "and 10 more: see --json" in table(figures)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label\n0\n2\n", r"row 1: a label is 0 or 1, got '2'"),
        ("start,end\n9,3\n", "wanted rows start <= end"),
        ("start,end,label\n3,9,yes\n", "a label 0 or 1"),
        ("start,end\n1700000000000000,1700000900000000\n", "are no row numbers"),
        ("a,b\n1,2\n", "wanted a column label"),
        ("label\n" + "0\n" * 600, "no row is labelled abnormal"),
        ("label\n" + "1\n" * 600, "all rows are labelled abnormal"),
        ("start,end\n7000,7001\n", "no row is labelled abnormal"),
    ],
)
def test_a_wrong_file_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", text)
    with pytest.raises(InputError, match=said):
        measured(frames(), labels_of(path), 0.01)


def test_a_watcher_of_a_series_is_evaluated_from_the_shell(tmp_path: Path, typed) -> None:
    generator = np.random.default_rng(1)
    waves = np.sin(np.arange(1600)[:, None] / [4.0, 9.0]) + generator.normal(size=(1600, 2)) / 20
    waves[1000 + np.flatnonzero(TRUTH), 1] += 2
    for name, rows in (("past", waves[:1000]), ("today", waves[1000:])):
        pl.DataFrame(rows, schema=["cpu", "io"]).write_csv(tmp_path / f"{name}.csv")
    truth = written(tmp_path / "truth.csv", WAYS["stretches without a label"])
    fitted = typed("fit", tmp_path / "past.csv", "--kind", "series", "--out", tmp_path / "w")
    assert fitted.code == 0, fitted.err
    said = typed("evaluate", tmp_path / "w", tmp_path / "today.csv", "--labels", truth)
    assert said.code == 0, said.err
    assert "squared norm" in said.out
    figures = json.loads(typed("evaluate", tmp_path / "w", tmp_path / "today.csv", "--labels", truth, "--json").out)
    assert figures["score"]["vus_pr"] > 2 * figures["uniform_random"]["vus_pr"]
    assert figures["segment_rows"] == [[100, 119], [400, 449]]
    later = json.loads(
        typed("evaluate", tmp_path / "w", tmp_path / "today.csv", "--labels", truth, "--hindsight", "--json").out
    )
    assert later["score"] != figures["score"]
    assert later["uniform_random"]["vus_pr"] == figures["uniform_random"]["vus_pr"]
    wrong = typed("evaluate", tmp_path / "w", tmp_path / "today.csv", "--labels", tmp_path / "no.csv")
    assert (wrong.code, wrong.out) == (2, "")
    assert "no such file" in wrong.err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        labels_of(str(tmp_path / "no.csv"))
