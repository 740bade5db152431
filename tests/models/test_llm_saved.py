"""Every call of seed 003, on a language model."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jamais.errors import CorruptStateError
from jamais.models import LLM, Vocab
from jamais.persistence import (
    load_model_auto,
    load_model_binary,
    load_model_folder,
    load_model_json,
    save_model_binary,
    save_model_folder,
    save_model_json,
)
from jamais.persistence.faces.models import state_of
from jamais.persistence.tree import state_sha256

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TEXTS = ["中国是一个历史悠久的国家", "人工智能技术正在快速发展", "hello world"]


@pytest.fixture
def llm() -> LLM:
    torch.set_num_threads(1)
    words: set[str] = set()
    Vocab.process_text_for_vocab(TEXTS, words)
    made = LLM(Vocab(sorted(words)), width=8, n_layers=2, n_heads=2)
    made.train(TEXTS, 2, 0.003, batch_size=2)
    return made


def digest(thing: object) -> str:
    return state_sha256(state_of(thing)[1])


@pytest.mark.parametrize(
    ("save", "load", "name"),
    [
        (save_model_binary, load_model_binary, "checkpoints/model_epoch_2.bin"),
        (save_model_json, load_model_json, "exports/model_weights.json"),
        (save_model_folder, load_model_folder, "final_models/model"),
    ],
)
def test_a_model_comes_back_from_every_face_with_all_its_state(
    tmp_path: Path, llm: LLM, save: Callable[..., None], load: Callable[..., Any], name: str
) -> None:
    save(llm, tmp_path / name, verify=True)
    for again in (load(tmp_path / name), load_model_auto(tmp_path / name)):
        assert type(again) is LLM
        assert digest(again) == digest(llm)
        assert again.losses == llm.losses
    goes_on = load(tmp_path / name)
    goes_on.train(TEXTS, 3, 0.003, batch_size=2)
    llm.train(TEXTS, 3, 0.003, batch_size=2)
    assert digest(goes_on) == digest(llm)


def test_a_model_is_saved_to_the_same_bytes_every_time(tmp_path: Path, llm: LLM) -> None:
    for name in ("one", "two"):
        save_model_binary(llm, tmp_path / f"{name}.bin")
        save_model_json(llm, tmp_path / f"{name}.json")
    for suffix in ("bin", "json"):
        assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_the_document_reads_the_json_as_it_says(tmp_path: Path, llm: LLM) -> None:
    save_model_json(llm, tmp_path / "model_for_python.json")
    with open(tmp_path / "model_for_python.json", encoding="utf-8") as file:
        model_data = json.load(file)
    vocab = model_data["vocab"]
    layers = model_data["layers"]
    assert vocab["words"] == llm.vocab.words
    assert [layer["type"] for layer in layers] == [
        "Embeddings",
        "TransformerBlock",
        "TransformerBlock",
        "OutputProjection",
    ]


def test_an_edit_by_hand_is_noticed_and_taken_when_asked_for(tmp_path: Path, llm: LLM) -> None:
    path = tmp_path / "model.json"
    save_model_json(llm, path)
    document = json.loads(path.read_text(encoding="utf-8"))
    document["layers"][-1]["tensors"]["b_out"]["data"][3] = 0.5
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CorruptStateError):
        load_model_json(path)
    edited = load_model_json(path, accept_edits=True)
    assert edited.to_state()["model"]["b_out"][3] == 0.5
    document["layers"][-1]["tensors"]["b_out"]["data"][3] = "NaN"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(CorruptStateError, match="b_out"):
        load_model_json(path, accept_edits=True)


def test_a_vocabulary_is_saved_alone_too(tmp_path: Path, llm: LLM) -> None:
    save_model_json(llm.vocab, tmp_path / "vocab.json")
    again = load_model_json(tmp_path / "vocab.json")
    assert type(again) is Vocab
    assert again.words == llm.vocab.words


def test_twenty_lines_of_plain_python_read_the_json(tmp_path: Path, llm: LLM) -> None:
    save_model_json(llm, tmp_path / "model.json")
    script = EXAMPLES / "read_llm_json.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 20
    done = subprocess.run(
        [sys.executable, "-I", script, tmp_path / "model.json"], capture_output=True, check=True, encoding="utf-8"
    )
    assert f"词汇量: {len(llm.vocab)}" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("[")] == [
        "[0] Embeddings",
        "[1] TransformerBlock",
        "[2] TransformerBlock",
        "[3] OutputProjection",
    ]
    first = llm.network.w_out[0, 0].item()
    assert f"{first:+.6f}" in done.stdout


@pytest.mark.slow
def test_the_example_resumes_from_epoch_50(tmp_path: Path) -> None:
    script = EXAMPLES / "llm_save_and_resume.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 80
    done = subprocess.run(
        [sys.executable, script], capture_output=True, check=True, encoding="utf-8", cwd=tmp_path, timeout=120
    )
    assert "50 epochs, saved, loaded, and 50 more = 100 epochs: every bit of the weights is the same" in done.stdout
    assert done.stdout.count("人工智能 → 人工智能技术正在快速发展") == 2
    assert list(tmp_path.iterdir()) == []
