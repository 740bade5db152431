from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import CorruptStateError, SettingsError
from jamais.models.tinylogbert.vocabulary import (
    SMALLEST_VOCABULARY,
    SPECIAL,
    UNK,
    VAR,
    Vocabulary,
)

LINES = ["connection refused from <*>", "服务启动成功", "user <*> logged in with <secret>", "disk full"]
COUNTS = [3, 2, 100, 1]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.train(LINES, COUNTS, 700)


def test_frequent_words_become_one_piece_and_placeholders_the_variable(vocabulary: Vocabulary) -> None:
    pieces = vocabulary.pieces("user <*> logged in")
    assert [vocabulary.tokens[i] for i in pieces] == ["user", "[VAR]", "logged", "in"]
    assert vocabulary.pieces("with <secret>")[-1] == VAR
    assert vocabulary.pieces("a<*>b") == vocabulary.pieces("a <*> b")


def test_the_same_lines_give_the_same_vocabulary_every_time(vocabulary: Vocabulary) -> None:
    for _ in range(5):
        assert Vocabulary.train(LINES, COUNTS, 700).tokens == vocabulary.tokens


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_ever_gives_the_unknown_piece(text: str) -> None:
    assert UNK not in Vocabulary.of_bytes().pieces(text)


def test_lone_surrogates_of_undecodable_bytes_are_spelled_out(vocabulary: Vocabulary) -> None:
    broken = b"disk \xff\xfe".decode("utf-8", "surrogateescape")
    other = b"disk \xff\xfd".decode("utf-8", "surrogateescape")
    assert UNK not in vocabulary.pieces(broken)
    assert vocabulary.pieces(broken) != vocabulary.pieces(other)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("ошибка подключения", "ошибка отключения"),
        ("データベース接続失敗", "データベース接続成功"),
        ("شبكة مقطوعة", "شبكة متصلة"),
        ("数据库连接失败", "数据库连接成功"),
        ("node 🔥", "node ✅"),
        ("naïve", "naive"),
    ],
)
def test_different_lines_in_a_script_never_seen_stay_different(vocabulary: Vocabulary, one: str, two: str) -> None:
    assert vocabulary.pieces(one) != vocabulary.pieces(two)
    assert vocabulary.unknown_share(one) > 0


def test_known_chinese_characters_are_known_and_become_whole_pieces(vocabulary: Vocabulary) -> None:
    assert vocabulary.unknown_share("服务启动成功") == 0.0
    assert vocabulary.unknown_share("服务失败") == 0.5
    assert len(vocabulary.pieces("服务启动成功")) < len("服务启动成功".encode())


def test_unknown_share_counts_neither_spaces_nor_placeholders(vocabulary: Vocabulary) -> None:
    assert vocabulary.unknown_share("") == 0.0
    assert vocabulary.unknown_share(" <*> \t <secret>") == 0.0
    assert vocabulary.unknown_share("<*> é é") == 1.0


def test_a_line_that_spells_a_control_token_means_the_word(vocabulary: Vocabulary) -> None:
    for number, token in enumerate(SPECIAL):
        if number != VAR:
            assert number not in vocabulary.pieces(f"state {token} reached")


def test_a_long_blob_is_cut_quickly_and_loses_nothing(vocabulary: Vocabulary) -> None:
    blob = "x7F" * 5000
    assert UNK not in vocabulary.pieces(blob)


def test_a_vocabulary_survives_json() -> None:
    before = Vocabulary.train(LINES, COUNTS, 600)
    after = Vocabulary.from_json(json.loads(json.dumps(before.to_json())))
    assert after.tokens == before.tokens
    assert after.canonical_bytes() == before.canonical_bytes()
    assert after.pieces("disk full 错误") == before.pieces("disk full 错误")


def test_too_small_a_size_and_broken_tokens_are_refused() -> None:
    with pytest.raises(SettingsError, match="too small"):
        Vocabulary.train(LINES, COUNTS, SMALLEST_VOCABULARY - 1)
    with pytest.raises(CorruptStateError, match="starts with"):
        Vocabulary(["a", "b"], "")
