"""Which pages of the docs are written by the program itself? `python -m dev.docs` writes them, `--check` compares.

`docs/settings.md` has every field of the settings of logs, embeddings and series, its default and the docstring under
it; `docs/cli.md` every command's --help.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HELP_WIDTH = 100


def pages() -> dict[str, str]:
    """Give the text of each generated page by its path from the root."""
    return {"docs/settings.md": settings_page(), "docs/cli.md": cli_page()}


def settings_page() -> str:
    """Write all settings as tables, one per kind of data and group."""
    from jamais.recipes.embeddings.settings import EmbeddingSettings
    from jamais.recipes.logs.settings import LogSettings
    from jamais.recipes.series.settings import SeriesSettings

    lines = [
        "# Settings",
        "",
        "<!-- written by `make docs` from the docstrings in the code; edit those -->",
        "",
        "All of them have a default that suits most data; `fit` takes them, every version keeps them. First those of",
        "logs, then those of embeddings, then those of series. Three ways to set one, the later wins:",
        "",
        "```console",
        "$ jamais fit normal.log --kind logs --out watchers/set --config jamais.toml --set memory.capacity=5000",
        "```",
        "```python",
        "import jamais",
        "",
        'jamais.fit("normal.log", kind="logs", settings={"memory": {"capacity": 5000}})',
        "```",
        '`jamais.toml` holds the same names: `window = "60s"` at the top, `capacity = 5000` under `[memory]`.',
    ]
    for path, cls in groups(LogSettings):
        lines += ["", f"## {path or 'logs'}", "", *_table(path, cls)]
    for kind, settings in (("embeddings", EmbeddingSettings()), ("series", SeriesSettings())):
        for path, cls in groups(type(settings)):
            lines += ["", f"## {kind}{', ' if path else ''}{path}", "", *_table(path, cls, settings)]
    return "\n".join(lines) + "\n"


def _table(path: str, cls: type[Any], settings: object = None) -> Iterator[str]:
    """Write the fields of one group; their defaults as they are in `settings`, where a kind has its own."""
    yield " ".join((inspect.getdoc(cls) or "").split())
    said = docstrings(type(settings)).get(path) if settings is not None else None
    yield from ("", said) if said else ()
    yield from ("", "| setting | default | meaning |", "|---|---|---|")
    own = functools.reduce(getattr, path.split("."), settings) if path and settings is not None else settings
    for name, default, text in rows(cls):
        default = default if own is None else getattr(own, name)
        yield f"| `{path + '.' if path else ''}{name}` | {_cell(default)} | {_escaped(text)} |"


def groups(cls: type[Any], path: str = "") -> Iterator[tuple[str, type[Any]]]:
    """Walk a settings dataclass and the ones it holds: dotted path and class, outermost first."""
    yield path, cls
    for field in dataclasses.fields(cls):
        inner = _inner(field)
        if inner is not None:
            yield from groups(inner, f"{path}.{field.name}" if path else field.name)


def rows(cls: type[Any]) -> Iterator[tuple[str, object, str]]:
    """Give name, default and docstring of each plain field of one settings dataclass; "" where nothing is said."""
    said = docstrings(cls)
    for field in dataclasses.fields(cls):
        if _inner(field) is None:
            yield field.name, field.default, said.get(field.name, "")


def _inner(field: dataclasses.Field[Any]) -> type[Any] | None:
    """Give the class of a group of settings that a field holds, None for a plain field."""
    made = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    return type(made) if dataclasses.is_dataclass(made) else None


def docstrings(cls: type[Any]) -> dict[str, str]:
    """Read the string that stands under each field of a class: Python itself forgets it."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for this, following in zip(tree.body, tree.body[1:], strict=False):
        text = following.value if isinstance(following, ast.Expr) else None
        if isinstance(this, ast.AnnAssign) and isinstance(this.target, ast.Name) and isinstance(text, ast.Constant):
            found[this.target.id] = " ".join(str(text.value).split())
    return found


def cli_page() -> str:
    """Write the help of `jamais` and of every command, as a terminal shows it."""
    import click

    from jamais.cli.main import cli

    wide: dict[str, Any] = {"terminal_width": HELP_WIDTH, "max_content_width": HELP_WIDTH}
    top = click.Context(cli, info_name="jamais", **{**cli.context_settings, **wide})
    lines = ["# Commands", "", "<!-- written by `make docs` from the commands themselves -->"]
    lines += ["", "## jamais", "", "```text", cli.get_help(top), "```"]
    for name in cli.list_commands(top):
        command = cli.get_command(top, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, parent=top, info_name=name, **{**command.context_settings, **wide})
        lines += ["", f"## jamais {name}", "", "```text", command.get_help(inner), "```"]
    return "\n".join(line.rstrip() for line in "\n".join(lines).split("\n")) + "\n"


def main(arguments: list[str]) -> int:
    stale = []
    for name, text in pages().items():
        path = ROOT / name
        if arguments == ["--check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale: {', '.join(stale)}; write them anew with: make docs", file=sys.stderr)
    return 1 if stale else 0


def _cell(value: object) -> str:
    many = value if isinstance(value, tuple) else (value,)
    shown = ",".join(str(one).lower() if isinstance(one, bool) else str(one) for one in many)
    return f"`{_escaped(shown)}`" if shown and value is not None else "none" if value is None else "empty"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
