"""What does a JSON checkpoint of RustGPT-Chinese hold, and can all of it be believed?

Written from its serde structures (`src/model_serialization.rs` and `src/vocab.rs` of commit 73b48d5); untested
against a file that the Rust program itself made, which could not be compiled where this was written. Its binary
checkpoints are bincode of the same structures and are not read here: let that program write JSON first.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, InputError, StateError
from jamais.persistence import files
from jamais.types import StateTree

VERSION = 1
SPECIAL = ("<|pad|>", "<|unk|>", "<|bos|>", "</s>", "<|sep|>", "<|cls|>", "<|mask|>")


def read_rustgpt_json(path: str | os.PathLike[str]) -> StateTree:
    """Read a checkpoint that RustGPT-Chinese's `save_model_json` wrote, as a plain tree:

        config      width, hidden, n_layers, n_heads, max_length, dropout, norm_epsilon
        vocab       words, in the order of their ids
        model       name -> float32: token_embeddings [words, width],
                    blocks.N.attention.w_q|w_k|w_v|w_o [width, width],
                    blocks.N.feed_forward.w1 [width, hidden], b1 [hidden], w2 [hidden, width], b2 [width],
                    blocks.N.norm1|norm2.gamma|beta [width], w_out [width, words], b_out [words]
        optimizer   betas, eps, parameters: name -> m and v (shaped like the parameter), timestep
        context_window, training_info      as in the file

    Matrices are [inputs, outputs] and act from the right. The file is read whole, whatever its size. Raise InputError
    when it is not there, StateError for another format version, and CorruptStateError naming the field for
    all else: fields missing, unknown or given twice, shapes that do not fit each other (as those of an untouched
    `LLM::default()`, whose output has fewer words than its vocabulary), numbers that are not finite, settings that
    differ between blocks.
    """
    where = Path(os.path.realpath(path))
    if not where.exists():
        raise InputError(f"{path}: no such file: give the path of a RustGPT-Chinese JSON checkpoint")
    file = _Fields(_parse(files.read(where, limit=2**63), str(path)), str(path), "")
    version = file.take("version")
    if type(version) is not int or version != VERSION:
        raise StateError(f"{path}: RustGPT format version {str(version)[:20]}, this jamais reads {VERSION}")
    return _Checkpoint(file).tree()


class _Checkpoint:
    """The parts of one file, checked against each other as they are taken."""

    def __init__(self, file: _Fields) -> None:
        self.words = _words(file.inside("vocab"))
        self.model: dict[str, NDArray[np.float32]] = {}
        self.moments: dict[str, StateTree] = {}
        self.settings: dict[str, Any] = {}
        """Each with the value it had first; every later one must be equal."""
        layers = file.variants("layers")
        if len(layers) < 3:
            raise file.bad(
                "layers", f"wanted Embeddings, TransformerBlock…, OutputProjection, got {len(layers)} layers"
            )
        self.n_layers = len(layers) - 2
        self._embeddings(layers[0].of_kind("Embeddings"))
        for number, layer in enumerate(layers[1:-1]):
            self._block(layer.of_kind("TransformerBlock"), f"blocks.{number}")
        self._output(layers[-1].of_kind("OutputProjection"))
        self.context_window = file.take("context_window")
        if type(self.context_window) is not list or not all(_is_count(i, len(self.words)) for i in self.context_window):
            raise file.bad("context_window", f"wanted ids below {len(self.words)}")
        self.training_info = self._metadata(file.inside("metadata"))
        file.end()

    def tree(self) -> StateTree:
        names = ("width", "hidden", "n_heads", "max_length", "dropout", "norm_epsilon")
        adam = {"betas": [self.settings["beta1"], self.settings["beta2"]], "eps": self.settings["epsilon"]}
        return {
            "config": {"n_layers": self.n_layers} | {name: self.settings[name] for name in names},
            "vocab": {"words": self.words},
            "model": self.model,
            "optimizer": adam | {"parameters": self.moments},
            "context_window": self.context_window,
            "training_info": self.training_info,
        }

    def _embeddings(self, layer: _Fields) -> None:
        shape = layer.shape("token_embeddings_shape")
        self._agree(layer, "token_embeddings_shape", "width", shape[1])
        self._matrix(layer, "token_embeddings", "token_embeddings", (len(self.words), shape[1]), "token_optimizer")
        layer.end()

    def _block(self, layer: _Fields, block: str) -> None:
        width = self.settings["width"]
        attention = layer.inside("attention")
        self._agree(attention, "embedding_dim", "width", attention.whole("embedding_dim"))
        heads = attention.whole("num_heads")
        self._agree(attention, "num_heads", "n_heads", heads)
        if heads < 1 or heads * attention.whole("head_dim") != width:
            raise attention.bad("num_heads", f"heads times head_dim must be the width {width}")
        for name in ("w_q", "w_k", "w_v", "w_o"):
            self._matrix(attention, name, f"{block}.attention.{name}", (width, width))
        attention.end()
        forward = layer.inside("feed_forward")
        hidden = forward.shape("w1_shape")[1]
        self._agree(forward, "w1_shape", "hidden", hidden)
        for name, shape in (("w1", (width, hidden)), ("b1", (1, hidden)), ("w2", (hidden, width)), ("b2", (1, width))):
            self._matrix(forward, name, f"{block}.feed_forward.{name}", shape)
        forward.end()
        for number in (1, 2):
            self._norm(layer.inside(f"norm{number}"), f"{block}.norm{number}")
            dropout = layer.inside(f"dropout{number}")
            self._agree(dropout, "dropout_rate", "dropout", dropout.number("dropout_rate"))
            dropout.end()
        layer.end()

    def _norm(self, norm: _Fields, ours: str) -> None:
        self._agree(norm, "epsilon", "norm_epsilon", norm.number("epsilon"))
        for name in ("gamma", "beta"):
            self._matrix(norm, name, f"{ours}.{name}", (1, self.settings["width"]))
        norm.end()

    def _output(self, layer: _Fields) -> None:
        words = len(self.words)
        self._matrix(layer, "w_out", "w_out", (self.settings["width"], words), "optimizer")
        self._matrix(layer, "b_out", "b_out", (1, words), "optimizer_bias")
        layer.end()

    def _matrix(self, layer: _Fields, name: str, ours: str, shape: tuple[int, int], optimizer: str = "") -> None:
        """Take a matrix and the state of its Adam; those with one row become plain rows."""
        self.model[ours] = layer.matrix(name, shape)
        adam = layer.inside(optimizer or f"optimizer_{name}")
        self.moments[ours] = {key: adam.matrix(key, shape) for key in ("m", "v")} | {"timestep": adam.whole("timestep")}
        for key in ("beta1", "beta2", "epsilon"):
            self._agree(adam, key, key, adam.number(key))
        adam.end()

    def _metadata(self, metadata: _Fields) -> StateTree | None:
        self._agree(metadata, "embedding_dim", "width", metadata.whole("embedding_dim"))
        self._agree(metadata, "hidden_dim", "hidden", metadata.whole("hidden_dim"))
        for name, found in (("num_transformer_blocks", self.n_layers), ("vocab_size", len(self.words))):
            if metadata.whole(name) != found:
                raise metadata.bad(name, f"the file itself holds {found}")
        self.settings["max_length"] = metadata.whole("max_seq_len")
        if metadata.take("training_info", keep=True) is None:
            metadata.take("training_info")
            info = None
        else:
            fields = metadata.inside("training_info")
            info = {name: fields.whole(name) for name in ("total_epochs", "total_training_steps")}
            info |= {"last_learning_rate": fields.number("last_learning_rate")}  # type: ignore[dict-item]
            fields.end()
        metadata.end()
        return info

    def _agree(self, fields: _Fields, name: str, setting: str, value: float) -> None:
        first = self.settings.setdefault(setting, value)
        if value != first:
            raise fields.bad(name, f"is {value}, elsewhere in the file {first}: one model has one {setting}")


class _Fields:
    """One JSON object whose fields are taken one by one, until none may be left."""

    def __init__(self, value: object, file: str, where: str) -> None:
        self._file = file
        self._where = where
        if type(value) is not dict:
            raise self.bad("", f"wanted an object, got {type(value).__name__}")
        self._left: dict[str, Any] = dict(value)

    def bad(self, name: str, what: str) -> CorruptStateError:
        field = ".".join(part for part in (self._where, name) if part)
        return CorruptStateError(f"{self._file}: {field or 'the whole'}: {what}")

    def take(self, name: str, *, keep: bool = False) -> Any:
        if name not in self._left:
            raise self.bad(name, "is missing")
        return self._left[name] if keep else self._left.pop(name)

    def end(self) -> None:
        if self._left:
            raise self.bad(min(self._left), "is not a field of this format")

    def inside(self, name: str) -> _Fields:
        return _Fields(self.take(name), self._file, f"{self._where}.{name}".removeprefix("."))

    def variants(self, name: str) -> list[_Fields]:
        items = self.take(name)
        if type(items) is not list:
            raise self.bad(name, f"wanted a list, got {type(items).__name__}")
        return [_Fields(item, self._file, f"{name}[{number}]") for number, item in enumerate(items)]

    def of_kind(self, kind: str) -> _Fields:
        """Open serde's form of an enum: an object with the name of the variant as its only field."""
        if list(self._left) != [kind]:
            raise self.bad("", f"wanted {kind}, got {', '.join(self._left)[:60] or 'nothing'}")
        return self.inside(kind)

    def whole(self, name: str) -> int:
        value = self.take(name)
        if not _is_count(value, 2**63):
            raise self.bad(name, f"wanted a whole number, got {str(value)[:40]}")
        return int(value)

    def number(self, name: str) -> float:
        value = self.take(name)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.bad(name, f"wanted a finite number, got {str(value)[:40]}")
        return float(value)

    def shape(self, name: str) -> tuple[int, int]:
        """Look at a shape without taking it."""
        value = self.take(name, keep=True)
        if type(value) is not list or len(value) != 2 or not all(_is_count(side, 2**31) and side for side in value):
            raise self.bad(name, f"wanted two sizes, got {str(value)[:40]}")
        return value[0], value[1]

    def matrix(self, name: str, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Take NAME_shape and NAME_data; [1, n] comes as [n]. Nothing is allocated before the data are there."""
        found = self.shape(f"{name}_shape")
        del self._left[f"{name}_shape"]
        if found != shape:
            raise self.bad(f"{name}_shape", f"is {list(found)}, the rest of the file wants {list(shape)}")
        data = self.take(f"{name}_data")
        if type(data) is not np.ndarray:
            raise self.bad(f"{name}_data", "wanted a list of numbers; null stands for NaN or infinity")
        if data.size != math.prod(shape):
            raise self.bad(f"{name}_data", f"{data.size} numbers for the shape {list(shape)}")
        if not np.isfinite(data).all():
            raise self.bad(f"{name}_data", f"element {int(np.flatnonzero(~np.isfinite(data))[0])} is not finite")
        return data if shape[0] == 1 else data.reshape(shape)


def _words(vocab: _Fields) -> list[str]:
    """Take the vocabulary and return its words by id: `words` itself stands in the order of a Rust HashMap."""
    encode, decode, words = vocab.take("encode"), vocab.take("decode"), vocab.take("words")
    special = vocab.take("special_tokens")
    vocab.end()
    if type(encode) is not dict or type(decode) is not dict or type(words) is not list:
        raise vocab.bad("", "wanted encode and decode as objects and words as a list")
    by_id = [decode.get(str(number)) for number in range(len(decode))]
    if not all(type(word) is str and word for word in by_id):
        raise vocab.bad("decode", f"wanted a word for each id from 0 to {len(decode) - 1}")
    numbers = {word: number for number, word in enumerate(by_id)}
    if encode != numbers or len(numbers) != len(by_id):
        raise vocab.bad("encode", "is not the reverse of decode")
    if len(words) != len(by_id) or set(words) != set(by_id):
        raise vocab.bad("words", "are not those of decode")
    if special != {token: number for number, token in enumerate(SPECIAL)} or by_id[: len(SPECIAL)] != list(SPECIAL):
        raise vocab.bad("special_tokens", f"wanted {' '.join(SPECIAL)} with ids 0 to {len(SPECIAL) - 1}")
    return [str(word) for word in by_id]


def _parse(data: bytes, where: str) -> Any:
    """Read JSON; each list under a key …_data becomes float32 at once, or 18 million floats would stand as objects."""

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        built = {key: _numbers(value) if key.endswith("_data") else value for key, value in pairs}
        if len(built) != len(pairs):
            twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
            raise CorruptStateError(f"{where}: {twice[:60]!r} stands twice in one object")
        return built

    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=build)
    except CorruptStateError:
        raise
    except RecursionError:
        raise CorruptStateError(f"{where}: JSON nested too deeply for a checkpoint") from None
    except ValueError as error:  # not UTF-8, not JSON, or an integer of more digits than Python converts
        raise CorruptStateError(f"{where}: not readable as JSON ({error})") from None


def _numbers(value: Any) -> Any:
    if type(value) is not list or not set(map(type, value)) <= {int, float}:
        return value
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused by name
            return np.array(value, dtype=np.float64).astype(np.float32)
    except OverflowError:
        return value


def _is_count(value: object, limit: int) -> bool:
    return type(value) is int and 0 <= value < limit
