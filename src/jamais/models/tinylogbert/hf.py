"""How does the line encoder look to the Hugging Face library?

`TinyLogBERT` wraps the very same network. It saves and loads with `save_pretrained` and `from_pretrained`, as one
folder that is replaced whole and verified on loading, and that `AutoTokenizer` and `AutoModel` read too. The
detectors and the feature memory that seed 000 draws into the folder come with a later issue.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from jamais.errors import CorruptStateError, ShapeMismatchError
from jamais.models.tinylogbert import pretrained
from jamais.models.tinylogbert.encoder import Encoder, EncoderShape, MaskedHead
from jamais.models.tinylogbert.line_encoder import EncoderSettings, LineEncoder
from jamais.models.tinylogbert.shown import ARCHITECTURE, MODEL_TYPE, SIZES, model_arrangement
from jamais.models.tinylogbert.vocabulary import PAD, VAR, Vocabulary
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.faces.arrangement import Arrangement
from jamais.persistence.faces.folder.torch_file import array_of, tensor_of
from jamais.types import StateTree


class TinyLogBERTConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a `TinyLogBERT`, under the names of BERT's configuration; the defaults are BERT-mini."""

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
    """`loss` (scalar, with labels), `logits` [n, length, vocabulary], `features` [n, width]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    features: Tensor | None = None


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
    ) -> TinyLogBERTOutput | tuple[Tensor, ...]:
        """Return logits, features and, with `labels` [n, length] (-100 = not asked), the masked loss.

        Features are the mean over pieces that carry text, and are always taken with dropout off.
        `token_type_ids` are accepted and ignored: there is one type.
        """
        real = (input_ids != PAD) if attention_mask is None else attention_mask.bool()
        hidden = self.encoder(input_ids, real)
        logits = self.encoder.guess(hidden)
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        features = _pooled(self._calm(input_ids, real) if self.training else hidden, input_ids, real)
        output = TinyLogBERTOutput(loss=loss, logits=logits, features=features)
        return output.to_tuple() if return_dict is False else output

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
            return {"config": config, "model": weights, "tokens": list(self.vocabulary.tokens)}

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
        loaded, tokens = pretrained.load(name, kwargs, lambda: read(str(name), *model_args, **kwargs))
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.vocabulary = Vocabulary(tokens, model.config.known_characters)
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
        return model

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Show a state as the folder that `save_pretrained` writes."""
        return model_arrangement(tree)

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.words

    def _calm(self, ids: Tensor, real: Tensor) -> Tensor:
        self.encoder.eval()
        try:
            with torch.no_grad():
                return self.encoder(ids, real)  # type: ignore[no-any-return]
        finally:
            self.encoder.train()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, MaskedHead):
            nn.init.zeros_(module.bias)


def _pooled(hidden: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """Average [n, length, width] over pieces that carry text, or over all real ones where none does."""
    carries = real & (ids >= VAR)
    carries = torch.where(carries.any(1, keepdim=True), carries, real)
    weights = carries.to(hidden.dtype)
    return torch.einsum("nlw,nl->nw", hidden, weights) / weights.sum(1, keepdim=True).clamp(min=1)


def _copies(tensors: dict[str, Tensor]) -> dict[str, AnyArray]:
    """Copy tensors to arrays; those that share their memory share one copy."""
    places = {name: (t.data_ptr(), t.dtype, t.shape, t.stride()) for name, t in tensors.items()}
    copied = {places[name]: array_of(tensor).copy() for name, tensor in tensors.items()}
    return {name: copied[place] for name, place in places.items()}


# This module is imported only by who asks for a TinyLogBERT; from then on AutoModel knows it, too.
AutoConfig.register(MODEL_TYPE, TinyLogBERTConfig, exist_ok=True)
AutoModel.register(TinyLogBERTConfig, TinyLogBERT, exist_ok=True)
