"""What do `save_pretrained` and `from_pretrained` do beyond the Hugging Face library's own?

Its own method writes into a folder beside the target; vocabulary, state and manifest are added; then the whole takes
the target's place in one step. Loading compares every byte with the manifest before the library sees it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jamais.errors import CorruptStateError, InputError
from jamais.models.tinylogbert.shown import MODEL_TYPE, model_arrangement
from jamais.persistence import files, json_text
from jamais.persistence.dtypes import AnyArray
from jamais.persistence.faces.folder import manifest, open_sealed, replacing_folder, steady, warn_unsealed
from jamais.persistence.faces.folder.array_files import unsealed_arrays
from jamais.persistence.faces.folder.placing import at
from jamais.persistence.faces.folder.tokenizer_files import MAX_BYTES, TOKENIZER, VOCABULARY, tokens_of
from jamais.persistence.faces.folder.torch_file import check_torch, write_torch
from jamais.persistence.tree import below
from jamais.types import StateTree

_CONFIG = "config.json"
_HUB_WORDS = ("repo_id", "commit_message", "commit_description", "private", "create_pr", "revision", "tags")


def save(
    folder: str | os.PathLike[str],
    write: Callable[..., None],
    state_of: Callable[[Path, dict[str, AnyArray]], StateTree],
    options: Mapping[str, Any],
    *,
    save_config: bool,
) -> None:
    """Replace `folder` by what `write(path, **options)` of the library writes, with vocabulary, state and manifest.

    `state_of(path, arrays)` gives the state, once the library has written the arrays.
    """
    words = dict(options)
    as_bin = words.pop("safe_serialization", True) is False
    if not words.get("is_main_process", True):
        with TemporaryDirectory() as nowhere:  # the other processes only hand their share of the weights over
            write(nowhere, **words)
        return
    with replacing_folder(Path(folder)) as draft:
        write(str(draft.path), **words)
        if as_bin:
            _to_torch(draft.path)
        arrays, present = _written(draft.path)
        tree = state_of(draft.path, arrays)
        parts = {_CONFIG: "/config"} if save_config else {}
        if not save_config:
            (draft.path / _CONFIG).unlink(missing_ok=True)
        draft.fill(
            tree, MODEL_TYPE, model_arrangement(tree, parts), present=present, keep=_keeps(words.get("variant"), parts)
        )


def hub_words(options: dict[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Take what is about the Hub out of the options of `save_pretrained`: words for `push_to_hub`, None for no push."""
    wanted = options.pop("push_to_hub", False)
    words = {name: options.pop(name) for name in _HUB_WORDS if name in options}
    if not wanted or not options.get("is_main_process", True):
        return None
    shared: dict[str, Any] = {name: options[name] for name in ("token", "max_shard_size") if name in options}
    return {"repo_id": Path(folder).name, **shared, **words}


@dataclass(frozen=True)
class Beside:
    """What a folder holds beside configuration and weights."""

    tokens: list[str]
    anomaly: StateTree | None = None
    """The state of memory and detectors."""
    features: Mapping[str, AnyArray] = field(default_factory=dict)
    """File -> features [m, width], in a folder that another program wrote."""


def load(name: str | os.PathLike[str], options: Mapping[str, Any], read: Callable[[str], Any]) -> tuple[Any, Beside]:
    """Give what the library's `read(name)` loads, and what lies beside; verify before what jamais wrote.

    Raises CorruptStateError naming files and tensors that are not what was written.
    """
    root, inside = Path(name), options.get("subfolder") or ""
    if not (root / inside).is_dir():
        fetched = _fetched(str(name), options)
        if fetched is None:
            return read(str(name)), Beside(_tokens(lambda file: _from_hub(str(name), file, options), str(name)))
        root = fetched
    folder = root / inside

    def verified() -> tuple[Any, Beside]:
        sealed = open_sealed(folder, links=True)  # the cache of the Hub is made of links
        if sealed is None:
            warn_unsealed(folder)
            _check_pickles(folder)
            tokens = _tokens(lambda file: folder / file, str(folder))
            return read(str(root)), Beside(tokens, features=_unsealed_features(folder))
        tree = sealed.state(accept_edits=False)
        seal = sealed.manifest.tokenizer
        tokens = at(tree, seal.tokens) if seal else _tokens(lambda file: folder / file, str(folder))
        loaded = read(str(root))
        again = open_sealed(folder, links=True)
        if again is None or again.manifest.generation != sealed.manifest.generation:
            raise CorruptStateError(f"{folder}: was replaced while it was read: load it again")
        return loaded, Beside(tokens, tree.get("anomaly"))

    return steady(folder, verified)


def features_of(tree: StateTree) -> dict[str, AnyArray]:
    """Give the features, by detector, in the state of a folder that another program wrote."""
    found: dict[str, Any] = tree.get("detectors", {})
    return {name: one["features"] for name, one in found.items() if len(one.get("features", ()))}


def _unsealed_features(folder: Path) -> dict[str, AnyArray]:
    """Read plain numbers of *_features.npy; a pickle is refused by its header."""
    if not (folder / "detectors").is_dir():
        return {}
    found = {str(path): unsealed_arrays(path)[""] for path in sorted((folder / "detectors").glob("*_features.npy"))}
    return {name: features for name, features in found.items() if len(features)}


def _written(folder: Path) -> tuple[dict[str, AnyArray], dict[str, tuple[str, str]]]:
    """Read the arrays that the library wrote; say for the path of each in the state where it lies."""
    arrays: dict[str, AnyArray] = {}
    present: dict[str, tuple[str, str]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix in (".safetensors", ".bin"):
            for name, array in unsealed_arrays(file).items():
                arrays[name] = array
                present[below("/model", name)] = (file.name, name)
    return arrays, present


def _keeps(variant: str | None, parts: Mapping[str, str]) -> Callable[[str], bool]:
    """Tell which files of the older save stay: a configuration that is not saved anew, weights of other variants."""
    other = re.compile(r"(?:pytorch_)?model\b.*\.(?:safetensors|bin)(?:\.index\.json)?")

    def keep(name: str) -> bool:
        if name == _CONFIG:
            return not parts
        return bool(variant) and other.fullmatch(name) is not None and f".{variant}" not in name

    return keep


def _to_torch(folder: Path) -> None:
    """Turn the library's safetensors files into pytorch_model.bin, shards and index included."""
    for file in sorted(folder.glob("model*.safetensors")):
        handle = os.open(folder / _torch_name(file.name), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            write_torch(handle, unsealed_arrays(file))
        finally:
            os.close(handle)
        file.unlink()
    for index in sorted(folder.glob("model*.safetensors.index.json")):
        listed = json_text.parse(index.read_bytes(), str(index))
        listed["weight_map"] = {name: _torch_name(file) for name, file in listed["weight_map"].items()}
        (folder / _torch_name(index.name)).write_text(json.dumps(listed, indent=2, sort_keys=True) + "\n", "utf-8")
        index.unlink()


def _torch_name(name: str) -> str:
    return "pytorch_" + name.replace(".safetensors", ".bin")


def _check_pickles(folder: Path) -> None:
    """Look into pickle containers before torch does; with safetensors there the library does not open them."""
    if any(folder.glob("model*.safetensors")):
        return
    for file in sorted(folder.glob("pytorch_model*.bin")):
        handle, size = files.open_plain(Path(os.path.realpath(file)))
        with os.fdopen(handle, "rb") as stream:
            check_torch(stream, size, str(file))


def _tokens(place: Callable[[str], Path | None], where: str) -> list[str]:
    for name in (VOCABULARY, TOKENIZER):
        path = place(name)
        if path is not None and path.exists():
            return tokens_of(name, files.read(Path(os.path.realpath(path)), limit=MAX_BYTES), str(path))
    raise InputError(f"{where}: {VOCABULARY} is missing, {TOKENIZER} too: save the model again with save_pretrained")


def _fetched(name: str, options: Mapping[str, Any]) -> Path | None:
    """Bring all files of a sealed repository from the Hub; give their folder, None where nothing is sealed."""
    try:
        listed = _from_hub(name, manifest.NAME, options)
    except OSError:
        return None  # no such repository, or no network: the library says so itself
    if listed is None:
        return None
    told = manifest.parse(files.read(Path(os.path.realpath(listed)), limit=manifest.MAX_BYTES), str(listed))
    for file in told.files:
        _from_hub(name, file, options)
    return listed.parents[len(Path(options.get("subfolder") or "").parts)]


def _from_hub(name: str, file: str, options: Mapping[str, Any]) -> Path | None:
    from transformers.utils.hub import cached_file

    words = ("cache_dir", "revision", "token", "subfolder", "local_files_only", "force_download", "proxies")
    given = {word: options[word] for word in words if options.get(word) is not None}
    found = cached_file(name, file, _raise_exceptions_for_missing_entries=False, **given)
    return None if found is None else Path(found)
