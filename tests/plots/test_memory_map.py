"""Does the picture of a memory say what happened, in one plane, and let nothing of a stranger's text through?"""

from __future__ import annotations

import html.parser
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import InputError, MissingExtraError, ShapeMismatchError
from jamais.plots.memory_map import _listed, draw_memory
from jamais.plots.memory_scene import scene
from jamais.plots.memory_words import colour, headline, marker, panel_title
from jamais.types import MemoryRows


def memory(n: int, width: int, clusters: int, seed: int = 0, texts: bool = False) -> MemoryRows:
    chance = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int64) % clusters
    centres = chance.normal(size=(clusters, width)) * 4
    rows = (centres[labels] + chance.normal(size=(n, width))).astype(np.float32)
    said = tuple(f"row {i} <img src=x onerror=alert(1)> $a_{i}$ \x1b[31m\u202e 中" for i in range(n)) if texts else ()
    return MemoryRows(rows, labels, ("normal",) * n, said)


def grown(look: MemoryRows, more: int, label: int) -> MemoryRows:
    """The same memory with `more` rows of a new cluster, one row waiting and one abnormal."""
    far = np.random.default_rng(9).normal(size=(more + 2, look.rows.shape[1])).astype(np.float32) + 12
    labels = np.r_[look.labels, np.full(more, label), -1, -1]
    texts = (*look.texts, *["later"] * (more + 2)) if look.texts else ()
    kinds = (*look.kinds, *["normal"] * more, "waiting", "abnormal")
    return MemoryRows(np.concatenate([look.rows, far]), labels, kinds, texts)


@pytest.mark.parametrize("name", ["m.png", "m.svg", "m.html"])
@pytest.mark.parametrize(("n", "width", "clusters"), [(40, 2, 2), (150, 7, 50), (6, 1000, 3), (9, 1, 1)])
def test_a_picture_is_written_whole_and_the_same_twice(
    name: str, n: int, width: int, clusters: int, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    before = memory(n, width, clusters, texts=n < 50)
    first, second = tmp_path / name, tmp_path / f"again.{name}"
    for path in (first, second):
        draw_memory(before, grown(before, 5, clusters), path, titles=("version 1", "version 2"))
    assert first.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype"}[name[2:]])
    assert {path.name for path in tmp_path.iterdir()} == {first.name, second.name}
    if name != "m.svg":  # matplotlib draws ids of its clips by chance
        assert first.read_bytes() == second.read_bytes()


def test_births_and_changed_labels_are_counted_by_the_very_rows() -> None:
    before = memory(60, 5, 6)
    after = grown(before, 4, 6)
    after.labels[3] = 5  # was 3
    after.labels[7] = 0  # was 1
    seen = scene(before, after)
    assert (seen.born, seen.gone, seen.n_shared, seen.n_moved) == ((6,), (), 60, 2)
    assert np.flatnonzero(seen.after.moved).tolist() == [3, 7]
    assert seen.after.was[[3, 7]].tolist() == [3, 1]
    assert not seen.before.moved.any()
    assert int(seen.after.new.sum()) == 4
    assert headline(seen) == "1 cluster born (6), 2 of 60 remembered rows changed label (3.3 %)"
    assert panel_title(seen.after, "after", True) == "after: 7 clusters, 64 rows kept, 1 waiting, 1 abnormal"


def test_a_cluster_that_left_is_told_and_is_no_changed_label() -> None:
    before = memory(60, 5, 6)
    kept = before.labels != 4
    after = MemoryRows(before.rows[kept], before.labels[kept], ("normal",) * int(kept.sum()))
    seen = scene(before, after)
    assert (seen.gone, seen.n_shared, seen.n_moved) == ((4,), 50, 0)
    assert "1 gone (4)" in headline(seen)


def test_losing_its_cluster_changes_a_label_and_finding_one_does_not() -> None:
    before = memory(60, 5, 6)
    before.labels[1] = -1
    after = MemoryRows(before.rows, before.labels.copy(), before.kinds)
    after.labels[[0, 1]] = [-1, 2]
    seen = scene(before, after)
    assert (seen.n_shared, seen.n_moved) == (59, 1)
    assert np.flatnonzero(seen.after.moved).tolist() == [0]
    assert not seen.after.new.any()
    assert colour(-1) not in {colour(label) for label in range(20)}


def test_rows_without_clusters_are_told_as_learned() -> None:
    before = memory(20, 5, 1, texts=True)
    seen = scene(before, grown(before, 3, 0))
    assert not seen.clustered
    assert headline(seen) == "3 new ones learned, 1 waits; 20 of 20 known ones unchanged"
    assert headline(scene(before, before)) == "nothing new was learned; 20 of 20 known ones unchanged"


def test_texts_told_under_a_picture_are_of_places_apart() -> None:
    near = np.repeat(np.array([[0, 0], [5, 0], [0, 5]], dtype=np.float32), 6, axis=0)
    near += np.random.default_rng(0).normal(size=near.shape).astype(np.float32) * 0.01
    before = MemoryRows(np.array([[9, 9], [8, 9]], dtype=np.float32), np.zeros(2, dtype=np.int64), ("normal",) * 2)
    rows = np.concatenate([before.rows, near])
    after = MemoryRows(rows, np.zeros(20, dtype=np.int64), ("normal",) * 20, tuple(f"text {i}" for i in range(20)))
    seen = scene(before._replace(texts=("a", "b")), after)
    listed = _listed(seen.after)
    assert sorted((at - 2) // 6 for at in listed) == [0, 1, 2], "one of each place, and no known one"


@given(seed=st.integers(0, 50), n=st.integers(2, 40), width=st.integers(1, 60), more=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_both_sides_have_the_axes_of_a_slow_decomposition(seed: int, n: int, width: int, more: int) -> None:
    before = memory(n, width, 2, seed)
    after = grown(before, more, 2)
    seen = scene(before, after)
    assert np.array_equal(seen.before.places, seen.after.places[:n])
    rows = after.rows[: n + more].astype(np.float64)
    centred = rows - rows.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][: min(2, width)]
    slow = centred @ directions.T
    slow *= np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    found = seen.after.places[: n + more, : len(directions)]
    lost = centred.var() * 1e-9
    # Each direction is one only as far as no other spreads as much: compare what the plane keeps, and the first axis.
    assert np.allclose(found.var(), slow.var(), rtol=1e-6, atol=lost)
    spreads = np.linalg.svd(centred, compute_uv=False)
    if len(spreads) > 2 and spreads[0] > 1.05 * spreads[1] > 1.1 * spreads[2]:
        assert np.allclose(found, slow, atol=1e-6 * spreads[0])


def test_the_axes_do_not_depend_on_the_order_of_rows() -> None:
    look = memory(200, 8, 4)
    turned = np.random.default_rng(1).permutation(200)
    other = MemoryRows(look.rows[turned], look.labels[turned], look.kinds)
    first, second = scene(look, look), scene(other, other)
    assert np.allclose(first.before.places[turned], second.before.places, atol=1e-9)


def test_a_large_memory_is_drawn_as_a_fair_sample_that_says_so(tmp_path: Path) -> None:
    look = memory(4000, 4, 2)
    look.labels[:] = 0
    look.labels[:30] = 1  # a small cluster is drawn whole
    after = MemoryRows(look.rows, look.labels.copy(), look.kinds)
    after.labels[3999] = 1
    seen = scene(look, after, most_rows=500)
    assert len(seen.before.labels) == len(seen.after.labels) == 500
    assert int((seen.before.labels == 1).sum()) == 30
    assert seen.after.moved.sum() == 1, "what changed its label is drawn before all"
    assert "500 drawn" in panel_title(seen.after, "after", True)
    assert seen.after.sizes == {0: 3969, 1: 31}, "sizes are of all rows"
    both = {row.tobytes() for row in seen.before.places} & {row.tobytes() for row in seen.after.places}
    assert len(both) >= 498, "the same rows are drawn on both sides"


def test_a_colour_and_a_shape_belong_to_an_id_for_ever() -> None:
    looks = [(colour(label), marker(label)) for label in range(45)]
    assert len(set(looks)) == 45
    assert looks[:3] == [("#0072B2", "o"), ("#E69F00", "o"), ("#009E73", "o")]


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_a_page_tells_each_row_and_loads_nothing(tmp_path: Path) -> None:
    before = memory(30, 6, 1, texts=True)
    draw_memory(before, grown(before, 2, 0), tmp_path / "m.html", titles=("<b>1", "2"))
    page = (tmp_path / "m.html").read_text(encoding="utf-8")
    parsed = _Tags()
    parsed.feed(page)
    names = [tag for tag, _ in parsed.tags]
    assert names.count("script") == 1
    assert not {"img", "link", "iframe"} & set(names)
    assert "<b>1" not in page
    assert all(not ({"src", "href", "onerror", "onclick"} & attrs.keys()) for _, attrs in parsed.tags)
    told = [attrs["data-t"] for _, attrs in parsed.tags if "data-t" in attrs]
    assert len(told) == 30 + 34
    assert any("row 7 <img src=x onerror=alert(1)> $a_7$" in str(text) for text in told)
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", page)
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_needs_no_matplotlib_and_a_picture_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = memory(10, 3, 2)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    draw_memory(look, look, tmp_path / "m.html")
    with pytest.raises(MissingExtraError, match=r"jamais\[plots\]"):
        draw_memory(look, look, tmp_path / "m.png")
    assert [path.name for path in tmp_path.iterdir()] == ["m.html"]


def test_an_empty_memory_has_a_picture_too(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    none = MemoryRows(np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=np.int64), ())
    for name in ("m.png", "m.html"):
        draw_memory(none, memory(10, 3, 2), tmp_path / name)
        draw_memory(none, none, tmp_path / f"none.{name}")
        draw_memory(memory(10, 3, 2), none, tmp_path / f"lost.{name}")
    assert len(list(tmp_path.iterdir())) == 6


def test_rows_all_alike_are_one_place(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    look = MemoryRows(np.ones((5, 4), dtype=np.float32), np.zeros(5, dtype=np.int64), ("normal",) * 5)
    draw_memory(look, look, tmp_path / "m.png")
    assert np.ptp(scene(look, look).after.places) == 0


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    look = memory(10, 3, 2)
    with pytest.raises(InputError, match=r"\.png, \.svg or \.html"):
        draw_memory(look, look, tmp_path / "m.gif")
    with pytest.raises(ShapeMismatchError, match="width 3, after 4"):
        draw_memory(look, memory(10, 4, 2), tmp_path / "m.html")
    with pytest.raises(ShapeMismatchError, match="one label"):
        draw_memory(look, look._replace(labels=look.labels[:4]), tmp_path / "m.html")
    with pytest.raises(InputError, match="odd"):
        draw_memory(look, look._replace(kinds=("odd",) * 10), tmp_path / "m.html")
    with pytest.raises(InputError, match="cannot write"):
        draw_memory(look, look, tmp_path / "nowhere" / "m.html")
    assert not list(tmp_path.iterdir())
