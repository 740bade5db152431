"""How does the line encoder look to the Hugging Face library?

`TinyLogBERT` wraps the very same network. It saves and loads with `save_pretrained` and `from_pretrained`,
and writes its vocabulary beside the weights, so that `AutoTokenizer.from_pretrained` reads the folder too.
The detectors and the feature memory that seed 000 draws into the folder come with a later issue.
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
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from jamais.errors import InputError, ShapeMismatchError
from jamais.models.tinylogbert.encoder import Encoder, EncoderShape, MaskedHead
from jamais.models.tinylogbert.line_encoder import EncoderSettings, LineEncoder
from jamais.models.tinylogbert.vocabulary import MASK, PAD, SPECIAL, UNK, VAR, Vocabulary

_SIZES = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "inner",
    "max_position_embeddings": "max_pieces",
}


class TinyLogBERTConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of a `TinyLogBERT`, under the names of BERT's configuration; the defaults are BERT-mini."""

    model_type = "tinylogbert"

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
        sizes = {theirs: getattr(source.settings, ours) for theirs, ours in _SIZES.items()}
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
        sizes = {ours: getattr(self.config, theirs) for theirs, ours in _SIZES.items()}
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
        """Write weights, configuration and vocabulary files; `kwargs` go to the library's own method."""
        self.config.known_characters = self.vocabulary.known_characters
        super().save_pretrained(str(save_directory), **kwargs)
        folder = Path(save_directory)
        if not save_config:
            (folder / "config.json").unlink(missing_ok=True)
        _write_vocabulary(folder, self.vocabulary, self.config.max_position_embeddings)

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the seed's signature
        cls, pretrained_model_name_or_path: str | PathLike[str], *model_args: Any, **kwargs: Any
    ) -> Any:
        """Load what `save_pretrained` wrote, vocabulary included; arguments are those of the library."""
        loaded = super().from_pretrained(str(pretrained_model_name_or_path), *model_args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        listing = Path(pretrained_model_name_or_path) / "vocab.txt"
        if not listing.is_file():
            raise InputError(f"{listing} is missing: save the model again with save_pretrained")
        tokens = listing.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        model.vocabulary = Vocabulary(tokens, model.config.known_characters)
        return loaded

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


def _write_vocabulary(folder: Path, vocabulary: Vocabulary, max_pieces: int) -> None:
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
    (folder / "vocab.txt").write_text("\n".join(vocabulary.tokens) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(vocabulary.tokenizer.to_str(pretty=True), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
