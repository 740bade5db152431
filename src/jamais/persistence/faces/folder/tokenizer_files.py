"""Do these tokenizer files number the words as the state does?

Tokenizers rewrite their files whenever they are saved, so bytes do not count here: what each file says about tokens
and their numbers does. How a text is cut (tokenizer.json's other sections) is compared, too, but only warned of:
another release of the library may spell the same thing differently.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jamais.errors import CorruptStateError
from jamais.persistence import digests, files, json_text
from jamais.persistence.faces.folder.manifest import TokenizerSeal

VOCABULARY, TOKENIZER, SETTINGS = "vocab.txt", "tokenizer.json", "tokenizer_config.json"
NAMES = (VOCABULARY, TOKENIZER, SETTINGS, "special_tokens_map.json", "added_tokens.json")
MAX_BYTES = 256 * 1024 * 1024

_SECTIONS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_COMPARED = (
    "model_max_length",
    "unk_token",
    "mask_token",
    "pad_token",
    "cls_token",
    "sep_token",
    "bos_token",
    "eos_token",
)

Claims = list[tuple[str, int | None]]
"""What a file says: a token and its number, None where it names the token alone."""


def vocab_txt(tokens: Sequence[str]) -> bytes | None:
    """Write the vocabulary as vocab.txt, a token per line; None if a token holds a line break."""
    if any("\n" in token or "\r" in token for token in tokens):
        return None
    return "".join(token + "\n" for token in tokens).encode("utf-8", "surrogatepass")


def tokens_of(name: str, data: bytes, where: str) -> list[str]:
    """List the tokens of a vocab.txt or tokenizer.json by number; raise CorruptStateError for gaps."""
    claims = [(number, token) for token, number in _claims(name, data, where) if number is not None]
    listed = dict(sorted(claims))
    if list(listed) != list(range(len(listed))):
        raise CorruptStateError(f"{where}: its tokens are not numbered from 0 without gaps")
    return list(listed.values())


def difference(name: str, data: bytes, tokens: Sequence[str], where: str) -> str:
    """Name the first token on which a file and the vocabulary differ; "" if they agree."""
    numbers = {token: number for number, token in enumerate(tokens)}
    told = _claims(name, data, where)
    for token, number in sorted(told, key=lambda claim: -1 if claim[1] is None else claim[1]):
        if token not in numbers:
            place = "" if number is None else f" has number {number}, where the vocabulary has {_at(tokens, number)}"
            return f"token {token[:80]!r}{place or ' is not in the vocabulary'}"
        if number is not None and number != numbers[token]:
            return f"token {token[:80]!r} has number {number}, in the vocabulary {numbers[token]}"
    missing = numbers.keys() - {token for token, _ in told} if name in (VOCABULARY, TOKENIZER) else set()
    if missing:
        first = min(missing, key=numbers.__getitem__)
        return f"token {first[:80]!r}, number {numbers[first]}, is missing"
    return ""


def seal(path: str, written: Mapping[str, bytes], kept: Mapping[str, bytes] | None = None) -> TokenizerSeal:
    """Note what tokenizer files say, to compare what others make of them; `kept` are such as others have written.

    `path` is that of the vocabulary in the state.
    """
    there = {**(kept or {}), **written}
    config = json_text.parse(there[SETTINGS], SETTINGS) if SETTINGS in there else {}
    return TokenizerSeal(
        tokens=path,
        written={name: digests.sha256(data) for name, data in sorted(written.items())},
        settings={name: _bare(config[name]) for name in _COMPARED if name in config},
        pipeline=_pipeline(there[TOKENIZER], TOKENIZER) if TOKENIZER in there else {},
    )


def check(place: Callable[[str], Path], sealed: TokenizerSeal, tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """Compare tokenizer files, found by name, with a vocabulary; give what is wrong and what is only odd."""
    wrong: list[str] = []
    odd: list[str] = []
    for name in NAMES:
        path = place(name)
        if not os.path.lexists(path):
            continue  # a tokenizer that saves itself may leave some of them out
        try:
            data = files.read(path, limit=MAX_BYTES)
            if digests.sha256(data) != sealed.written.get(name):
                told = difference(name, data, tokens, str(path))
                wrong += [f"{path}: another vocabulary: {told}: save the model and its tokenizer again"] if told else []
                odd += oddities({str(path): data}, sealed)
        except CorruptStateError as error:
            wrong.append(str(error))
    return wrong, odd


def oddities(texts: Mapping[str, bytes], sealed: TokenizerSeal) -> list[str]:
    """Say in what tokenizer files that number the words right (by name or path) are not what was written."""
    found: list[str] = []
    for where, data in texts.items():
        name = where.rpartition("/")[2]
        if name == TOKENIZER and sealed.pipeline:
            now = _pipeline(data, where)
            other = [section for section, digest in sealed.pipeline.items() if now.get(section) != digest]
            found += [
                f"{where}: {section} is not what was written: it may cut texts in another way" for section in other
            ]
        if name == SETTINGS:
            parsed = json_text.parse(data, where)
            for key, was in sealed.settings.items():
                if key in parsed and _bare(parsed[key]) != was:
                    found.append(f"{where}: {key} is {str(_bare(parsed[key]))[:60]!r}, {str(was)[:60]!r} was written")
    return found


def _at(tokens: Sequence[str], number: int) -> str:
    return repr(tokens[number][:80]) if 0 <= number < len(tokens) else f"only {len(tokens)} tokens"


def _claims(name: str, data: bytes, where: str) -> Claims:
    try:
        if name == VOCABULARY:
            lines = data.decode("utf-8", "surrogatepass").removesuffix("\n").split("\n")
            return [(line.removesuffix("\r"), number) for number, line in enumerate(lines)]
        parsed = json_text.parse(data, where)
        return [_claim(token, number) for token, number in _SAID[name](parsed)]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        if isinstance(error, CorruptStateError):
            raise
        raise CorruptStateError(f"{where}: not what a tokenizer writes ({error!r})"[:300]) from None


def _claim(token: Any, number: Any) -> tuple[str, int | None]:
    token = token["content"] if isinstance(token, dict) else token
    if type(token) is not str or not (number is None or type(number) is int):
        raise TypeError(f"{str(token)[:40]!r} numbered {str(number)[:40]!r}")
    return token, number


def _of_tokenizer(parsed: dict[str, Any]) -> list[tuple[Any, Any]]:
    vocabulary = parsed["model"]["vocab"]
    if isinstance(vocabulary, dict):
        listed = list(vocabulary.items())
    else:  # Unigram: pairs of token and its log-probability, in order
        listed = [(pair[0], number) for number, pair in enumerate(vocabulary)]
    return listed + [(one["content"], one["id"]) for one in parsed.get("added_tokens") or []]


def _of_settings(parsed: dict[str, Any]) -> list[tuple[Any, Any]]:
    added = [(one["content"], int(number)) for number, one in (parsed.get("added_tokens_decoder") or {}).items()]
    return added + [(token, None) for name, token in parsed.items() if name.endswith("_token") and _names_one(token)]


def _of_map(parsed: dict[str, Any]) -> list[tuple[Any, Any]]:
    return [(token, None) for token in parsed.values() if _names_one(token)]


def _names_one(token: Any) -> bool:
    return isinstance(token, str) or (isinstance(token, dict) and "content" in token)


def _bare(token: Any) -> Any:
    """A token may stand alone or as an object with flags."""
    return token["content"] if isinstance(token, dict) and "content" in token else token


def _of_added(parsed: dict[str, Any]) -> list[tuple[Any, Any]]:
    return list(parsed.items())


_SAID: dict[str, Callable[[Any], list[tuple[Any, Any]]]] = {
    TOKENIZER: _of_tokenizer,
    SETTINGS: _of_settings,
    "special_tokens_map.json": _of_map,
    "added_tokens.json": _of_added,
}


def _pipeline(data: bytes, where: str) -> dict[str, str]:
    parsed = json_text.parse(data, where)
    model = {name: value for name, value in parsed["model"].items() if name != "vocab"}
    sections = {name: parsed.get(name) for name in _SECTIONS} | {"model": model}
    return {name: digests.sha256(json_text.dump(value, canonical=True)) for name, value in sections.items()}
