"""Does everything that the docs tell people to type work?"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
import pytest
import shop

import jamais
import jamais.api

ROOT = examples.ROOT
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the logs that the docs speak of, to stand in."""
    shop.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jamais.api, "fit", functools.partial(quick, jamais.api.fit))
    return tmp_path


def quick(fit: Callable[..., jamais.Watcher], *given: Any, **more: Any) -> jamais.Watcher:
    """Fit with an encoder of few steps, where there is one."""
    kind = more.get("kind", given[1] if len(given) > 1 else None)
    numbers = kind in ("embeddings", "series") or str(given[0]).endswith(".csv")
    changes = {} if numbers else dict([examples.QUICK.split("=")])
    return fit(*given, **{**changes, **more})


def runs(page: Path) -> bool:
    return any(block.language in examples.RUN for block in examples.blocks(page))


@pytest.mark.parametrize("page", [p for p in PAGES if runs(p)], ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.slow
def test_the_blocks_of_a_page_run_from_top_to_bottom(page: Path, desk: Path) -> None:
    names: dict[str, object] = {}
    for block in examples.blocks(page):
        if block.language in examples.RUN:
            examples.run_block(block, names)


@pytest.mark.slow
def test_the_example_in_the_package_docstring_runs(desk: Path) -> None:
    assert jamais.__doc__ is not None
    example = textwrap.dedent(jamais.__doc__.split("\n\n")[1])
    assert "jamais.fit" in example
    exec(compile(example, "jamais.__doc__", "exec"), {})


def test_every_block_says_its_language() -> None:
    nameless = [str(block) for page in PAGES for block in examples.blocks(page) if not block.language]
    assert not nameless, "```console and ```python blocks are run; ```text and others are not"


def test_shown_output_is_compared_with_what_comes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    for shown, right in (("one 17", True), ("one …", True), ("two", True), ("three", False), ("two\none 5", False)):
        page.write_text(f"```console\n$ printf 'one 5\\ntwo\\n'\n{shown}\n```\n")
        (block,) = examples.blocks(page)
        if right:
            examples.run_block(block, {})
        else:
            with pytest.raises(AssertionError, match="did not come"):
                examples.run_block(block, {})


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ false\n```\n")
    (block,) = examples.blocks(page)
    with pytest.raises(AssertionError, match="exit 1"):
        examples.run_block(block, {})
