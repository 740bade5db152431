"""The files here are written from the serde structures of the source, not by the Rust program."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, InputError, StateError
from jamais.models.llm import LLM, from_rustgpt
from jamais.persistence.importers.rustgpt import read_rustgpt_json

Array = NDArray[Any]
SPECIAL = ["<|pad|>", "<|unk|>", "<|bos|>", "</s>", "<|sep|>", "<|cls|>", "<|mask|>"]
WORDS = [*SPECIAL, "中国", "历史", "悠久", "的", "hello", "world"]
WIDTH, HIDDEN, HEADS, BLOCKS, STEPS = 16, 24, 8, 2, 37
EPSILON = 1e-8


class Source:
    """A model with the names of the Rust source: every matrix with its Adam, [inputs, outputs]."""

    def __init__(self, seed: int = 0) -> None:
        self.drawn = np.random.default_rng(seed)
        self.weights: dict[str, Array] = {}
        self.moments: dict[str, tuple[Array, Array]] = {}

    def struct(self, ours: str, name: str, shape: tuple[int, int], optimizer: str = "") -> dict[str, Any]:
        spread = 0.25 if shape[0] > 1 else 0.3
        weight = (self.drawn.normal(0.0, spread, shape) + ("gamma" in name)).astype("f4")
        first, second = self.drawn.normal(0, 1e-3, shape).astype("f4"), self.drawn.random(shape).astype("f4")
        self.weights[ours], self.moments[ours] = weight, (first, second)
        adam = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "timestep": STEPS}
        adam |= {"m_shape": list(shape), "m_data": numbers(first), "v_shape": list(shape), "v_data": numbers(second)}
        return {
            f"{name}_shape": list(shape),
            f"{name}_data": numbers(weight),
            optimizer or f"optimizer_{name}": adam,
        }

    def block(self, number: int) -> dict[str, Any]:
        begin = f"blocks.{number}"
        attention: dict[str, Any] = {"embedding_dim": WIDTH, "num_heads": HEADS, "head_dim": WIDTH // HEADS}
        for name in ("w_q", "w_k", "w_v", "w_o"):
            attention |= self.struct(f"{begin}.attention.{name}", name, (WIDTH, WIDTH))
        forward: dict[str, Any] = {}
        sizes = {"w1": (WIDTH, HIDDEN), "b1": (1, HIDDEN), "w2": (HIDDEN, WIDTH), "b2": (1, WIDTH)}
        for name, shape in sizes.items():
            forward |= self.struct(f"{begin}.feed_forward.{name}", name, shape)
        norms: dict[str, Any] = {}
        for norm in ("norm1", "norm2"):
            norms[norm] = {"epsilon": EPSILON}
            for name in ("gamma", "beta"):
                norms[norm] |= self.struct(f"{begin}.{norm}.{name}", name, (1, WIDTH))
        drops = {"dropout1": {"dropout_rate": 0.1}, "dropout2": {"dropout_rate": 0.1}}
        return {"attention": attention, "feed_forward": forward, **drops, **norms}

    def file(self) -> dict[str, Any]:
        embeddings = self.struct("token_embeddings", "token_embeddings", (len(WORDS), WIDTH), "token_optimizer")
        blocks = [{"TransformerBlock": self.block(number)} for number in range(BLOCKS)]
        output = self.struct("w_out", "w_out", (WIDTH, len(WORDS)), "optimizer")
        output |= self.struct("b_out", "b_out", (1, len(WORDS)), "optimizer_bias")
        return {
            "version": 1,
            "vocab": {
                "encode": {word: number for number, word in reversed(list(enumerate(WORDS)))},
                "decode": {str(number): word for number, word in enumerate(WORDS)},
                "words": sorted(WORDS),  # the values of a HashMap: any order
                "special_tokens": {word: number for number, word in enumerate(SPECIAL)},
            },
            "layers": [{"Embeddings": embeddings}, *blocks, {"OutputProjection": output}],
            "context_window": [7, 8],
            "metadata": {
                "embedding_dim": WIDTH,
                "hidden_dim": HIDDEN,
                "num_transformer_blocks": BLOCKS,
                "vocab_size": len(WORDS),
                "max_seq_len": 128,
                "training_info": None,
            },
        }

    def logits(self, ids: list[int]) -> Array:
        """Compute what `Layer::forward` of each layer computes in turn, dropout off, in float64 and with loops."""
        weights = {name: weight.astype("f8") for name, weight in self.weights.items()}
        hidden = weights["token_embeddings"][ids].copy()
        for place in range(len(ids)):
            for i in range(WIDTH):
                # The source computes this in f32, where the angle of place 127 is exact to 8e-6 only.
                angle = np.float32(place) / np.float32(10000) ** (np.float32(i // 2) / np.float32(WIDTH))
                hidden[place, i] += np.sin(angle) if i % 2 == 0 else np.cos(angle)
        for number in range(BLOCKS):
            part = {name.removeprefix(f"blocks.{number}."): weight for name, weight in weights.items()}
            hidden = hidden + attention(layer_norm(hidden, part, "norm1"), part)
            normed = layer_norm(hidden, part, "norm2")
            inner = np.maximum(normed @ part["feed_forward.w1"] + part["feed_forward.b1"], 0.0)
            hidden = hidden + inner @ part["feed_forward.w2"] + part["feed_forward.b2"]
        return hidden @ weights["w_out"] + weights["b_out"]


def layer_norm(rows: Array, part: dict[str, Array], name: str) -> Array:
    centered = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt((centered**2).mean(axis=1, keepdims=True) + EPSILON)
    return part[f"{name}.gamma"] * (centered / spread) + part[f"{name}.beta"]


def attention(rows: Array, part: dict[str, Array]) -> Array:
    query, key, value = (rows @ part[f"attention.w_{name}"] for name in "qkv")
    size = WIDTH // HEADS
    mixed = np.zeros_like(rows)
    for head in range(HEADS):
        mine = slice(head * size, (head + 1) * size)
        for here in range(len(rows)):
            scores = np.array([query[here, mine] @ key[there, mine] for there in range(here + 1)]) / np.sqrt(size)
            shares = np.exp(scores - scores.max())
            mixed[here, mine] = (shares / shares.sum()) @ value[: here + 1, mine]
    return mixed @ part["attention.w_o"]


def numbers(array: Array) -> list[float]:
    """Spell float32 as serde does: the shortest decimal that is that number."""
    return [float(str(number)) for number in array.astype("f4").reshape(-1)]


@pytest.fixture
def source() -> Source:
    return Source()


def write(tmp_path: Path, file: object) -> Path:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(file, ensure_ascii=False, indent=2), encoding="utf-8")
    return path


def test_an_imported_model_has_the_logits_of_the_source(tmp_path: Path, source: Source) -> None:
    llm = from_rustgpt(write(tmp_path, source.file()))
    torch.set_num_threads(1)
    ids = np.random.default_rng(1).integers(0, len(WORDS), 128).tolist()
    with torch.no_grad():
        found = llm.network(torch.tensor([ids]))[0].numpy()
    wanted = source.logits(ids)
    assert found.shape == wanted.shape == (128, len(WORDS))
    assert np.abs(wanted).max() > 3.0
    assert np.abs(found - wanted).max() < 1e-5


def test_weights_and_adams_memory_arrive_to_the_last_bit(tmp_path: Path, source: Source) -> None:
    path = write(tmp_path, source.file())
    tree, state = read_rustgpt_json(path), from_rustgpt(path).to_state()
    assert tree["model"].keys() == source.weights.keys() == state["model"].keys()
    for name, weight in source.weights.items():
        plain = weight[0] if weight.shape[0] == 1 else weight
        first, second = source.moments[name]
        kept, ours = tree["optimizer"]["parameters"][name], state["optimizer"]["parameters"][name]
        assert tree["model"][name].tobytes() == state["model"][name].tobytes() == weight.tobytes()
        assert tree["model"][name].shape == state["model"][name].shape == plain.shape
        assert kept["m"].tobytes() == ours["exp_avg"].tobytes() == first.tobytes()
        assert kept["v"].tobytes() == ours["exp_avg_sq"].tobytes() == second.tobytes()
        assert kept["timestep"] == ours["step"] == STEPS
    assert (state["optimizer"]["betas"], state["optimizer"]["eps"]) == ([0.9, 0.999], 1e-8)
    assert tree["config"] == {
        "n_layers": BLOCKS,
        "width": WIDTH,
        "hidden": HIDDEN,
        "n_heads": HEADS,
        "max_length": 128,
        "dropout": 0.1,
        "norm_epsilon": EPSILON,
    }
    assert tree["context_window"] == [7, 8]
    assert tree["training_info"] is None


def test_the_next_adam_step_is_the_one_of_the_source(tmp_path: Path, source: Source) -> None:
    llm = from_rustgpt(write(tmp_path, source.file()))
    drawn = np.random.default_rng(2)
    gradients = {name: drawn.normal(0, 1e-3, weight.shape) for name, weight in source.weights.items()}
    for name, weight in llm.network.named_parameters():
        weight.grad = torch.tensor(gradients[name], dtype=torch.float32).reshape(weight.shape)
    llm._optimizer.step(0.01)
    for name, weight in llm.network.named_parameters():
        first, second = (moment.astype("f8") for moment in source.moments[name])
        first = first * 0.9 + gradients[name] * 0.1
        second = second * 0.999 + gradients[name] ** 2 * 0.001
        ahead = first / (1 - 0.9 ** (STEPS + 1)) / (np.sqrt(second / (1 - 0.999 ** (STEPS + 1))) + 1e-8)
        wanted = (source.weights[name] - 0.01 * ahead).reshape(weight.shape)
        np.testing.assert_allclose(weight.detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_words_stand_in_the_order_of_their_ids_and_text_is_read(tmp_path: Path, source: Source) -> None:
    llm = from_rustgpt(write(tmp_path, source.file()))
    assert llm.vocab.words == WORDS
    assert llm.vocab.encode("中国历史悠久") == [7, 8, 9]
    assert llm.vocab.encode("hello, world") == [11, 1, 12]
    assert isinstance(llm.predict("中国", max_tokens=3), str)


def test_an_imported_model_trains_on_and_is_saved(tmp_path: Path, source: Source) -> None:
    llm = from_rustgpt(write(tmp_path, source.file()), seed=4)
    losses = llm.train(["中国历史悠久", "hello world"], 5, 0.01)
    assert losses[-1] < losses[0]
    assert llm.steps == STEPS + 5
    assert LLM.from_state(llm.to_state()).to_state()["trainer"] == llm.to_state()["trainer"]


def test_training_figures_are_read(tmp_path: Path, source: Source) -> None:
    file = source.file()
    info = {"total_epochs": 3, "last_learning_rate": 0.0005, "total_training_steps": 37}
    file["metadata"]["training_info"] = info
    assert read_rustgpt_json(write(tmp_path, file))["training_info"] == info


ADAM = "layers/1/TransformerBlock/attention/optimizer_w_q"
REMOVED = object()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("layers", [], r"layers: wanted Embeddings, TransformerBlock…, OutputProjection, got 0 layers"),
        ("layers/0", {"TransformerBlock": {}}, r"layers\[0\]: wanted Embeddings, got TransformerBlock"),
        ("layers/1", {"Fused": {}}, r"layers\[1\]: wanted TransformerBlock, got Fused"),
        ("layers/1/TransformerBlock/norm1", 3, r"layers\[1\].TransformerBlock.norm1: wanted an object, got int"),
        ("layers/1/TransformerBlock/norm3", {}, r"TransformerBlock.norm3: is not a field of this format"),
        ("extra", 1, "extra: is not a field of this format"),
        ("metadata", REMOVED, "metadata: is missing"),
        ("layers/0/Embeddings/token_embeddings_shape", [12, WIDTH], r"_shape: is \[12, 16\], the rest .* \[13, 16\]"),
        ("layers/0/Embeddings/token_embeddings_data", [1.0], r"_data: 1 numbers for the shape \[13, 16\]"),
        ("layers/0/Embeddings/token_embeddings_data/5", None, "null stands for NaN or infinity"),
        ("layers/0/Embeddings/token_embeddings_data/5", "1.5", "token_embeddings_data: wanted a list of numbers"),
        ("layers/0/Embeddings/token_embeddings_data/5", True, "token_embeddings_data: wanted a list of numbers"),
        ("layers/0/Embeddings/token_embeddings_data/5", 1e39, "token_embeddings_data: element 5 is not finite"),
        ("layers/0/Embeddings/token_embeddings_data/5", 10**400, "token_embeddings_data: wanted a list of numbers"),
        (f"{ADAM}/m_data/3", float("nan"), r"layers\[1\].TransformerBlock.attention.optimizer_w_q.m_data: element 3"),
        (f"{ADAM}/v_shape", [16, 8], r"optimizer_w_q.v_shape: is \[16, 8\]"),
        (f"{ADAM}/v_shape", [2**40, 2**40], "optimizer_w_q.v_shape: wanted two sizes"),
        (f"{ADAM}/timestep", -1, "optimizer_w_q.timestep: wanted a whole number"),
        (f"{ADAM}/beta1", 0.8, "optimizer_w_q.beta1: is 0.8, elsewhere in the file 0.9"),
        ("layers/1/TransformerBlock/attention/num_heads", 3, "num_heads: heads times head_dim must be the width 16"),
        ("layers/1/TransformerBlock/attention/embedding_dim", 8, "embedding_dim: is 8, elsewhere in the file 16"),
        ("layers/2/TransformerBlock/feed_forward/w1_shape", [16, 23], "w1_shape: is 23, elsewhere in the file 24"),
        ("layers/2/TransformerBlock/dropout2/dropout_rate", 0.2, "dropout_rate: is 0.2, elsewhere in the file 0.1"),
        ("layers/2/TransformerBlock/norm2/epsilon", float("inf"), "norm2.epsilon: wanted a finite number"),
        ("layers/3/OutputProjection/w_out_shape", [16, 6], r"w_out_shape: is \[16, 6\], the rest .* \[16, 13\]"),
        ("vocab/decode/12", REMOVED, "vocab.encode: is not the reverse of decode"),
        ("vocab/decode/3", REMOVED, "vocab.decode: wanted a word for each id from 0 to 11"),
        ("vocab/encode/hello", 12, "vocab.encode: is not the reverse of decode"),
        ("vocab/words/0", "other", "vocab.words: are not those of decode"),
        ("vocab/special_tokens/<|bos|>", 4, "vocab.special_tokens: wanted"),
        ("metadata/vocab_size", 12, "metadata.vocab_size: the file itself holds 13"),
        ("metadata/num_transformer_blocks", 4, "metadata.num_transformer_blocks: the file itself holds 2"),
        ("metadata/hidden_dim", 512, "metadata.hidden_dim: is 512, elsewhere in the file 24"),
        ("context_window", [13], "context_window: wanted ids below 13"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, source: Source, path: str, value: object, message: str) -> None:
    file = copy.deepcopy(source.file())
    *above, last = path.split("/")
    place: Any = file
    for key in above:
        place = place[int(key)] if isinstance(place, list) else place[key]
    if value is REMOVED:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    with pytest.raises(CorruptStateError, match=message) as caught:
        read_rustgpt_json(write(tmp_path, file))
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("version", [0, 2, "1", True, None])
def test_another_version_is_refused(tmp_path: Path, source: Source, version: object) -> None:
    with pytest.raises(StateError, match="RustGPT format version"):
        read_rustgpt_json(write(tmp_path, source.file() | {"version": version}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2].encode(), "not readable as JSON"),
        (lambda text: b"\xff" + text.encode(), "not readable as JSON"),
        (lambda text: text.replace('"version": 1', '"version": 1, "version": 1').encode(), "'version' stands"),
        (lambda _: b"[" * 200_000, "nested too deeply"),
        (lambda _: b"[1, 2]", "the whole: wanted an object, got list"),
        (lambda _: b"", "not readable as JSON"),
    ],
)
def test_files_that_are_no_such_json_are_refused(
    tmp_path: Path, source: Source, change: Callable[[str], bytes], message: str
) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(change(json.dumps(source.file())))
    with pytest.raises(CorruptStateError, match=message):
        read_rustgpt_json(path)


def test_a_file_that_is_not_there_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        from_rustgpt(tmp_path / "none.json")


def test_a_link_to_a_checkpoint_is_followed(tmp_path: Path, source: Source) -> None:
    link = tmp_path / "latest.json"
    link.symlink_to(write(tmp_path, source.file()))
    assert read_rustgpt_json(str(link))["vocab"]["words"] == WORDS
