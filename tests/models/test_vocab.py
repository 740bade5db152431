from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamais.errors import CorruptStateError, InputError, MissingExtraError, SettingsError
from jamais.models import Vocab
from jamais.models.llm import words as cutting
from jamais.models.llm.vocab import BOS, BYTES, EOS, SPECIAL, UNK
from jamais.models.llm.words import fewest

TEXTS = ["中国是一个历史悠久的国家", "人工智能技术正在快速发展", "Hello, world: it is 10:30 now."]
TRICKY = "中国的 GPT-4 模型,  hello hello\n\tmodèle कि 😀 x_y </s> <|bos|> <0x41> \ud800 𠀀かな hello  中国"


def vocab_of(texts: list[str], **options: str) -> Vocab:
    words: set[str] = set()
    Vocab.process_text_for_vocab(texts, words, **options)
    return Vocab(sorted(words))


def test_special_tokens_have_the_numbers_of_rustgpt_and_bytes_follow() -> None:
    vocab = Vocab(["一", "b"])
    assert vocab.words[:7] == ["<|pad|>", "<|unk|>", "<|bos|>", "</s>", "<|sep|>", "<|cls|>", "<|mask|>"]
    assert vocab.words[7:263] == list(BYTES)
    assert vocab.words[7] == "<0x00>"
    assert vocab.words[262] == "<0xFF>"
    assert vocab.words[263:] == ["一", "b"]
    assert len(vocab) == 265


def test_words_keep_the_order_of_a_list_and_a_set_is_sorted() -> None:
    assert Vocab(["b", "a", "b"]).words[263:] == ["b", "a"]
    assert Vocab({"c", "a", "b"}).words[263:] == ["a", "b", "c"]


def test_the_same_texts_give_the_same_vocabulary_in_every_process() -> None:
    code = (
        "from jamais.models import Vocab\nwords = set()\n"
        f"Vocab.process_text_for_vocab({TEXTS!r}, words)\nprint(ascii(Vocab(words).words))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert printed == {ascii(vocab_of(TEXTS).words) + "\n"}


def test_a_vocabulary_needs_no_torch() -> None:
    code = "import sys\nfrom jamais.models import Vocab\nVocab.default().encode('hello')\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_words_of_a_text_are_single_ids_and_the_space_between_them_costs_none() -> None:
    vocab = vocab_of(TEXTS)
    spelled = [vocab.words[number] for number in vocab.encode("Hello world 中国, now")]
    assert spelled == ["Hello", "world", "<0x20>", "中", "国", ",", "<0x20>", "now"]


def test_tricky_text_comes_back_with_and_without_its_words() -> None:
    for vocab in (Vocab([]), Vocab.default(), vocab_of([*TEXTS, TRICKY])):
        assert vocab.decode(vocab.encode(TRICKY)) == TRICKY


def test_text_that_looks_like_a_token_is_never_one() -> None:
    vocab = vocab_of([TRICKY])
    assert not set(vocab.encode(" ".join(SPECIAL) + "</s><|bos|>")) & set(range(len(SPECIAL)))


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(alphabet=st.one_of(st.sampled_from("ab 中国的の, \n_1é</s>|"), st.characters()), max_size=30),
    known=st.sets(st.text(alphabet="ab中国的の 1é", min_size=1, max_size=4), max_size=12),
    fallback_word=st.text(min_size=1, max_size=5),
)
def test_every_text_comes_back_from_any_vocabulary(text: str, known: set[str], fallback_word: str) -> None:
    vocab = Vocab(sorted(known | {fallback_word}))
    ids = vocab.encode(text)
    assert vocab.decode(ids) == text
    assert all(len(SPECIAL) <= number < len(vocab) for number in ids)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ABC", min_size=1, max_size=8), st.sets(st.text(alphabet="ABC", min_size=1, max_size=4)))
def test_runs_are_cut_at_least_cost_as_trying_every_way_does(run: str, known: set[str]) -> None:
    def cost(cut: list[str]) -> int:
        return sum(1 if word in known else 4 if len(word) == 1 else 1000 for word in cut)

    ways = []
    for breaks in product([False, True], repeat=len(run) - 1):
        cut = [run[0]]
        for character, new in zip(run[1:], breaks, strict=True):
            cut = [*cut, character] if new else [*cut[:-1], cut[-1] + character]
        ways.append(cut)
    found = fewest(run, known, sorted({len(word) for word in known}))
    assert "".join(found) == run
    assert cost(found) == min(map(cost, ways))


def test_of_equally_short_ways_the_longest_first_word_wins() -> None:
    assert fewest("ABCD", {"A", "AB", "BCD", "CD"}, [1, 2, 3]) == ["AB", "CD"]


def test_a_long_run_and_a_long_word_cost_no_more_than_their_length() -> None:
    vocab = Vocab(["中" * 5000, "中国"])
    assert vocab.decode(vocab.encode("中国" * 20_000)) == "中国" * 20_000


def test_ids_of_nonsense_are_still_text() -> None:
    vocab = Vocab(["hello"])
    word, half = 263, 7 + 0xE4
    assert vocab.decode([word, word]) == "hello hello"
    assert vocab.decode([word, half, word, UNK, EOS, BOS, word]) == "hello\ufffdhello\ufffdhello"
    assert vocab.decode([word], after=word) == " hello"
    assert vocab.decode([]) == ""


def test_ids_outside_are_refused() -> None:
    for number in (-1, 264):
        with pytest.raises(InputError, match=f"id {number} is not in a vocabulary of 264"):
            Vocab(["hello"]).decode([number])


def test_a_new_word_gets_the_next_id_once() -> None:
    vocab = Vocab(["hello"])
    assert vocab.add_word("历史") == 264
    assert vocab.add_word("历史") == 264
    assert vocab.add_word("hello") == 263
    assert vocab.encode("历史") == [264]
    with pytest.raises(InputError, match="at least one character"):
        vocab.add_word("")


def test_without_bytes_the_unknown_becomes_unk_once_per_stretch() -> None:
    vocab = Vocab(["中国", "hello"], byte_fallback=False)
    assert vocab.words[7:] == ["中国", "hello"]
    assert vocab.encode("中国未知中国  hello wörld") == [7, UNK, 7, 8, UNK]


def test_invisible_characters_and_spaces_make_no_words() -> None:
    words: set[str] = set()
    Vocab.process_text_for_vocab(["a\u200b b\n\x00\ud800 é 中"], words)
    assert words == {"a", "b", "é", "中"}
    assert all(unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zs"} for word in words for character in word)


def test_arguments_of_the_wrong_kind_are_refused() -> None:
    for texts, words in (("text", set()), (["text"], [])):
        with pytest.raises(InputError, match="wants a list of texts and a set"):
            Vocab.process_text_for_vocab(texts, words)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="text 1 is int"):
        Vocab.process_text_for_vocab(["a", 3], set())  # type: ignore[list-item]
    with pytest.raises(InputError, match="got one str"):
        Vocab("word")
    with pytest.raises(SettingsError, match="use one of characters, jieba"):
        Vocab.process_text_for_vocab(["a"], set(), chinese="words")


def test_jieba_finds_words_without_a_cache_and_without_a_sound(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jieba", reason="the extra zh is not installed")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    cutting._jieba.cache_clear()
    vocab = vocab_of(TEXTS, chinese="jieba")
    assert {"中国", "历史悠久", "人工智能", "快速", "智", "能"} <= set(vocab.words)
    assert [vocab.words[i] for i in vocab.encode(TEXTS[0])] == ["中国", "是", "一个", "历史悠久", "的", "国家"]
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []  # type: ignore[attr-defined]


def test_a_missing_jieba_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    cutting._jieba.cache_clear()
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'jamais\[zh\]'"):
        vocab_of(["中国"], chinese="jieba")
    cutting._jieba.cache_clear()


def test_a_saved_vocabulary_reads_the_same() -> None:
    for vocab in (vocab_of([TRICKY]), Vocab(["中国"], byte_fallback=False)):
        again = Vocab.from_state(vocab.to_state())
        assert again.words == vocab.words
        assert again.encode(TRICKY) == vocab.encode(TRICKY)


def test_a_spoiled_vocabulary_is_named() -> None:
    good = Vocab(["a", "b"]).to_state()
    cases = {
        "wanted words": {"words": good["words"]},
        "wanted to begin with": {**good, "words": ["x", *good["words"][1:]]},
        r"words\[264\]": {**good, "words": [*good["words"][:-1], 7]},
        "only 264 of them different": {**good, "words": [*good["words"][:-1], "a"]},
        "byte_fallback": {**good, "byte_fallback": 1},
    }
    for message, state in cases.items():
        with pytest.raises(CorruptStateError, match=message):
            Vocab.from_state(state)
