"""How does the line encoder look to the Hugging Face library?

`TinyLogBERT` wraps the very same network. It saves and loads with `save_pretrained` and `from_pretrained`, as one
folder that is replaced whole and verified on loading, and that `AutoTokenizer` and `AutoModel` read too. Detectors and
the memory of normal features live in `anomaly/`; they are saved, loaded and updated with the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from jamais.detectors.detector import Detector
from jamais.errors import CorruptStateError, SettingsError, ShapeMismatchError
from jamais.memory.incoming import checked_rows
from jamais.models.tinylogbert import pretrained
from jamais.models.tinylogbert.anomaly import CONTAMINATION, FIT_MEMORY_SIZE, AnomalyMethods, anomaly_state
from jamais.models.tinylogbert.anomaly.alone import dropout_off, hidden_alone, masked_losses, pooled
from jamais.models.tinylogbert.anomaly.state import anomaly_methods_of
from jamais.models.tinylogbert.encoder import Encoder, EncoderShape, MaskedHead
from jamais.models.tinylogbert.line_encoder import EncoderSettings, LineEncoder
from jamais.models.tinylogbert.shown import ARCHITECTURE, MODEL_TYPE, SIZES, model_arrangement
from jamais.models.tinylogbert.vocabulary import PAD, Vocabulary
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.faces.arrangement import Arrangement
from jamais.persistence.faces.folder.torch_file import array_of, tensor_of
from jamais.types import StateTree, Vectors


class TinyLogBERTConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a `TinyLogBERT`, under the names of BERT's configuration; the defaults are BERT-mini.

    `fit_memory_size` is the most normal lines that are remembered (10,000 by default; a new value holds from the next
    update on), `contamination` the share of them above the threshold.
    """

    model_type = MODEL_TYPE

    def __init__(
        self,
        vocab_size: int = EncoderSettings.vocabulary,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int = 1024,
        max_position_embeddings: int = 128,
        hidden_dropout_prob: float = 0.1,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        pad_token_id: int = PAD,
        known_characters: str = "",
        fit_memory_size: int = FIT_MEMORY_SIZE,
        contamination: float = CONTAMINATION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pad_token_id = pad_token_id
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size
        self.max_position_embeddings = max_position_embeddings
        self.hidden_dropout_prob = hidden_dropout_prob
        self.layer_norm_eps = layer_norm_eps
        self.initializer_range = initializer_range
        self.known_characters = known_characters
        self.fit_memory_size = fit_memory_size
        self.contamination = contamination

    def shape(self) -> EncoderShape:
        return EncoderShape(
            vocabulary=self.vocab_size,
            width=self.hidden_size,
            layers=self.num_hidden_layers,
            heads=self.num_attention_heads,
            inner=self.intermediate_size,
            positions=self.max_position_embeddings,
            dropout=self.hidden_dropout_prob,
            norm_epsilon=self.layer_norm_eps,
        )


@dataclass
class TinyLogBERTOutput(ModelOutput):
    """`loss` (scalar, with labels), `logits` [n, length, vocabulary], `features` [n, width] without gradient.

    `anomaly_scores` [n] (float64, higher is more abnormal) and `is_anomaly` [n] are those of the detection method in
    use. Scores are None while too little is remembered and where nothing is judged (`model.train()`,
    `training_phase=True`), `is_anomaly` also before the first `fit`.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    features: Tensor | None = None
    anomaly_scores: Tensor | None = None
    is_anomaly: Tensor | None = None


class TinyLogBERT(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A masked-language BERT-mini whose `features` are vectors of log lines.

    Make one from a configuration, from a trained `LineEncoder`, or with `from_pretrained`.
    """

    config_class = TinyLogBERTConfig
    base_model_prefix = "encoder"

    def __init__(self, config: TinyLogBERTConfig, vocabulary: Vocabulary | None = None) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.shape())
        self.vocabulary = vocabulary or Vocabulary.of_bytes()
        self.anomaly = AnomalyMethods(config.fit_memory_size, config.contamination)
        if len(self.vocabulary) > config.vocab_size:
            raise ShapeMismatchError(
                f"config.vocab_size is {config.vocab_size}, the vocabulary has {len(self.vocabulary)}: raise vocab_size"
            )
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def from_line_encoder(cls, source: LineEncoder) -> TinyLogBERT:
        """Copy a trained line encoder, weights and vocabulary."""
        sizes = {theirs: getattr(source.settings, ours) for theirs, ours in SIZES.items()}
        config = TinyLogBERTConfig(
            vocab_size=len(source.vocabulary),
            known_characters=source.vocabulary.known_characters,
            **sizes,
        )
        model = cls(config, source.vocabulary)
        model.encoder.load_state_dict(source.network.state_dict())
        model.train(False)
        return model

    def to_line_encoder(self) -> LineEncoder:
        """Copy this model as a `LineEncoder`, which computes each line alone and needs no transformers."""
        sizes = {ours: getattr(self.config, theirs) for theirs, ours in SIZES.items()}
        if len(self.vocabulary) != self.config.vocab_size:
            raise ShapeMismatchError(
                f"config.vocab_size is {self.config.vocab_size}, the vocabulary has {len(self.vocabulary)}: "
                "a LineEncoder wants them equal"
            )
        weights = {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.encoder.state_dict().items()}
        return LineEncoder(EncoderSettings(vocabulary=len(self.vocabulary), **sizes), self.vocabulary, weights)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        return_dict: bool | None = None,
        training_phase: bool = False,
        update_memory: bool = False,
    ) -> TinyLogBERTOutput | tuple[Tensor, ...]:
        """Return logits, features, with `labels` [n, length] (-100 = not asked) the masked loss, and scores.

        Features are the mean over pieces that carry text, always with dropout off; unless the model is in training
        mode, their bits and those of the scores depend on the line alone. With `training_phase` nothing is judged;
        with `update_memory` as well the lines are remembered as normal. `token_type_ids` are ignored.
        """
        if update_memory and not training_phase:
            raise SettingsError(
                "update_memory=True goes with training_phase=True: judging lines never changes what is remembered"
            )
        real = (input_ids != PAD) if attention_mask is None else attention_mask.bool()
        alone = not self.training or update_memory
        hidden, features = hidden_alone(self.encoder, input_ids, real) if alone else (None, None)
        if hidden is None or self.training or torch.is_grad_enabled():
            hidden = self.encoder(input_ids, real)
        if features is None:
            features = self._calm(input_ids, real)
        logits = self.encoder.guess(hidden)
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        output = TinyLogBERTOutput(loss=loss, logits=logits, features=features)
        if update_memory:
            losses = masked_losses(self.encoder, input_ids, real)
            self.anomaly.learn(_rows(features), losses, self.config.fit_memory_size)
        elif not (self.training or training_phase):
            self._judge(output, input_ids, real)
        return output.to_tuple() if return_dict is False else output

    @property
    def anomaly_methods(self) -> dict[str, Detector]:
        """The detectors by method: knn, cluster, lof, iforest, reconstruction. They share one memory."""
        return self.anomaly.detectors

    def set_detection_method(self, method: str) -> None:
        """Judge lines by one of `anomaly_methods` from now on, or by all together: `ensemble`. Nothing is refitted."""
        self.anomaly.use(method)

    def remember_abnormal(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, token_type_ids: Tensor | None = None
    ) -> None:
        """Remember a few typical abnormal lines, never as normal: they sharpen the boundary of every method."""
        real = (input_ids != PAD) if attention_mask is None else attention_mask.bool()
        features = hidden_alone(self.encoder, input_ids, real)[1]
        self.anomaly.learn_abnormal(_rows(features), masked_losses(self.encoder, input_ids, real))

    def save_pretrained(  # type: ignore[override]  # the seed's signature
        self, save_directory: str | PathLike[str], save_config: bool = True, **kwargs: Any
    ) -> None:
        """Replace a folder by this model, whole or not at all; `kwargs` are those of the library's own method.

        `safe_serialization=False` writes pytorch_model.bin of plain tensors in place of model.safetensors;
        `save_config=False` writes no config.json and leaves one that is there alone. Files of others stay.
        """
        self.config.known_characters = self.vocabulary.known_characters
        push = pretrained.hub_words(kwargs, save_directory)

        def state_of(folder: Path, arrays: dict[str, AnyArray]) -> StateTree:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            known = [name for name in self.state_dict() if name in arrays]  # the files have an order of their own
            weights = {name: arrays[name] for name in [*known, *sorted(arrays.keys() - set(known))]}
            tokens = list(self.vocabulary.tokens)
            return {"config": config, "model": weights, "tokens": tokens, "anomaly": anomaly_state(self.anomaly)}

        pretrained.save(save_directory, super().save_pretrained, state_of, kwargs, save_config=save_config)
        if push is not None:
            self.push_to_hub(**push)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the seed's signature
        cls, pretrained_model_name_or_path: str | PathLike[str], *model_args: Any, **kwargs: Any
    ) -> Any:
        """Load what `save_pretrained` wrote, vocabulary included; arguments are those of the library.

        Raise CorruptStateError naming the file and the tensor when a byte is not what was written; a folder
        without a manifest, as other programs write it, is a warning.
        """
        name, read = pretrained_model_name_or_path, super().from_pretrained
        loaded, found = pretrained.load(name, kwargs, lambda where: read(where, *model_args, **kwargs))
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.vocabulary = Vocabulary(found.tokens, model.config.known_characters)
        model._remember(found.anomaly, found.features)
        return loaded

    def to_state(self) -> StateTree:
        """Return configuration, weights and vocabulary as JSON values and numpy arrays of the same bits."""
        config = json.loads(self.config.to_json_string())
        known = {"architectures": [ARCHITECTURE], "dtype": str(self.dtype).removeprefix("torch.")}
        known["known_characters"] = self.vocabulary.known_characters
        return {
            "config": dict(sorted({**config, **known}.items())),
            "model": _copies(self.state_dict()),
            "tokens": list(self.vocabulary.tokens),
            "anomaly": anomaly_state(self.anomaly),
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> TinyLogBERT:
        """Make the model of a state; raise CorruptStateError for weights that do not fit."""
        config = TinyLogBERTConfig.from_dict(tree["config"])
        with torch.device("meta"):  # no weight is drawn only to be replaced
            model = cls(config, Vocabulary(tree["tokens"], config.known_characters))
        try:
            own = {id(array): tensor_of(array.copy()) for array in tree["model"].values()}
            weights = {name: own[id(array)] for name, array in tree["model"].items()}  # what is tied stays tied
            model.load_state_dict(weights, strict=True, assign=True)
        except RuntimeError as error:
            raise CorruptStateError(f"not the state of a TinyLogBERT ({error}): load another version") from None
        model.tie_weights()
        model.train(False)
        model._remember(tree.get("anomaly"), pretrained.features_of(tree))
        return model

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Show a state as the folder that `save_pretrained` writes."""
        return model_arrangement(tree)

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.words

    def _judge(self, output: TinyLogBERTOutput, ids: Tensor, real: Tensor) -> None:
        if output.features is None or not len(self.anomaly.memory):
            return
        losses = masked_losses(self.encoder, ids, real) if self.anomaly.wants_losses else None
        verdict = self.anomaly.judge(_rows(output.features), losses)
        if verdict is not None:
            output.anomaly_scores = torch.from_numpy(verdict.scores).to(ids.device)
        if verdict is not None and verdict.abnormal is not None:
            output.is_anomaly = torch.from_numpy(verdict.abnormal).to(ids.device)

    def _calm(self, ids: Tensor, real: Tensor) -> Tensor:
        longest = int(real.any(0).nonzero().max()) + 1 if bool(real.any()) else 1  # padding costs what pieces cost
        ids, real = ids[:, :longest], real[:, :longest]
        with torch.no_grad(), dropout_off(self.encoder):
            return pooled(self.encoder(ids, real), ids, real)

    def _remember(self, anomaly: StateTree | None, features: Mapping[str, AnyArray]) -> None:
        """Take over memory and detectors from a state, or from the feature files of another program."""
        if anomaly is not None:
            self.anomaly = anomaly_methods_of(anomaly, self.config.hidden_size)
        elif features:
            self.anomaly.adopt(features, self.config.hidden_size)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, MaskedHead):
            nn.init.zeros_(module.bias)


def _rows(features: Tensor) -> Vectors:
    """Copy features [n, width] as the finite float32 that a memory holds; raise `InputError` for others."""
    return checked_rows(features, None, "TinyLogBERT")


def _copies(tensors: dict[str, Tensor]) -> dict[str, AnyArray]:
    """Copy tensors to arrays; those that share their memory share one copy."""
    places = {name: (t.data_ptr(), t.dtype, t.shape, t.stride()) for name, t in tensors.items()}
    copied = {places[name]: array_of(tensor).copy() for name, tensor in tensors.items()}
    return {name: copied[place] for name, place in places.items()}


# This module is imported only by who asks for a TinyLogBERT; from then on AutoModel knows it, too.
AutoConfig.register(MODEL_TYPE, TinyLogBERTConfig, exist_ok=True)
AutoModel.register(TinyLogBERTConfig, TinyLogBERT, exist_ok=True)
