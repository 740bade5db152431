from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import Cancelled, CorruptStateError
from jamais.models import LLM, Vocab
from jamais.persistence.faces.binary import read_binary, write_binary
from jamais.persistence.faces.json_face import read_json, write_json
from jamais.persistence.tree import flatten, unflatten
from jamais.types import CancelToken, StateTree

TEXTS = ["中国是一个历史悠久的国家", "人工智能技术正在快速发展", "hello world", "学而时习之，不亦说乎", "a b c"]
RATE, BATCH = 0.003, 2

# What a new process is asked to do: read, train on, write.
GO_ON = f"""
import sys
from pathlib import Path
import torch
from jamais.models import LLM
from jamais.persistence.faces.binary import read_binary, write_binary
torch.set_num_threads(1)
llm = LLM.from_state(read_binary(Path(sys.argv[1]))[0])
llm.train({TEXTS!r}, int(sys.argv[3]) - llm.epochs, {RATE}, batch_size={BATCH})
write_binary(Path(sys.argv[2]), llm.to_state(), "llm")
"""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def small() -> LLM:
    words: set[str] = set()
    Vocab.process_text_for_vocab(TEXTS, words)
    return LLM(Vocab(sorted(words)), width=8, n_layers=2, n_heads=2, seed=3)


def trained(epochs: int = 2) -> LLM:
    llm = small()
    llm.train(TEXTS, epochs, RATE, batch_size=BATCH)
    return llm


def same(one: StateTree, other: StateTree) -> bool:
    arrays, plain = flatten(one)
    others, other_plain = flatten(other)
    equal = arrays.keys() == others.keys() and all(
        arrays[key].dtype == others[key].dtype and arrays[key].tobytes() == others[key].tobytes() for key in arrays
    )
    return equal and json.dumps(plain, sort_keys=True) == json.dumps(other_plain, sort_keys=True)


def test_a_state_is_a_tree_that_can_be_saved() -> None:
    for llm in (small(), trained()):
        state = llm.to_state()
        arrays, plain = flatten(state)
        again = LLM.from_state(unflatten(arrays, plain))
        assert same(again.to_state(), state)
        assert again.losses == llm.losses
        assert again.predict("中国") == llm.predict("中国")


def test_a_state_is_a_copy_on_the_way_out_and_in() -> None:
    llm = trained()
    state = llm.to_state()
    kept = copy.deepcopy(state)
    again = LLM.from_state(state)
    llm.train(TEXTS, 1, RATE)
    again.train(TEXTS, 1, RATE)
    assert same(state, kept)


def test_arrays_that_may_not_be_written_to_are_read(recwarn: pytest.WarningsRecorder) -> None:
    state = trained().to_state()
    for array in flatten(state)[0].values():
        array.flags.writeable = False
    LLM.from_state(state).train(TEXTS, 1, RATE)
    assert not recwarn.list


@pytest.mark.parametrize("cut_after", [pytest.param(0, marks=pytest.mark.slow), 7])
def test_a_new_process_goes_on_bit_for_bit(tmp_path: Path, cut_after: int) -> None:
    whole = trained(6)
    if cut_after:
        begun, token = small(), CancelToken()
        with pytest.raises(Cancelled):
            begun.train(
                TEXTS,
                6,
                RATE,
                batch_size=BATCH,
                cancel=token,
                on_event=lambda event: token.cancel() if event.done == cut_after else None,
            )
        assert begun.steps == cut_after
        assert begun.epochs == 2
    else:
        begun = trained(3)
    write_binary(tmp_path / "begun.bin", begun.to_state(), "llm")
    subprocess.run(
        [sys.executable, "-c", GO_ON, tmp_path / "begun.bin", tmp_path / "done.bin", "6"],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    state, name = read_binary(tmp_path / "done.bin")
    assert name == "llm"
    assert same(state, whole.to_state())
    assert state["trainer"]["losses"] == whole.losses
    assert state["optimizer"]["parameters"]["w_out"]["step"] == 18


def test_the_json_face_has_the_words_and_the_layers_of_the_document(tmp_path: Path) -> None:
    llm = trained()
    state = llm.to_state()
    write_json(tmp_path / "model.json", state, "llm", arrangement=LLM.arrangement(state))
    assert same(read_json(tmp_path / "model.json")[0], state)
    document: dict[str, Any] = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert document["vocab"]["words"] == llm.vocab.words
    kinds = [layer["type"] for layer in document["layers"]]
    assert kinds == ["Embeddings", "TransformerBlock", "TransformerBlock", "OutputProjection"]
    held = [(layer, name) for layer in document["layers"] for name in layer["tensors"]]
    assert len(held) == len(state["model"])
    block = document["layers"][2]["tensors"]
    assert list(block) == [name.removeprefix("blocks.1.") for name in state["model"] if name.startswith("blocks.1.")]
    assert np.array_equal(np.float32(block["attention.w_q"]["data"]), state["model"]["blocks.1.attention.w_q"])
    assert np.array_equal(np.float32(document["layers"][3]["tensors"]["b_out"]["data"]), state["model"]["b_out"])


def put(path: str, value: object) -> Callable[[StateTree], None]:
    def spoil(state: StateTree) -> None:
        *above, last = path.split("/")
        place = state
        for key in above:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return spoil


def with_nan(*keys: str) -> Callable[[StateTree], None]:
    def spoil(state: StateTree) -> None:
        place: Any = state
        for key in keys:
            place = place[key]
        place.flat[3] = np.nan

    return spoil


MOMENTS = "optimizer/parameters/blocks.0.attention.w_q"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (put("model", None), r"state: .*missing or unknown: model"),
        (put("extra", 1), r"state: .*missing or unknown: extra"),
        (put("model", []), "model: wanted a dict, got list"),
        (put("model/w_out", None), "model: 26 arrays, 2 layers have 27"),
        (put("model/blocks.0.norm1.gamma", np.ones(9, "f4")), r"blocks.0.norm1.gamma: saved \[9\] float32, .* \[8\]"),
        (put("model/b_out", np.zeros(296)), r"model.b_out: saved \[296\] float64, the model is"),
        (put("model/w_out", "many"), "model.w_out: wanted an array, got str"),
        (with_nan("model", "blocks.1.feed_forward.w1"), "blocks.1.feed_forward.w1: element 3 is nan"),
        (put("config/width", 10**12), "token_embeddings: saved .* the model is"),
        (put("config/n_layers", 10**12), "n_layers must be at most"),
        (put("config/n_layers", 1000), "model: 27 arrays, 1000 layers have 12003"),
        (put("config/max_length", 10**12), "max_length must be a whole number from 2 to 8192"),
        (put("config/n_heads", 3), "width=8 must be a multiple of n_heads=3"),
        (put("config/dropout", "0.1"), "config: dropout must be"),
        (put("config/dropout", None), "config: .*missing or unknown: dropout"),
        (put("config/rope", True), "config: .*missing or unknown: rope"),
        (put("vocab/words", ["a"]), "vocab.words"),
        (put("optimizer/type", "sgd"), "optimizer: wanted type adam"),
        (put("optimizer/betas", [0.9, 1.0]), r"betas \[0.9, 1.0\]"),
        (put("optimizer/eps", 0.0), "eps 0.0"),
        (put(MOMENTS, None), "optimizer.parameters: not those of the model: blocks.0.attention.w_q"),
        (put(f"{MOMENTS}/step", -1), "w_q.step: wanted a whole number from 0"),
        (put(f"{MOMENTS}/exp_avg", np.ones((8, 9), "f4")), r"w_q.exp_avg: saved \[8, 9\]"),
        (put(f"{MOMENTS}/exp_avg_sq", -np.ones((8, 8), "f4")), "w_q.exp_avg_sq: holds a negative number"),
        (with_nan(*MOMENTS.split("/"), "exp_avg"), "w_q.exp_avg: element 3 is nan"),
        (put("rng/seed", -1), "rng.seed: wanted a whole number from 0"),
        (put("rng/seed", True), "rng.seed: wanted a whole number"),
        (put("trainer/steps", 1.0), "trainer.steps: wanted a whole number"),
        (put("trainer/losses", [1.0]), "trainer.losses: 1 of them for 2 epochs"),
        (put("trainer/losses", [1.0, float("nan")]), "trainer.losses: wanted a list of finite floats"),
        (put("trainer/position", 2), "trainer.rows_sha256: goes with a position"),
        (put("trainer/loss_sum", 1), "trainer.loss_sum: wanted a finite float"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_allocated_on_its_word(
    spoil: Callable[[StateTree], None], message: str
) -> None:
    state = trained().to_state()
    spoil(state)
    with pytest.raises(CorruptStateError, match=message):
        LLM.from_state(state)
