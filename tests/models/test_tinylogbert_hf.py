from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from jamais.errors import InputError, ShapeMismatchError
from jamais.models import TinyLogBERT, TinyLogBERTConfig
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.models.tinylogbert.vocabulary import Vocabulary

transformers = pytest.importorskip("transformers")

TINY = EncoderSettings(layers=2, width=32, heads=2, inner=48, vocabulary=640, steps=2, batch=8, device="cpu")
TEXTS = ["connection refused from <*>", "服务启动失败 é", "user <*> logged in again and again"]


@pytest.fixture(scope="module")
def encoder() -> LineEncoder:
    return LineEncoder.train(TEXTS, [1, 5, 9], settings=TINY, seed=1)


@pytest.fixture
def model(encoder: LineEncoder) -> TinyLogBERT:
    return TinyLogBERT.from_line_encoder(encoder)


def tokens(folder: Path) -> dict[str, torch.Tensor]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, padding="max_length", truncation=True, max_length=128, return_tensors="pt")
    return dict(batch)


def test_weights_are_bit_equal_after_a_round_trip(model: TinyLogBERT, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = TinyLogBERT.from_pretrained(tmp_path)
    assert isinstance(loaded, TinyLogBERT)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name
    assert loaded.vocabulary.to_json() == model.vocabulary.to_json()
    assert not loaded.training


def test_the_folder_holds_the_files_that_the_guide_draws(model: TinyLogBERT, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    names = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"}
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "tinylogbert"
    model.save_pretrained(tmp_path / "bare", save_config=False)
    assert not (tmp_path / "bare" / "config.json").exists()


def test_auto_tokenizer_cuts_lines_as_the_line_encoder_does(
    model: TinyLogBERT, encoder: LineEncoder, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == [2, *encoder.vocabulary.pieces(text), 3]


def test_features_are_those_of_the_line_encoder(model: TinyLogBERT, encoder: LineEncoder, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        output = model(**tokens(tmp_path))
    assert output.features.shape == (3, 32)
    assert output.logits.shape == (3, 128, len(encoder.vocabulary))
    assert output.loss is None
    assert np.abs(output.features.numpy() - encoder.encode(TEXTS)).max() < 1e-5
    assert TinyLogBERT.from_pretrained(tmp_path).to_line_encoder().digest == encoder.digest


def test_labels_give_the_masked_loss_and_features_have_dropout_off(model: TinyLogBERT, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    batch = tokens(tmp_path)
    with torch.no_grad():
        calm = model(**batch).features
    model.train()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    output = model(**batch, labels=labels)
    output.loss.backward()
    assert float(output.loss.detach()) > 0
    assert model.encoder.words.weight.grad is not None
    assert torch.allclose(output.features, calm, atol=1e-6)
    assert model.encoder.training
    loss, logits, features = model(**batch, labels=labels, return_dict=False)
    assert (loss.ndim, logits.ndim, features.ndim) == (0, 3, 2)


def test_a_model_from_a_configuration_alone_knows_bytes_and_can_be_saved(tmp_path: Path) -> None:
    config = TinyLogBERTConfig(
        vocab_size=520, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = TinyLogBERT(config)
    model.save_pretrained(tmp_path)
    loaded = TinyLogBERT.from_pretrained(tmp_path)
    assert loaded.config.vocab_size == 520
    assert len(loaded.vocabulary) == 518
    with pytest.raises(ShapeMismatchError, match="vocab_size is 520"):
        loaded.to_line_encoder()


def test_what_cannot_fit_is_refused(model: TinyLogBERT, tmp_path: Path) -> None:
    with pytest.raises(ShapeMismatchError, match="raise vocab_size"):
        TinyLogBERT(TinyLogBERTConfig(vocab_size=100), Vocabulary.of_bytes())
    model.save_pretrained(tmp_path)
    for name in ("vocab.txt", "tokenizer.json", "state.json", "MANIFEST.json"):
        (tmp_path / name).unlink()
    with (
        pytest.warns(UserWarning, match="no MANIFEST"),
        pytest.raises(InputError, match=r"vocab\.txt is missing.*save_pretrained"),
    ):
        TinyLogBERT.from_pretrained(tmp_path)


def test_importing_the_models_room_imports_no_network_library() -> None:
    code = "import sys, jamais.models; print(sorted({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
