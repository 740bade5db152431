"""Does the picture of questions say how few answers settle most, whatever a log wrote?"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest

from jamais.errors import InputError, MissingExtraError
from jamais.plots.questions_plot import _headline, draw_questions


def questions(*settles: float) -> pl.DataFrame:
    n = len(settles)
    return pl.DataFrame(
        {
            "cause": [f"{i:016x}" for i in range(n)],
            "rows": [int(2 * one) for one in settles],
            "alarms": [int(one) + 1 for one in settles],
            "settles": list(settles),
            "belief": [0.5] * n,
            "answers": [0] * n,
            "row": list(range(n)),
            "item": ["x"] * n,
            "why": [f"line {i} never seen: $x$ _a_ \\frac{{ 中文 \x1b[31m {'word ' * 60}" for i in range(n)],
        },
        schema_overrides={"settles": pl.Float64, "belief": pl.Float64},
    )


@pytest.mark.parametrize("n", [0, 1, 3, 40])
def test_a_picture_is_written_whole_and_the_same_twice(n: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    asked = questions(*(1000.0 / (i + 1) for i in range(n)))
    for name in ("a.png", "b.png"):
        draw_questions(asked, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_headline_counts_the_fewest_answers_that_settle_most() -> None:
    asked = questions(70.0, 20.0, 5.0, 5.0)
    assert _headline(asked, asked) == "2 answers settle 90% of what is uncertain (4 causes, 104 alarms)"
    one = questions(9.0)
    assert _headline(one, one) == "One answer settles 100% of what is uncertain (1 cause, 10 alarms)"
    assert "Nothing to ask" in _headline(one.head(0), one.head(0))


def test_a_wrong_name_and_a_missing_library_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        draw_questions(questions(1.0), tmp_path / "q.gif")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"jamais\[plots\]"):
        draw_questions(questions(1.0), tmp_path / "q.png")
    assert not list(tmp_path.iterdir())
