"""Does the tone table put trouble above routine, and only that?"""

from __future__ import annotations

import hashlib
import io
import time
from importlib import resources

import numpy as np
import pytest

from jamais.errors import CorruptStateError
from jamais.models.tone import NO_FAULT, Tone, tokens


@pytest.fixture(scope="module")
def tone() -> Tone:
    return Tone.shipped()


def packed() -> bytes:
    return resources.files("jamais").joinpath("assets", "tone.npz").read_bytes()


@pytest.mark.parametrize(
    ("trouble", "routine"),
    [
        ("printer on fire, job lost", "printer warmed up, job accepted"),
        ("cannot reach the billing gateway", "billing gateway answered"),
        ("tenant database became corrupt", "tenant database was created"),
        ("upload failed for user 17", "upload finished for user 17"),
        ("ran out of memory while sorting", "sorting with 64 MB of memory"),
        ("turbine controller not responding", "turbine controller registered"),
        ("fatal: unexpected token", "debug: next token"),
        ("RobotArmOverheatedException", "RobotArmController started"),
    ],
)
def test_trouble_sounds_worse_than_routine_of_the_same_theme(tone: Tone, trouble: str, routine: str) -> None:
    worse, better = tone.score([trouble, routine])
    assert worse > 0 > better


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "1234 -- 55.7 %",
        "<*> <num> <ip> [*]",
        "<error>",
        "zxqv wvvk",
        "Соединение потеряно",
        "今天天气很好",
    ],
)
def test_text_without_a_known_word_is_exactly_neutral(tone: Tone, text: str) -> None:
    assert tone.score([text])[0] == 0.0
    assert tone.words(text) == []


@pytest.mark.parametrize(
    "text",
    ["no errors found", "0 errors found", "scan done, without any warnings", "errors: 0, warnings: 0",
     "recovered from the previous failure", "upload succeeded after 3 retries", "0 packets lost"],
)  # fmt: skip
def test_a_denied_fault_is_good_news(tone: Tone, text: str) -> None:
    assert NO_FAULT in tokens(text)
    assert tone.score([text])[0] < 0


@pytest.mark.parametrize(
    "text",
    ["fan 0 failure", "disk 0 errors: 15", "no space left on volume", "no such device",
     "no response: timeout", "error: 0x1f", "channel 0 memory error"],
)  # fmt: skip
def test_a_unit_number_or_a_lack_denies_nothing(tone: Tone, text: str) -> None:
    assert NO_FAULT not in tokens(text)
    assert tone.score([text])[0] > tone.score(["no errors found"])[0] + 1


def test_common_chinese_words_are_heard(tone: Tone) -> None:
    failed, timeout, fine, denied = tone.score(
        ["数据库连接失败", "请求超时 id=7", "服务启动成功", "检查完成, 没有异常"]
    )
    assert min(failed, timeout) > 0 > max(fine, denied)


def test_numbers_placeholders_case_and_punctuation_do_not_matter(tone: Tone) -> None:
    scores = tone.score(["Connection lost to 10.0.0.7!", "connection LOST <*> to <ip>", "connection: lost to [*]"])
    assert len(set(scores.tolist())) == 1


def test_a_text_scores_the_same_alone_and_in_a_batch(tone: Tone) -> None:
    texts = ["disk failure", "", "ready", "flux capacitor desynchronised", "disk failure"]
    together = tone.score(texts)
    assert together.dtype == np.float64
    assert together.tolist() == [tone.score([text])[0] for text in texts]
    assert tone.score([]).shape == (0,)


def test_the_words_name_the_trouble_and_sum_to_the_score(tone: Tone) -> None:
    text = "replication of shard failed because the disk is corrupt"
    assert {"failed", "corrupt"} <= {word for word, _ in tone.words(text, top=4)}
    assert sum(share for _, share in tone.words(text, top=99)) == pytest.approx(tone.score([text])[0])


def test_the_digest_follows_the_table(tone: Tone) -> None:
    same = Tone(tone.values, tone.grams, tone.offset)
    louder = Tone(tone.values | {"failed": 9.0}, tone.grams, tone.offset)
    other_grams = Tone(tone.values, tone.grams + 1.0, tone.offset)
    moved = Tone(tone.values, tone.grams, tone.offset + 1.0)
    assert same.digest == tone.digest
    assert len({tone.digest, louder.digest, other_grams.digest, moved.digest}) == 4
    assert len(tone.digest) == len(hashlib.sha256().hexdigest())


def test_the_table_is_small_and_read_fast_and_once() -> None:
    data = packed()
    started = time.perf_counter()
    Tone.from_bytes(data)
    assert time.perf_counter() - started < 0.3  # about 0.02; a busy machine gets room
    assert len(data) <= 400_000
    assert Tone.shipped() is Tone.shipped()


def test_a_damaged_table_is_refused() -> None:
    data = packed()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 0xFF
    pickled = io.BytesIO()
    np.savez(pickled, words=np.array([{"a": 1}], dtype=object), values=[1], grams=[1], scales=[1.0])
    short = io.BytesIO()
    np.savez(short, words=np.zeros(3, np.uint8))
    for bad in (
        b"",
        b"not a table",
        data[:-200],
        data[:1000],
        bytes(flipped),
        pickled.getvalue(),
        short.getvalue(),
    ):
        with pytest.raises(CorruptStateError, match="tone table"):
            Tone.from_bytes(bad)
