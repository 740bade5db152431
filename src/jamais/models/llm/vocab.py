"""Which number stands for which word, so that no character of any text is lost?

Ids 0-6 are the special tokens of RustGPT-Chinese, then come the 256 bytes, then the words. A character that is
in no word is spelled as its UTF-8 bytes: single characters as fall-back would need 150,000 ids to close the same
gap, bytes need 256. Reading needs no dictionary: a Chinese run is cut into the fewest known words, so a
saved vocabulary reads alike on every machine, whatever found its words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from jamais.errors import CorruptStateError, InputError
from jamais.models.llm.words import LONGEST_MATCH, fewest, is_run, is_spaced, pieces, words_of
from jamais.types import StateTree

SPECIAL = ("<|pad|>", "<|unk|>", "<|bos|>", "</s>", "<|sep|>", "<|cls|>", "<|mask|>")
PAD, UNK, BOS, EOS, SEP, CLS, MASK = range(len(SPECIAL))
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_UNKNOWN = "\ufffd"

# RustGPT's Vocab::default_words().
_DEFAULT_WORDS = (
    "hello world this is rust the a an and or but in on at to for of with by from up about into through during "
    "before after above below between among as if when where why how all any both each few more most other some "
    "such no nor not only own same so than too very can will just don should now"
)


class Vocab:
    """Words with their numbers; `decode(encode(text)) == text` for every text.

        words: set[str] = set()
        Vocab.process_text_for_vocab(texts, words)
        vocab = Vocab(sorted(words))

    `words` keep their order; a set, which has none, is sorted. Special tokens and bytes come before them and a word
    given twice counts once. A text that says `</s>` means these four characters, never the token. Without
    `byte_fallback` (vocabularies of other programs) unknown characters become `<|unk|>` and white space is lost.
    """

    def __init__(self, words: Iterable[str], *, byte_fallback: bool = True) -> None:
        if isinstance(words, str):
            raise InputError("Vocab wants a list of words, got one str: put it in a list")
        self.words: list[str] = []
        """All words in the order of their ids."""
        self.byte_fallback = byte_fallback
        self._ids: dict[str, int] = {}
        self._lengths: list[int] = []
        for token in (*SPECIAL, *(BYTES if byte_fallback else ())):
            self._append(token)
        self._n_reserved = len(self.words)
        for word in sorted(words) if isinstance(words, Set) else words:
            self.add_word(word)

    @classmethod
    def default(cls) -> Vocab:
        """Make the vocabulary of RustGPT's `LLM::default()`: 63 English words (and the bytes, so any text)."""
        return cls(_DEFAULT_WORDS.split())

    @staticmethod
    def process_text_for_vocab(texts: Iterable[str], words: set[str], *, chinese: str = "characters") -> None:
        """Put the words of `texts` into the set `words`.

        Of Chinese each character is a word, and with `chinese="jieba"` also what jieba finds (pip install
        'jamais[zh]'). White space and invisible characters are left to the bytes. Raise InputError for what is
        not text, SettingsError for another `chinese`, MissingExtraError where jieba is not installed.
        """
        if isinstance(texts, str) or not isinstance(words, set):
            raise InputError(
                f"process_text_for_vocab wants a list of texts and a set to put words into, "
                f"got {type(texts).__name__} and {type(words).__name__}"
            )
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"text {number} is {type(text).__name__}, wanted str")
            words.update(words_of(text, chinese))

    def __len__(self) -> int:
        return len(self.words)

    def add_word(self, word: str) -> int:
        """Give a word the next id, or return the one it has. A model made before does not know the new id.

        Raise InputError for an empty word or none.
        """
        if not isinstance(word, str) or not word:
            raise InputError(f"a word is a str of at least one character, got {word!r}")
        return self._ids[word] if word in self._ids else self._append(word)

    def encode(self, text: str) -> list[int]:
        """Turn a text into ids, without <|bos|> and </s>; a single space between two known words is implied."""
        parts = pieces(text)
        spaced = [is_spaced(part) and part in self._ids for part in parts]
        ids: list[int] = []
        for place, part in enumerate(parts):
            between = 0 < place < len(parts) - 1 and spaced[place - 1] and spaced[place + 1]
            if part == " " and between:
                continue
            ids += self._encode_run(part) if is_run(part) else self._encode_one(part)
        return ids

    def decode(self, ids: Iterable[int], *, after: int = BOS) -> str:
        """Turn ids into text: special tokens are skipped, bytes that are no UTF-8 and <|unk|> become �.

        `after` is the id that stands before the first, where there is one: two words have a space between them.
        Raise InputError for an id that is not in the vocabulary.
        """
        text: list[str] = []
        held = bytearray()
        after_word = is_spaced(self.words[after])
        for number in ids:
            if not 0 <= number < len(self.words):
                raise InputError(f"id {number} is not in a vocabulary of {len(self.words)} words")
            if len(SPECIAL) <= number < self._n_reserved:
                held.append(number - len(SPECIAL))
                after_word = False
                continue
            text.append(_as_text(held))
            held.clear()
            if number < len(SPECIAL):
                text.append(_UNKNOWN if number == UNK else "")
                after_word = False
            else:
                word = self.words[number]
                is_word = is_spaced(word)
                text.append(f" {word}" if after_word and is_word else word)
                after_word = is_word
        return "".join([*text, _as_text(held)])

    def to_state(self) -> StateTree:
        return {"words": list(self.words), "byte_fallback": self.byte_fallback}

    @classmethod
    def from_state(cls, tree: StateTree) -> Vocab:
        """Make it again; raise CorruptStateError naming what is not as `to_state` wrote it."""
        words, fallback = tree.get("words"), tree.get("byte_fallback")
        if type(words) is not list or type(fallback) is not bool or len(tree) != 2:
            raise CorruptStateError(f"vocab: wanted words (list) and byte_fallback (bool), got {sorted(tree)}")
        begin = [*SPECIAL, *(BYTES if fallback else ())]
        if words[: len(begin)] != begin:
            raise CorruptStateError(f"vocab.words: wanted to begin with {' '.join(begin[:9])}…, got {words[:9]}")
        for number, word in enumerate(words):
            if type(word) is not str or not word:
                raise CorruptStateError(f"vocab.words[{number}]: wanted a word, got {str(word)[:40]!r}")
        vocab = cls(words[len(begin) :], byte_fallback=fallback)
        if len(vocab) != len(words):
            raise CorruptStateError(f"vocab.words: {len(words)} words, only {len(vocab)} of them different")
        return vocab

    def _append(self, word: str) -> int:
        self._ids[word] = len(self.words)
        self.words.append(word)
        if len(word) <= LONGEST_MATCH and len(word) not in self._lengths and is_run(word):
            self._lengths = sorted([*self._lengths, len(word)])
        return len(self.words) - 1

    def _encode_run(self, run: str) -> list[int]:
        ids: list[int] = []
        for word in fewest(run, self._ids, self._lengths):
            new = self._encode_one(word)
            if new != [UNK] or ids[-1:] != [UNK]:
                ids += new
        return ids

    def _encode_one(self, piece: str) -> list[int]:
        if piece in self._ids:
            return [self._ids[piece]]
        if self.byte_fallback:
            return [len(SPECIAL) + byte for byte in piece.encode("utf-8", "surrogatepass")]
        return [] if piece.isspace() else [UNK]


def _as_text(held: Sequence[int]) -> str:
    spelled = bytes(held)
    try:
        return spelled.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return spelled.decode("utf-8", "replace")
