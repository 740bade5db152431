"""How is an encoder shown in a folder, so that the Hugging Face library reads it?

Nothing here needs that library: a watcher is saved where it is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jamais.models.tinylogbert.vocabulary import MASK, PAD, SPECIAL, UNK, Vocabulary
from jamais.persistence.faces.arrangement import Arrangement, Weights
from jamais.types import StateTree

ARCHITECTURE = "TinyLogBERT"
MODEL_TYPE = "tinylogbert"
SIZES = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "inner",
    "max_position_embeddings": "max_pieces",
}
"""BERT's name for each size -> ours."""
_CONSTANTS = {
    "architectures": [ARCHITECTURE],
    "dtype": "float32",
    "hidden_dropout_prob": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "model_type": MODEL_TYPE,
    "pad_token_id": PAD,
}


def encoder_arrangement(tree: StateTree, above: str = "") -> Arrangement:
    """Show the state of a `LineEncoder`, which lies at the path `above` of a larger one."""
    vocabulary = Vocabulary.from_json(tree["vocabulary"])
    return Arrangement(
        weights=Weights(f"{above}/weights", "encoder."),
        derived={
            "config.json": _text(encoder_config(tree["settings"], vocabulary)),
            **tokenizer_texts(vocabulary, tree["settings"]["max_pieces"]),
        },
        tokens=vocabulary.tokens,
    )


def model_arrangement(tree: StateTree, parts: Mapping[str, str] | None = None) -> Arrangement:
    """Show the state of a `TinyLogBERT`; `parts` {} leaves config.json out."""
    config = tree["config"]
    vocabulary = Vocabulary(tree["tokens"], config["known_characters"])
    anomaly = tree.get("anomaly", {})
    return Arrangement(
        weights=Weights("/model"),
        parts={**({"config.json": "/config"} if parts is None else parts), **_detector_parts(anomaly)},
        arrays=_feature_files(anomaly),
        derived=tokenizer_texts(vocabulary, config["max_position_embeddings"]),
        tokens=vocabulary.tokens,
    )


def _detector_parts(anomaly: StateTree) -> dict[str, str]:
    if not anomaly:
        return {}
    return {
        "detectors/detector_config.json": "/anomaly/config",
        "detectors/ensemble_performance.json": "/anomaly/ensemble",
        **{f"detectors/{name}_params.json": f"/anomaly/detectors/{name}" for name in anomaly["detectors"]},
    }


def _feature_files(anomaly: StateTree) -> dict[str, str]:
    """Show the rows of the memory as the features of each detector: they share it, so one file holds them all."""
    if not anomaly or not len(anomaly["memory"]["normal"]["rows"]):
        return {}
    return {f"detectors/{name}_features.npy": "/anomaly/memory/normal/rows" for name in anomaly["detectors"]}


def encoder_config(settings: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Say in the words of config.json what `TinyLogBERTConfig` has to know of an encoder."""
    sizes = {theirs: settings[ours] for theirs, ours in SIZES.items()}
    known = {"vocab_size": len(vocabulary), "known_characters": vocabulary.known_characters}
    return dict(sorted({**_CONSTANTS, **sizes, **known}.items()))


def tokenizer_texts(vocabulary: Vocabulary, max_pieces: int) -> dict[str, bytes]:
    """Write tokenizer.json and tokenizer_config.json; vocab.txt is made of the tokens by whoever saves."""
    names = {
        "unk": UNK,
        "mask": MASK,
        "pad": PAD,
        "cls": SPECIAL.index("[CLS]"),
        "sep": SPECIAL.index("[SEP]"),
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_pieces,
        "model_input_names": ["input_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **{f"{name}_token": SPECIAL[number] for name, number in names.items()},
    }
    pipeline: str = vocabulary.tokenizer.to_str(pretty=True)
    return {"tokenizer.json": pipeline.encode(), "tokenizer_config.json": _text(config)}


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
