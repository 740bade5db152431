"""Can the page of a series be looked round in, does it load nothing, and can no name in the data do anything?"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from jamais.plots.series import draw_series
from jamais.plots.series.page import most_details

HOSTILE = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onclick="a', "<!--", "]]>&lt;")
HARNESS = Path(__file__).with_name("series_page_dom.mjs")
NODE = shutil.which("node")


def page(path: Path, n: int = 2000, width: int = 5, timed: bool = True) -> str:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(n, width)) + 1e6
    values[n // 4 : n // 3] = np.nan
    score, abnormal = rng.gamma(3, 1, n), np.zeros(n, dtype=bool)
    for at in (n // 2, n * 3 // 4):
        abnormal[at : at + 4] = True
        score[at : at + 4] += 20 + 20 * at / n
    names = [HOSTILE[c] if c < len(HOSTILE) else f"c{c}" for c in range(width)]
    who = [names[:2] if alarm else [] for alarm in abnormal]
    times = 1_772_323_200_000_000 + np.arange(n) * 60_000_000
    frame = pl.DataFrame(
        {
            "row": np.arange(n), "score": score, "p_value": np.exp(-score), "abnormal": abnormal,
            "why": [HOSTILE[0] if alarm else "" for alarm in abnormal],
            "channels": pl.Series(who, dtype=pl.List(pl.String)),
            "shares": pl.Series([[0.7, 0.2][: len(one)] for one in who], dtype=pl.List(pl.Float64)),
        }
    )  # fmt: skip
    if timed:
        frame = frame.with_columns(time=pl.Series(times).cast(pl.Datetime("us", "UTC")))
    draw_series(path, times.astype("datetime64[us]") if timed else None, values, names, frame, 9.0, abnormal, rate=0.01)
    return path.read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Lists elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_no_name_in_the_data_becomes_an_element_or_an_attribute(tmp_path: Path) -> None:
    text = page(tmp_path / "p.html")
    tags = Tags()
    tags.feed(text)
    assert [tag for tag, _ in tags.seen].count("script") == 2
    assert "img" not in {tag for tag, _ in tags.seen}
    assert not [name for _, attributes in tags.seen for name in attributes if name.startswith("on")]
    data = re.search(r"<script type=application/json id=data>(.*?)</script>", text, re.DOTALL)
    assert data is not None
    assert not set("<>&") & set(data[1])
    assert {one["name"] for one in json.loads(data[1])["channels"]} == set(HOSTILE)


def test_the_page_loads_nothing_and_only_its_own_script_may_run(tmp_path: Path) -> None:
    text = page(tmp_path / "p.html")
    told = re.sub(r"<script type.*?</script>", "", text, flags=re.DOTALL).replace("&lt;img src=x", "")
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?:", told)
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert script is not None
    sha = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{sha}'" in text
    assert "default-src 'none'" in text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(|new Function", script[1])


def test_the_size_of_a_page_is_bounded(tmp_path: Path) -> None:
    text = page(tmp_path / "p.html", n=30_000, width=60)
    assert len(text) < 6_000_000
    assert "20 more channels are not in this page" in text
    assert most_details(1) > most_details(10) > most_details(40) == most_details(400) > 0


def test_without_a_script_the_segments_are_still_told(tmp_path: Path) -> None:
    text = page(tmp_path / "p.html")
    assert text.count("<li><button") == 2
    assert "2026-03-02 01:00:00, 4 min, score" in text
    assert "No row is abnormal" not in text


def acted(path: Path, *actions: str) -> dict[str, object]:
    if NODE is None:
        pytest.skip("node is not installed: nothing here can run a page")
    done = subprocess.run([NODE, str(HARNESS), str(path), *actions], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen: dict[str, object] = json.loads(done.stdout)
    assert seen["bad"] == 0, "drawn at a place that is no number"
    return seen


def test_the_page_draws_the_worst_channels_and_the_score(tmp_path: Path) -> None:
    page(tmp_path / "p.html")
    texts = acted(tmp_path / "p.html")["texts"]
    assert isinstance(texts, list)
    assert HOSTILE[0] in texts
    assert "threshold 9" in texts
    assert "1.000M" in texts, "of a million and a bit the first height says which"
    assert "+2" in texts, "and the others how much more"
    assert "2026-03-01 00:00:00 to 2026-03-02 09:19:00 UTC" in texts


def test_keys_jump_to_segments_and_back_to_all(tmp_path: Path) -> None:
    page(tmp_path / "p.html")
    seen = acted(tmp_path / "p.html", "key:n", "key:n")
    assert str(seen["said"]).startswith("segment 1 of 2: 2026-03-02 01:00:00, 4 min")
    assert "2026-03-02 00:01:30 to 2026-03-02 02:01:30 UTC" in seen["texts"]  # type: ignore[operator]
    walked = [acted(tmp_path / "p.html", *["key:n"] * k)["said"] for k in (1, 2, 3)]
    assert [str(said)[:14] for said in walked] == ["segment 2 of 2", "segment 1 of 2", "segment 2 of 2"]
    assert str(acted(tmp_path / "p.html", "key:p")["said"]).startswith("segment 1")
    seen = acted(tmp_path / "p.html", "press:before", "key:0")
    assert "2026-03-01 00:00:00 to 2026-03-02 09:19:00 UTC" in seen["texts"]  # type: ignore[operator]


def test_a_jump_shows_the_channels_that_the_segment_comes_from(tmp_path: Path) -> None:
    text = page(tmp_path / "p.html", width=9)
    data = re.search(r"<script type=application/json id=data>(.*?)</script>", text, re.DOTALL)
    assert data is not None
    # Of nine channels four are shown at first; here the segment says that it comes from the last one.
    changed = json.loads(data[1])
    for segment in changed["segments"]:
        segment["blame"] = [[8, 0.9]]
    (tmp_path / "q.html").write_text(text.replace(data[1], json.dumps(changed).replace("<", "\\u003c")))
    last = changed["channels"][8]["name"]
    assert last not in acted(tmp_path / "q.html")["texts"]  # type: ignore[operator]
    assert last in acted(tmp_path / "q.html", "key:n")["texts"]  # type: ignore[operator]
    assert last not in acted(tmp_path / "q.html", "tick:follow:off", "key:n")["texts"]  # type: ignore[operator]


def test_pointing_tells_time_score_p_value_and_the_channels(tmp_path: Path) -> None:
    page(tmp_path / "p.html")
    read = str(acted(tmp_path / "p.html", "press:next", "press:next", "point:470")["read"])
    assert read.startswith("2026-03-02 01:0")
    assert "score 3" in read
    assert "p " in read
    assert f"70 %  {HOSTILE[0]}" in read
    assert "no verdict" not in read


@pytest.mark.parametrize("timed", [True, False])
def test_every_way_of_moving_stays_inside_the_series(tmp_path: Path, timed: bool) -> None:
    page(tmp_path / "p.html", timed=timed)
    moves = ["wheel:-3000:400", "wheel:-3000:400", "drag:100:900", "drag:100:900", "strip:880", "key:ArrowRight"]
    more = [
        "key:+",
        "key:.",
        "key:,",
        "tick:fit:off",
        "tick:log:on",
        "key:-",
        "wheel:9000:100",
        "wheel:9000:100",
        "key:q",
    ]
    seen = acted(tmp_path / "p.html", *moves, *more)
    assert isinstance(seen["strokes"], int)
    assert seen["strokes"] > 0
    last = acted(tmp_path / "p.html", *moves, *more, "key:Home")["texts"]
    whole = "2026-03-01 00:00:00 to 2026-03-02 09:19:00 UTC" if timed else "row 0 to row 1,999"
    assert whole in last  # type: ignore[operator]
