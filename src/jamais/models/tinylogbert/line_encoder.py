"""How does a masked log line become a vector whose bits depend on nothing but the line?

Every line runs through the network alone, in the shape its own length gives it: a matrix product may round
differently in another shape, so a batch would leak into the bits. A cache makes each distinct line cost once.
Lines are read in numpy, one thread; torch is imported for training alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jamais.errors import CorruptStateError, SettingsError
from jamais.models.tinylogbert.inference import hidden_vectors, one_blas_thread
from jamais.models.tinylogbert.vocabulary import CLS, MASK, N_SPECIAL, PAD, SEP, SPECIAL, Vocabulary
from jamais.types import CancelToken, Floats, Listener, StateTree, Vectors, silent

if TYPE_CHECKING:
    from jamais.learning.checkpoints import Checkpoints
    from jamais.models.tinylogbert.encoder import Encoder, EncoderShape
    from jamais.persistence.faces.arrangement import Arrangement

_MOST_WINDOWS = 8  # a line of more pieces (8 x 126) is judged by its beginning
_MOST_CHARACTERS = 16_384  # more than the windows can hold, but bounded before the tokenizer sees it


@dataclass(frozen=True)
class EncoderSettings:
    """Sizes and training of a `LineEncoder`; raise `SettingsError` on nonsense."""

    layers: int = 4
    """Blocks; 4 is BERT-mini."""
    width: int = 256
    """Numbers per vector; 256 is BERT-mini."""
    heads: int = 4
    """Attention heads; must divide the width."""
    inner: int = 1024
    """Width between the two maps of a block, four times the width as in BERT."""
    max_pieces: int = 128
    """Pieces per window, [CLS] and [SEP] included; a longer line is the mean of up to 8 windows."""
    vocabulary: int = 2500
    """Most pieces to know; 518 are special tokens and bytes, the rest is learned from the lines."""
    steps: int = 150
    """Training updates, about 0.3 CPU-seconds each; 0 keeps the random network, which still tells apart."""
    batch: int = 64
    """Lines per update (at most 16 pieces each; longer ones in smaller batches of equal cost)."""
    learning_rate: float = 5e-4
    """Highest rate of AdamW; small networks bear five times BERT's."""
    mask_share: float = 0.2
    """Share of pieces hidden while training; above BERT's 15 % since log lines are short."""
    cache_size: int = 8192
    """Vectors kept for lines already seen; 8,192 of width 256 are 8 MiB."""
    device: str = "auto"
    """Where to compute: `cpu`, `cuda` or `auto` (cuda where there is one). Weights are kept on the CPU."""

    threads: int = 1
    """CPU threads while training; one is repeatable on any machine and does not stall on a busy one."""

    def __post_init__(self) -> None:
        positive = ("layers", "width", "heads", "inner", "batch", "cache_size", "threads")
        for name in positive:
            if getattr(self, name) < 1:
                raise SettingsError(f"encoder.{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.heads:
            raise SettingsError(f"encoder.width={self.width} must be a multiple of heads={self.heads}")
        if self.max_pieces < 8 or self.steps < 0:
            raise SettingsError(f"encoder wants max_pieces >= 8 and steps >= 0, got {self.max_pieces}, {self.steps}")
        if not 0.0 < self.mask_share < 1.0 or not self.learning_rate > 0.0:
            raise SettingsError("encoder wants 0 < mask_share < 1 and learning_rate > 0")


class LineEncoder:
    """Turn masked log lines into vectors. Make one with `train` or `from_state`."""

    def __init__(
        self, settings: EncoderSettings, vocabulary: Vocabulary, weights: dict[str, NDArray[np.float32]]
    ) -> None:
        self.settings = settings
        self.vocabulary = vocabulary
        self.losses: list[float] = []
        """Loss of each training step, for whoever trained; not part of the state."""
        self._weights = weights
        self._digest = ""
        self._network: Encoder | None = None
        self._cache: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def train(
        cls,
        texts: Sequence[str],
        counts: Sequence[int],
        *,
        settings: EncoderSettings,
        seed: int,
        listener: Listener = silent,
        cancel: CancelToken | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> LineEncoder:
        """Learn vocabulary and network from distinct `texts`, drawn in proportion to 1 + ln(count).

        With `checkpoints` of the same training it goes on where they end. Raise `SettingsError` without texts,
        `Cancelled` when `cancel` is set, `StateError` when the checkpoints are of another training.
        """
        import torch

        from jamais.learning import pretraining
        from jamais.learning.masked_batches import PieceCodes
        from jamais.learning.threads import cpu_threads
        from jamais.models.tinylogbert.encoder import Encoder

        if not texts:
            raise SettingsError("the encoder needs at least one line to learn from, got none")
        vocabulary = Vocabulary.train(texts, counts, settings.vocabulary)
        with torch.device("meta"):
            network = Encoder(_shape(settings, len(vocabulary)))
        network.to_empty(device="cpu")
        network.initialise(torch.Generator().manual_seed(seed))
        network.to(_device(settings.device))
        encoder = cls(settings, vocabulary, {})
        lines = encoder._training_lines(texts, counts)
        codes = PieceCodes(pad=PAD, mask=MASK, first_ordinary=N_SPECIAL, size=len(vocabulary))
        plan = pretraining.PretrainingSettings(
            settings.steps, settings.batch, settings.learning_rate, settings.mask_share
        )
        with cpu_threads(settings.threads):
            encoder.losses = pretraining.pretrain(
                network, *lines, codes, plan, seed=seed + 1, listener=listener, cancel=cancel, checkpoints=checkpoints
            )
        encoder._weights = {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}
        return encoder

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one vector per text, [n, width] float32: the mean over its pieces, dropout off."""
        vectors = np.empty((len(texts), self.settings.width), dtype=np.float32)
        with one_blas_thread():
            for row, text in enumerate(texts):
                vectors[row] = self._vector(text)
        return vectors

    def unknown_share(self, texts: Sequence[str]) -> Floats:
        """Return for each text, [n], the share of visible characters that no training line contained."""
        return np.array([self.vocabulary.unknown_share(text) for text in texts], dtype=np.float64)

    @property
    def digest(self) -> str:
        """Name this encoder: sha256 over sizes, vocabulary and weights. Settings of training do not count."""
        if not self._digest:
            self._digest = _digest(self.settings, self.vocabulary, self._weights)
        return self._digest

    def state_dict(self) -> StateTree:
        """Return numpy arrays and JSON; no torch is needed to write or read it."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "vocabulary": self.vocabulary.to_json(),
            "weights": {name: array.copy() for name, array in self._weights.items()},
        }

    @classmethod
    def from_state(cls, tree: StateTree) -> LineEncoder:
        """Make the encoder of a state without torch; raise `CorruptStateError` for weights that do not fit."""
        try:
            settings = EncoderSettings(**tree["settings"])
            vocabulary = Vocabulary.from_json(tree["vocabulary"])
            weights = {name: np.array(array, dtype=np.float32) for name, array in tree["weights"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptStateError(f"not the state of a LineEncoder ({error}): load another version") from None
        _check_shapes(settings, len(vocabulary), weights)
        return cls(settings, vocabulary, weights)

    def to_state(self) -> StateTree:
        """Return all that makes this encoder; the cache of vectors is none of it."""
        return self.state_dict()

    @classmethod
    def arrangement(cls, tree: StateTree) -> Arrangement:
        """Show a state as a folder that `TinyLogBERT.from_pretrained` and `AutoTokenizer` read."""
        from jamais.models.tinylogbert.shown import encoder_arrangement

        return encoder_arrangement(tree)

    def _vector(self, text: str) -> Vectors:
        with self._lock:
            known = self._cache.get(text)
            if known is not None:
                self._cache.move_to_end(text)
                return known
        vector = self._compute(text)
        with self._lock:
            self._cache[text] = vector
            while len(self._cache) > self.settings.cache_size:
                self._cache.popitem(last=False)
        return vector

    def _compute(self, text: str) -> Vectors:
        total = np.zeros(self.settings.width, dtype=np.float64)
        n_pooled = 0
        for window in self._windows(text):
            hidden = hidden_vectors(self._weights, window, layers=self.settings.layers, heads=self.settings.heads)
            pooled = hidden[1:-1] if len(window) > 2 else hidden  # an empty line has control tokens only
            total += pooled.sum(axis=0, dtype=np.float64)
            n_pooled += len(pooled)
        vector: Vectors = (total / n_pooled).astype(np.float32)
        vector.flags.writeable = False
        return vector

    def _windows(self, text: str) -> list[list[int]]:
        room = self.settings.max_pieces - 2
        pieces = self.vocabulary.pieces(text[:_MOST_CHARACTERS])[: room * _MOST_WINDOWS]
        starts = range(0, max(len(pieces), 1), room)
        return [[CLS, *pieces[start : start + room], SEP] for start in starts]

    def _training_lines(self, texts: Sequence[str], counts: Sequence[int]) -> tuple[list[list[int]], list[float]]:
        lines: list[list[int]] = []
        weights: list[float] = []
        for text, count in zip(texts, counts, strict=True):
            windows = self._windows(text)
            lines.extend(windows)
            weights.extend([1.0 + math.log(max(count, 1))] * len(windows))
        return lines, weights

    @property
    def network(self) -> Encoder:
        """The torch module in evaluation mode, built from the kept weights at the first use."""
        with self._lock:
            if self._network is None:
                self._network = _build(self.settings, len(self.vocabulary), self._weights)
            return self._network


def _shape(settings: EncoderSettings, n_pieces: int) -> EncoderShape:
    from jamais.models.tinylogbert.encoder import EncoderShape

    return EncoderShape(
        vocabulary=n_pieces,
        width=settings.width,
        layers=settings.layers,
        heads=settings.heads,
        inner=settings.inner,
        positions=settings.max_pieces,
    )


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def _build(settings: EncoderSettings, n_pieces: int, weights: dict[str, NDArray[np.float32]]) -> Encoder:
    import torch

    from jamais.models.tinylogbert.encoder import Encoder

    with torch.device("meta"):
        network = Encoder(_shape(settings, n_pieces))
    network.load_state_dict(
        {name: torch.from_numpy(array.copy()) for name, array in weights.items()}, strict=True, assign=True
    )
    network.requires_grad_(False).eval()
    return network.to(_device(settings.device))


def _check_shapes(settings: EncoderSettings, n_pieces: int, weights: dict[str, NDArray[np.float32]]) -> None:
    """Raise CorruptStateError for the first weight that is missing, too many or of another shape."""
    width, inner = settings.width, settings.inner
    wanted: dict[str, tuple[int, ...]] = {
        "words.weight": (n_pieces, width),
        "positions.weight": (settings.max_pieces, width),
        "head.bias": (n_pieces,),
        **_linear_shapes("head.dense", width, width),
        **_norm_shapes("head.norm", width),
        **_norm_shapes("norm", width),
    }
    for block in (f"blocks.{layer}" for layer in range(settings.layers)):
        wanted |= _linear_shapes(f"{block}.mixed", width, 3 * width) | _linear_shapes(f"{block}.output", width, width)
        wanted |= _linear_shapes(f"{block}.widen", width, inner) | _linear_shapes(f"{block}.narrow", inner, width)
        wanted |= _norm_shapes(f"{block}.attention_norm", width) | _norm_shapes(f"{block}.final_norm", width)
    for name in sorted(wanted.keys() | weights.keys()):
        saved = weights[name].shape if name in weights else None
        if saved != wanted.get(name):
            raise CorruptStateError(
                f"encoder.weights.{name}: saved {saved}, here {wanted.get(name)}: load another version"
            )


def _linear_shapes(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _digest(settings: EncoderSettings, vocabulary: Vocabulary, weights: dict[str, Any]) -> str:
    sizes = {name: getattr(settings, name) for name in ("layers", "width", "heads", "inner", "max_pieces")}
    total = hashlib.sha256(json.dumps([sizes, SPECIAL], sort_keys=True).encode())
    total.update(vocabulary.canonical_bytes())
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], dtype="<f4")
        total.update(f"{name}{array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
