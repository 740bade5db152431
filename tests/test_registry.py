"""Are types found by a fixed name only?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from jamais import registry
from jamais.errors import StateError


@pytest.mark.parametrize("name", ["os.system", "jamais.recipes.logs", "jamais.recipes.logs:LogRecipe", "", "Logs"])
def test_an_unknown_name_is_refused_and_nothing_is_imported(name: str) -> None:
    before = set(sys.modules)
    with pytest.raises(StateError, match=r"this jamais knows .*logs"):
        registry.find(name)
    assert set(sys.modules) == before


def test_a_known_name_gives_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._TABLE, "info", ("jamais.persistence.versions.manifest", "VersionInfo"))
    from jamais.persistence import VersionInfo

    assert registry.find("info") is VersionInfo
    assert "info" in registry.names()


@pytest.mark.parametrize("name", registry.names())
def test_every_name_leads_to_a_class_of_ours(name: str) -> None:
    module, attribute = registry._TABLE[name]
    assert re.fullmatch(r"jamais\.[a-z_.]+", module)
    assert registry.find(name).__name__ == attribute


def test_importing_the_registry_imports_no_room() -> None:
    code = "import sys, jamais; b = set(sys.modules); import jamais.registry; print(*set(sys.modules) - b)"
    package = Path(registry.__file__).parents[1]
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert {m for m in said.stdout.split() if m.startswith("jamais")} <= {"jamais.errors", "jamais.registry"}
