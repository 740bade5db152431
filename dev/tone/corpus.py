"""Which things do ordinary programs say?  Message-like strings out of sources, catalogues and binaries.

Nothing here reads a log, and no string carries a label: the teacher scores them, the student learns that.
"""

from __future__ import annotations

import ast
import gettext
import random
import re
import subprocess
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SPOKEN_BY = (
    "debug info warning warn error critical exception log fatal print write notice deprecate fail fail_json "
    "v vv vvv display abort exit"
)
CALLS = set(SPOKEN_BY.split())
SKIPPED_PACKAGES = ("drain3", "jamais", "test", "tests", "idlelib", "lib2to3", "turtledemo")
FORMAT = re.compile(
    r"%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z|j|t|L|q)?[a-zA-Z%]|%\(\w+\)[a-z]|\$?\{[^{}]*\}|%\d\$\w+"
)
WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
PRINTABLE = re.compile(r"[\x20-\x7e]+")


def gather(folders: dict[Path, int], total: int, seed: int = 0) -> list[str]:
    """Return distinct message-like strings: at most so many from each folder, `total` in all."""
    draw = random.Random(seed)
    seen: dict[str, str] = {}
    for folder, most in sorted(folders.items(), key=lambda item: item[0].name):
        found = sorted({text for raw in strings_under(folder) if (text := tidy(raw))})
        draw.shuffle(found)
        for text in found[:most]:
            seen.setdefault(text.lower(), text)
        print(f"  {folder.name}: {len(found)} message-like strings")
    often = Counter(word for key in seen for word in set(key.split()))
    known = [text for key, text in seen.items() if all(often[word] >= 4 for word in key.split())]
    draw.shuffle(known)
    return sorted(known[:total])


def tidy(raw: str) -> str:
    """Return the words of a message with format placeholders removed, or "" if it is not a message."""
    text = FORMAT.sub(" ", raw).replace("\\n", " ").strip()
    if not 8 <= len(text) <= 160 or not text.isascii():
        return ""
    letters = sum(c.isalpha() or c == " " for c in text)
    words = WORD.findall(text)
    if letters < 0.85 * len(text) or not 2 <= len(words) <= 18:
        return ""
    if any(mark in text for mark in ("::", "->", "()", "==", "</", "__", "\t", "SELECT ", "#include")):
        return ""
    tokens = text.split()
    if sum(token.strip(".,:;'\"()!").isalpha() for token in tokens) < max(2, 0.6 * len(tokens)):
        return ""  # symbol names, paths and code, not speech
    plain = sum(word.islower() or word.istitle() for word in words)
    short = sum(len(word) <= 1 for word in words)
    if plain < 0.6 * len(words) or short > 0.34 * len(words) or max(map(len, words)) > 22:
        return ""
    return " ".join(words)


def strings_under(folder: Path) -> Iterator[str]:
    """Yield every string of the sources, catalogues, jars and binaries below a folder."""
    catalogues: set[str] = set()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or any(part in SKIPPED_PACKAGES for part in path.parts):
            continue
        if path.suffix == ".py":
            yield from of_python(path)
        elif path.suffix == ".mo":
            if path.name not in catalogues and not path.name.startswith("iso_"):
                catalogues.add(path.name)  # the English ids are the same in every language
                yield from of_catalogue(path)
        elif path.suffix == ".jar":
            yield from of_jar(path)
        elif path.suffix in {".ko", ".so", ""} or ".so." in path.name:
            yield from of_binary(path)


def of_python(path: Path) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        call = node.exc if isinstance(node, ast.Raise) else node
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if call is not node or name in CALLS:
            for argument in call.args[:2]:
                yield literal(argument)


def literal(node: ast.expr) -> str:
    """Return the constant text of a literal, an f-string or a formatted literal."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return " ".join(literal(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return literal(node.left) + (" " + literal(node.right) if isinstance(node.op, ast.Add) else "")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return literal(node.func.value)
    return ""


def of_catalogue(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as stream:
            entries = gettext.GNUTranslations(stream)._catalog  # type: ignore[attr-defined]
    except (OSError, UnicodeDecodeError, ValueError):
        return
    for key in entries:
        text = key[0] if isinstance(key, tuple) else key
        yield str(text).split("\x04")[-1]


def of_jar(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as jar:
        for name in sorted(jar.namelist()):
            if name.endswith("LocalStrings.properties"):
                for line in jar.read(name).decode("latin-1").splitlines():
                    yield line.partition("=")[2]
            elif name.endswith(".class"):
                yield from PRINTABLE.findall(jar.read(name).decode("latin-1"))


def of_binary(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        if stream.read(4) != b"\x7fELF":
            return
    done = subprocess.run(["strings", "-n", "8", str(path)], capture_output=True, check=False)
    for line in done.stdout.decode("ascii", "ignore").splitlines():
        yield re.sub(r"^\d?[a-z]?(?:parm(?:type)?|description|author|license|alias|depends)=.*", "", line)
