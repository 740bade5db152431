"""Does the memo say what the slow way says, whichever way a line goes and however the lines are cut?"""

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamais.parsing import memo as memo_module
from jamais.parsing.masks import Masks
from jamais.parsing.memo import LineMemo
from jamais.parsing.parser import TemplateParser

MASKS = Masks()
SHAPES = [
    "081109 203615 {n} INFO dfs.DataNode: Received block blk_{n} of size {n} from /10.250.{n}.1",
    '10.0.0.{n} - - [22/Nov/2025] "GET /{w}/{w}?id={n} HTTP/1.1" {s} {n} "-" "curl/8.{n}"',
    '"-" {s} 0 "-"',
    '{n}.{n} "POST /v2/{h}/servers HTTP/1.1" status: {s} len: {n} time: 0.{n}',
    "[req-{u} {h} {h} - - -] [instance: {u}] VM {w}",
    "worker {n} exited with code {e}",
    "upstream {w} failed ({e}: Connection refused) while reading",
    "rc={e} errno={e} ok={b}",
    "{w} 用户 {n} 登录 {w}",
    "é {w} ü {n}",
    "",
    "took {n}ms",
    "status=20{e} code: E{e}0",
    "id {h}_x and {u}-tail",
]


def lines(n: int, seed: int) -> list[bytes]:
    source = random.Random(seed)

    def line() -> str:
        text = source.choice(SHAPES)
        for sign, value in (
            ("{n}", lambda: str(source.randrange(100000))),
            ("{s}", lambda: source.choice(["200", "404", "502", "20", "99999"])),
            ("{w}", lambda: source.choice(["amber", "birch", "cedar", "failed"])),
            ("{u}", lambda: str(uuid.UUID(int=source.getrandbits(128)))),
            ("{h}", lambda: f"{source.getrandbits(128):032x}"),
            ("{e}", lambda: str(source.choice([0, 1, 104, 139]))),
            ("{b}", lambda: str(source.randrange(2))),
        ):
            while sign in text:
                text = text.replace(sign, value(), 1)
        return text

    return [line().encode() for _ in range(n)]


def slowly(raw: list[bytes], codes: dict[str, int]) -> list[int]:
    return [codes.setdefault(MASKS.normal(r.decode("utf-8", "replace")), len(codes)) for r in raw]


def quickly(memo: LineMemo, raw: list[bytes], codes: dict[str, int]) -> list[int]:
    def resolve(i: int) -> int:
        return codes.setdefault(MASKS.normal(raw[i].decode("utf-8", "replace")), len(codes))

    return memo.codes(b"\n".join(r.replace(b"\n", b"\x1f") for r in raw), raw, resolve).tolist()


@pytest.mark.parametrize("chunk", [1, 7, 100, 6000])
def test_the_memo_says_what_the_slow_way_says(chunk: int) -> None:
    raw = lines(6000, seed=1)
    memo, ours, theirs = LineMemo(MASKS, 10_000), {}, {}
    found = [code for at in range(0, len(raw), chunk) for code in quickly(memo, raw[at : at + chunk], ours)]
    assert found == slowly(raw, theirs)


def test_fresh_ids_make_it_cut_them_out_of_the_chunk_and_nothing_else_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memo_module, "_WINDOW", 50)
    monkeypatch.setattr(memo_module, "_RETRY", 3)
    raw = [r for r in lines(6000, seed=2) if b"req-" in r or b"servers" in r]
    memo, ours, ways = LineMemo(MASKS, 10_000), {}, set()
    found = []
    for at in range(0, len(raw), 60):
        found += quickly(memo, raw[at : at + 60], ours)
        ways.add(memo._cutting)
    assert ways == {True, False}
    assert found == slowly(raw, {})


def test_resolve_is_called_once_per_normal_form() -> None:
    raw = lines(3000, seed=3)
    asked: list[str] = []
    memo = LineMemo(MASKS, 10_000)

    def resolve(i: int) -> int:
        asked.append(MASKS.normal(raw[i].decode()))
        return len(asked)

    memo.codes(b"\n".join(raw), raw, resolve)
    memo.codes(b"\n".join(raw), raw, resolve)
    assert len(asked) == len(set(asked))
    assert asked == list(dict.fromkeys(MASKS.normal(r.decode()) for r in raw))


def test_it_stays_bounded_and_still_right() -> None:
    memo, ours, theirs = LineMemo(MASKS, 40), {}, {}
    source = random.Random(4)
    for _ in range(60):
        raw = ["".join(source.choices("bcdghklmnp", k=5)).encode() for _ in range(20)]
        raw += lines(10, seed=source.randrange(50))
        assert quickly(memo, raw, ours) == slowly(raw, theirs)
        assert max(len(memo._plain), len(memo._cut), len(memo._normal)) <= 40 + len(raw)
        assert memo._n_codes <= 2 * 40 + len(raw)
    assert memo.dropped > 0


def test_negative_codes_and_line_ends_inside_a_record_are_fine() -> None:
    raw = [b"boom\n  at x.y(1)\n  at z(2)", b"boom\n  at x.y(3)\n  at z(4)", b"plain 1"]
    memo = LineMemo(MASKS, 100)
    assert memo.codes(b"\n".join(r.replace(b"\n", b"\x1f") for r in raw), raw, lambda i: -1 - i).tolist() == [
        -1,
        -1,
        -3,
    ]
    assert memo.codes(b"\n".join(raw), raw, lambda i: 99).tolist() == [-1, -1, -3]
    assert memo.codes(b"", [], lambda i: 1).tolist() == []
    assert memo.codes(b"", [b""], lambda i: 7).tolist() == [7]


def test_bytes_that_are_no_text_are_survived() -> None:
    raw = [b"\xff\xfe bad 1", b"\xff\xfe bad 2", b"\xff other 3", b"nul \x00 4"]
    assert quickly(LineMemo(MASKS, 100), raw, {}) == [0, 0, 1, 2]


@given(st.lists(st.lists(st.sampled_from([s.encode() for s in SHAPES]), max_size=8), max_size=6))
def test_cuts_between_chunks_do_not_matter(chunks: list[list[bytes]]) -> None:
    memo, ours = LineMemo(MASKS, 100), {}
    whole = [line for chunk in chunks for line in chunk]
    assert [code for chunk in chunks for code in quickly(memo, chunk, ours)] == slowly(whole, {})


def test_learning_through_the_memo_is_learning_every_line() -> None:
    raw = lines(3000, seed=5)
    through, direct = TemplateParser(), TemplateParser()
    codes = LineMemo(MASKS, 10_000).codes(b"\n".join(raw), raw, lambda i: through.learn(raw[i].decode()))
    plain = [direct.learn(r.decode()) for r in raw]
    assert through.ids == direct.ids
    assert through.canonical()[codes].tolist() == direct.canonical()[plain].tolist()
