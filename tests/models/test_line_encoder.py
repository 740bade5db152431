from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from jamais.errors import Cancelled, CorruptStateError, SettingsError
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence import VersionStore
from jamais.types import CancelToken, Event

TINY = EncoderSettings(layers=1, width=32, heads=2, inner=48, vocabulary=640, steps=3, batch=8, device="cpu")
LINES = [
    "connection refused from <*>",
    "服务启动成功",
    "user <*> logged in",
    "checkpoint complete: wrote <*> buffers",
    "",
]
COUNTS = [3, 2, 100, 17, 1]
UNSEEN = [
    "ошибка подключения",
    "ошибка отключения",
    "数据库连接失败",
    "数据库连接成功",
    "user <*> 登录失败 é",
]


@pytest.fixture(scope="module")
def encoder() -> LineEncoder:
    return LineEncoder.train(LINES, COUNTS, settings=TINY, seed=1)


def test_a_row_alone_has_the_bits_of_a_row_in_any_company(encoder: LineEncoder) -> None:
    texts = [*LINES, *UNSEEN, "word " * 300]
    together = LineEncoder.from_state(encoder.state_dict()).encode(texts)
    backwards = LineEncoder.from_state(encoder.state_dict()).encode(texts[::-1])[::-1]
    assert together.shape == (len(texts), 32)
    assert together.dtype == np.float32
    assert together.tobytes() == np.ascontiguousarray(backwards).tobytes()
    for row, text in enumerate(texts):
        alone = LineEncoder.from_state(encoder.state_dict()).encode([text])
        assert alone[0].tobytes() == together[row].tobytes()


@pytest.mark.slow
def test_full_size_vectors_are_bit_equal_for_every_order_and_after_reload() -> None:
    encoder = LineEncoder.train(LINES, COUNTS, settings=EncoderSettings(steps=0, device="cpu"), seed=0)
    texts = [f"request {'part ' * n}took <*> ms on 节点" for n in range(0, 140, 7)]
    first = encoder.encode(texts)
    again = LineEncoder.from_state(encoder.state_dict()).encode(texts[::-1])[::-1]
    assert first.tobytes() == np.ascontiguousarray(again).tobytes()


def test_same_seed_twice_gives_the_same_bits_and_another_seed_others(encoder: LineEncoder) -> None:
    twin = LineEncoder.train(LINES, COUNTS, settings=TINY, seed=1)
    other = LineEncoder.train(LINES, COUNTS, settings=TINY, seed=2)
    assert twin.digest == encoder.digest != other.digest
    assert twin.encode(LINES).tobytes() == encoder.encode(LINES).tobytes()
    assert twin.losses == encoder.losses


def test_bits_do_not_depend_on_how_many_threads_torch_may_use(encoder: LineEncoder) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if before == 1 else 1)
        twin = LineEncoder.train(LINES, COUNTS, settings=TINY, seed=1)
        assert twin.digest == encoder.digest
        assert twin.encode(UNSEEN).tobytes() == encoder.encode(UNSEEN).tobytes()
    finally:
        torch.set_num_threads(before)


def test_training_leaves_global_random_numbers_and_threads_alone() -> None:
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    LineEncoder.train(LINES, COUNTS, settings=TINY, seed=1)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_lines_in_an_unseen_script_differ_in_vectors_and_own_up_to_it(encoder: LineEncoder) -> None:
    vectors = encoder.encode(UNSEEN)
    gaps = np.linalg.norm(vectors[:, None] - vectors[None], axis=2) + np.eye(len(UNSEEN))
    assert gaps.min() > 1e-3
    shares = encoder.unknown_share([*UNSEEN, "connection", ""])
    assert shares.shape == (7,)
    assert (shares[:5] > 0).all()
    assert (shares[5:] == 0).all()


def test_long_lines_that_differ_only_behind_the_first_window_differ(encoder: LineEncoder) -> None:
    start = "数据库" * 60
    one, two = encoder.encode([start + "失败", start + "成功"])
    assert np.linalg.norm(one - two) > 1e-4


def test_state_holds_numpy_and_json_only_and_carries_everything(encoder: LineEncoder) -> None:
    tree = encoder.state_dict()
    assert all(type(array) is np.ndarray for array in tree["weights"].values())
    loaded = LineEncoder.from_state(tree)
    assert loaded.digest == encoder.digest
    assert loaded.settings == encoder.settings
    assert loaded.encode(LINES).tobytes() == encoder.encode(LINES).tobytes()
    tree["weights"]["words.weight"][:] = 0  # neither side keeps the tree's arrays
    assert loaded.digest == LineEncoder.from_state(encoder.state_dict()).digest


def test_digest_sees_weights_vocabulary_and_sizes(encoder: LineEncoder) -> None:
    changed = encoder.state_dict()
    changed["weights"]["head.bias"][0] += 1
    renamed = encoder.state_dict()
    renamed["vocabulary"]["known_characters"] += "ж"
    heads = encoder.state_dict()
    heads["settings"]["heads"] = 4
    digests = {LineEncoder.from_state(tree).digest for tree in (changed, renamed, heads)}
    assert len(digests | {encoder.digest}) == 4


def test_wrong_states_are_named(encoder: LineEncoder) -> None:
    tree = encoder.state_dict()
    tree["weights"]["positions.weight"] = tree["weights"]["positions.weight"][:5]
    with pytest.raises(CorruptStateError, match=r"positions.weight: saved \(5, 32\), here \(128, 32\)"):
        LineEncoder.from_state(tree).encode(["x"])
    with pytest.raises(CorruptStateError, match="LineEncoder"):
        LineEncoder.from_state({"settings": {}})
    with pytest.raises(CorruptStateError, match="LineEncoder"):
        LineEncoder.from_state({**encoder.state_dict(), "settings": {"color": "red"}})


def test_cache_is_bounded_and_its_vectors_cannot_be_spoiled() -> None:
    small = EncoderSettings(layers=1, width=32, heads=2, inner=48, vocabulary=640, steps=0, cache_size=2, device="cpu")
    encoder = LineEncoder.train(LINES, COUNTS, settings=small, seed=1)
    first = encoder.encode(["a"])
    first[:] = 7
    assert not (encoder.encode(["a"]) == 7).any()
    encoder.encode(["b", "c", "d"])
    assert len(encoder._cache) == 2


def test_many_threads_get_the_same_bits(encoder: LineEncoder) -> None:
    shared = LineEncoder.from_state(encoder.state_dict())
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(shared.encode(LINES + UNSEEN).tobytes())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {encoder.encode(LINES + UNSEEN).tobytes()}


def test_untrained_encoder_still_tells_lines_apart() -> None:
    raw = EncoderSettings(layers=1, width=32, heads=2, inner=48, vocabulary=518, steps=0, device="cpu")
    vectors = LineEncoder.train(["a"], [1], settings=raw, seed=0).encode(["disk full", "disk fine"])
    assert np.linalg.norm(vectors[0] - vectors[1]) > 0.1


def test_progress_is_told_and_cancel_is_obeyed() -> None:
    events: list[Event] = []
    LineEncoder.train(LINES, COUNTS, settings=TINY, seed=1, listener=events.append)
    assert [(event.done, event.total) for event in events] == [(1, 3), (2, 3), (3, 3)]
    assert {"loss", "seconds_left"} <= set(events[0].values)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        LineEncoder.train(LINES, COUNTS, settings=TINY, seed=1, cancel=token)


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least one line"):
        LineEncoder.train([], [], settings=TINY, seed=0)
    for wrong in ({"width": 30, "heads": 4}, {"steps": -1}, {"mask_share": 1.0}, {"layers": 0}):
        with pytest.raises(SettingsError):
            EncoderSettings(**wrong)  # type: ignore[arg-type]


def test_reading_a_line_imports_no_torch(encoder: LineEncoder, tmp_path: Path) -> None:
    store = VersionStore(tmp_path / "store")
    store.commit(encoder.state_dict(), reason="test", kind="encoder", parent=None)
    code = """
import sys
import jamais.models
from jamais.models.tinylogbert import LineEncoder
from jamais.persistence import VersionStore
loaded = LineEncoder.from_state(VersionStore(sys.argv[1]).load()[0])
loaded.digest, loaded.unknown_share(["abc"]), loaded.state_dict(), loaded.encode([])
print(sorted({"torch", "tokenizers", "transformers"} & set(sys.modules)))
loaded.encode(["disk full"])
print(sorted({"torch", "transformers"} & set(sys.modules)))
"""
    command = [sys.executable, "-c", code, str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_on_cuda_gives_an_encoder_that_reads_on_any_machine() -> None:
    settings = dataclasses.replace(TINY, device="cuda", steps=30)
    there = LineEncoder.train(LINES, COUNTS, settings=settings, seed=1)
    assert there.losses[-1] < there.losses[0]
    loaded = LineEncoder.from_state(there.state_dict())
    assert loaded.digest == there.digest
    assert np.isfinite(loaded.encode(LINES)).all()
