"""Are the rules kept that no linter knows: sizes, names, no machine's paths, nothing at import?"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import jamais
from jamais import errors

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "jamais"
MODULES = sorted(SOURCE.rglob("*.py"))
FILE_LINES, FUNCTION_LINES, FOLDER_FILES = 400, 40, 10
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "tools", "shared"}
# Spelled in pieces, or this file would be the first to break its own rule.
PLACES = (r"work/(main|shared)\b", "root/", r"home/\w+/", r"Users/\w+/", "opt/")
MACHINE = re.compile("|".join(r"(?<![\w.])/" + place for place in PLACES))
INDEX = re.compile(r"(?i)\b(--(extra-)?index-url|--find-links|download\.pytorch\.org|files\.python" + r"hosted\.org)")
TEXT = {".py", ".md", ".toml", ".txt", ".cfg", ".ini", ".yml", ".yaml", ".csv", ".sh", ""}


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in names.decode().split("\0") if name and (ROOT / name).is_file()]


def why_bigger(path: Path, what: str) -> bool:
    """Whether the head of a file says why it goes over a budget: a comment like `# Over 400 lines: because …`."""
    head = path.read_text(encoding="utf-8").splitlines()[:40]
    return any(re.match(rf"# Over \d+ lines( \({what}\))?: \w+", line) for line in head)


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Give name and length of each function, its docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            said = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            said = said and isinstance(first.value.value, str)  # type: ignore[attr-defined]
            docs = (first.end_lineno or 0) - first.lineno + 1 if said else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docs


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): n
        for path in MODULES
        if (n := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES and not why_bigger(path, "file")
    }
    assert not long, f"over {FILE_LINES} lines: split, or say why at the head (`# Over {FILE_LINES} lines: …`)"


def test_functions_stay_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {name} {n}"
        for path in MODULES
        for name, n in functions(path)
        if n > FUNCTION_LINES and not why_bigger(path, name)
    ]
    assert not long, f"over {FUNCTION_LINES} lines: split, or say why (`# Over {FUNCTION_LINES} lines (name): …`)"


def test_no_module_has_a_vague_name() -> None:
    assert not [path for path in MODULES if path.stem.strip("_") in VAGUE or path.parent.name in VAGUE]


def test_every_module_says_what_it_answers() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if not (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.name == "version.py")
    ]
    assert not silent


def test_tracked_text_names_no_machine_and_no_package_index() -> None:
    found = []
    for path in tracked():
        if path.suffix in TEXT:
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                if INDEX.search(line) or MACHINE.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


def test_code_that_could_run_saved_data_is_never_used() -> None:
    forbidden = {"pickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names.append(getattr(node, "module", None) or "")
                found += [f"{path}: import {name}" for name in names if name.split(".")[0] in forbidden]
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
                found.append(f"{path}:{node.lineno}: {node.func.id}")
    assert not found


def test_examples_in_docstrings_run() -> None:
    for path in MODULES:
        if ">>>" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
            assert doctest.testmod(importlib.import_module(name)).failed == 0, name


def test_every_error_stands_in_the_tree_at_its_place() -> None:
    assert errors.__doc__ is not None
    tree = errors.__doc__.split("Every message")[0]
    drawn = {name: len(stem) for stem, name in re.findall(r"^    ([│├└─ ]*)(\w+)", tree, re.MULTILINE)}
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.JamaisError)]
    for error in classes:
        depth = error.__mro__.index(errors.JamaisError)
        assert drawn.get(error.__name__) == 4 * depth, f"{error.__name__} is not drawn at its place in errors.py"
        assert error.__doc__
    assert set(drawn) == {error.__name__ for error in classes}


def test_import_jamais_brings_nothing_heavy() -> None:
    code = "import sys, jamais; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"torch", "numpy", "polars", "transformers", "tokenizers", "safetensors", "click", "rich", "matplotlib"}
    heavy |= {"pandas", "sklearn", "zstandard", "asyncio", "logging", "ssl", "multiprocessing"}
    assert not loaded & heavy
    assert "jamais" in loaded


def test_public_names_are_exported() -> None:
    assert set(jamais.__all__) == {"Watcher", "__version__", "fit", "load"}
    assert all(getattr(jamais, name) is not None for name in jamais.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fti'"):
        jamais.fti  # noqa: B018


# Modules that are nothing but the face towards an extra may import it at the top.
FACES = {"models/tinylogbert/hf.py": "transformers"}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Give the first name of each import of another distribution, and whether it runs when the module is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_import = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"jamais"}:
            yield name, id(node) in at_import


def test_every_import_is_a_declared_dependency_and_extras_are_imported_where_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    extras = {name for extra in optional.keys() - {"bench", "dev"} for name in optional[extra]}
    named = {"faiss_cpu": "faiss", "scikit_learn": "sklearn"}  # packages that are imported under another name
    core, extra = (
        {named.get(name, name) for one in some if (name := re.split(r"[\[<>=]", one)[0].replace("-", "_"))}
        for some in (project["dependencies"], extras)
    )
    wrong = []
    for path in MODULES:
        for name, at_import in imports(path):
            mine = FACES.get(str(path.relative_to(SOURCE)))
            # pandas is only looked at where a user hands a frame in, so it is there.
            allowed = core if at_import and name != mine else core | extra | {"pandas"}
            if name not in allowed:
                wrong.append(f"{path.relative_to(ROOT)}: {name}" + (" at import" if at_import else ""))
    assert not wrong
