"""Is every setting explained where it is defined, and in the docs?"""

from __future__ import annotations

from pathlib import Path

from dev.docs import docstrings, groups, rows

from jamais.recipes.logs.settings import LogSettings

ROOT = Path(__file__).resolve().parents[2]


def test_every_field_says_what_it_is() -> None:
    silent = [f"{path}.{name}" for path, cls in groups(LogSettings) for name, _, text in rows(cls) if len(text) < 20]
    assert not silent, "write a string under the field: what it is, its unit, why the default"


def test_every_field_stands_in_the_page() -> None:
    page = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    for path, cls in groups(LogSettings):
        for name, _, _ in rows(cls):
            assert f"| `{path + '.' if path else ''}{name}` |" in page


def test_the_walk_finds_inner_groups_and_their_words() -> None:
    found = dict(groups(LogSettings))
    assert {"", "reading", "parsing", "encoder", "memory", "sessions"} <= set(found)
    assert docstrings(found["memory"])["capacity"].startswith("Vectors kept.")
