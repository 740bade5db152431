"""How does a masked log line become pieces, so that nothing is lost in [UNK]?

A WordPiece vocabulary over bytes: every line is cut into words, every word is written as its UTF-8 bytes, and
all 256 bytes are pieces themselves, at the start of a word (`b`) and inside one (`##b`). What the training
lines contain often becomes longer pieces; what they never contained falls back to bytes and stays distinct.
"""

from __future__ import annotations

import json
import math
import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jamais.errors import CorruptStateError, SettingsError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[VAR]")
PAD, UNK, CLS, SEP, MASK, VAR = range(len(SPECIAL))
N_SPECIAL = len(SPECIAL)
PLACEHOLDERS = ("<*>", "<secret>")
"""What the parser writes where a variable or a secret stood; both become [VAR]."""

SMALLEST_VOCABULARY = N_SPECIAL + 2 * 256
_LONGEST_WORD = 64  # characters; longer words are cut, or the greedy match would cost their length cubed
_PLACEHOLDER = re.compile("|".join(re.escape(text) for text in (*PLACEHOLDERS, SPECIAL[VAR])))


class Vocabulary:
    """Cut lines into piece ids; the same text gives the same ids for ever.

    `tokens` are the pieces in id order, `known_characters` the characters that the training lines contained.
    """

    def __init__(self, tokens: Sequence[str], known_characters: str) -> None:
        self.tokens = tuple(tokens)
        self.known_characters = known_characters
        self._known = frozenset(known_characters)
        self._tokenizer: Tokenizer | None = None
        self._lock = threading.Lock()
        if self.tokens[:N_SPECIAL] != SPECIAL or len(set(self.tokens)) != len(self.tokens):
            raise CorruptStateError(
                f"a vocabulary starts with {' '.join(SPECIAL)} and names each piece once, "
                f"got {' '.join(self.tokens[:N_SPECIAL])}: load an intact version"
            )

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def train(cls, texts: Sequence[str], counts: Sequence[int], size: int) -> Vocabulary:
        """Learn at most `size` pieces from distinct texts, each weighed by 1 + log2 of its count.

        Raise `SettingsError` if `size` has no room for the special tokens and all bytes.
        """
        from tokenizers.trainers import WordPieceTrainer

        if size < SMALLEST_VOCABULARY:
            raise SettingsError(
                f"vocabulary={size} is too small: the special tokens and all bytes need {SMALLEST_VOCABULARY}"
            )
        bare = cls(_byte_tokens(), "")
        # The byte pieces are named as special here only to pin their ids: the trainer would otherwise number
        # them in the order of a randomly seeded hash table, and two runs would differ.
        trainer = WordPieceTrainer(vocab_size=size, special_tokens=list(bare.tokens), show_progress=False)
        tokenizer = _pipeline(bare.tokens)
        tokenizer.train_from_iterator(_weighted(texts, counts), trainer)
        ids = tokenizer.get_vocab()
        return cls(sorted(ids, key=ids.__getitem__), "".join(sorted(set(_visible("".join(texts))))))

    @classmethod
    def of_bytes(cls) -> Vocabulary:
        """Make the smallest vocabulary: special tokens and bytes, nothing learned."""
        return cls(_byte_tokens(), "")

    def pieces(self, text: str) -> list[int]:
        """Cut one line into piece ids, without [CLS] and [SEP]."""
        ids: list[int] = self.tokenizer.encode(_encodable(text), add_special_tokens=False).ids
        return ids

    def unknown_share(self, text: str) -> float:
        """Tell which share of the visible characters the training lines never contained (0 for none)."""
        visible = _visible(text)
        if not visible:
            return 0.0
        return sum(character not in self._known for character in visible) / len(visible)

    @property
    def tokenizer(self) -> Tokenizer:
        """The pipeline of the `tokenizers` library, built at the first use."""
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = _pipeline(self.tokens)
            return self._tokenizer

    def to_json(self) -> dict[str, Any]:
        return {"tokens": list(self.tokens), "known_characters": self.known_characters}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Vocabulary:
        return cls(tree["tokens"], tree["known_characters"])

    def canonical_bytes(self) -> bytes:
        """The content in one fixed spelling, for digests."""
        return json.dumps(self.to_json(), ensure_ascii=True, sort_keys=True).encode()


def _byte_tokens() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    return [*SPECIAL, *letters, *("##" + letter for letter in letters)]


def _pipeline(tokens: Sequence[str]) -> Tokenizer:
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )

    vocabulary = {token: number for number, token in enumerate(tokens)}
    pipeline = Tokenizer(
        models.WordPiece(vocab=vocabulary, unk_token=SPECIAL[UNK], max_input_chars_per_word=4 * _LONGEST_WORD)
    )
    # Accents stay: stripping them would make two different words the same.
    bert = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=False, lowercase=True)
    to_variable = [normalizers.Replace(text, f" {SPECIAL[VAR]} ") for text in PLACEHOLDERS]
    pipeline.normalizer = normalizers.Sequence([*to_variable, bert])
    pipeline.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Split(Regex(f".{{1,{_LONGEST_WORD}}}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    pipeline.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(SPECIAL[CLS], CLS), (SPECIAL[SEP], SEP)],
    )
    pipeline.decoder = decoders.WordPiece()
    pipeline.add_special_tokens(list(SPECIAL[:VAR]))
    # Matched after normalisation, because the normaliser is what writes it.
    pipeline.add_tokens([AddedToken(SPECIAL[VAR], normalized=True, special=False)])
    # A log line that says "[PAD]" means the word, not the control token.
    pipeline.encode_special_tokens = True
    return pipeline


def _weighted(texts: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    for text, count in zip(texts, counts, strict=True):
        plain = _encodable(_PLACEHOLDER.sub(" ", text))
        for _ in range(1 + int(math.log2(max(count, 1)))):
            yield plain


def _visible(text: str) -> list[str]:
    plain = _PLACEHOLDER.sub("", text).lower()
    return [c for c in plain if not c.isspace() and unicodedata.category(c) not in {"Cc", "Cf"}]


def _encodable(text: str) -> str:
    # Lone surrogates (bytes kept by surrogateescape) have no UTF-8 form: spell them out instead of failing.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
