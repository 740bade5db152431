"""Of which detectors is an ensemble made?"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from jamais import registry
from jamais.detectors.detector import Detector
from jamais.detectors.reconstruction import Reconstruction
from jamais.errors import SettingsError
from jamais.memory.feature_memory import FeatureMemory

KINDS = ("knn", "lof", "iforest", "cluster", "reconstruction")
"""Types that a name or a saved state may ask for, and the members of an ensemble that was told nothing."""

Wanted = str | Detector | Mapping[str, Any]


def made(wanted: Iterable[Wanted] | None, common: Mapping[str, Any], memory: FeatureMemory) -> dict[str, Detector]:
    """Make the members by name, all over `memory`: from type names, settings as in `described`, or detectors.

    A detector that already shares `memory` becomes a member itself; of any other an unfitted copy does.
    `common` settings go to members asked for by name, as far as they know them.
    """
    members: dict[str, Detector] = {}
    for one in KINDS if wanted is None else wanted:
        name, member = _member(one, common, memory)
        members[_free(name, members)] = member
    if not members:
        raise SettingsError(f"an ensemble wants at least one detector: any of {', '.join(KINDS)}")
    return members


def described(members: Mapping[str, Detector]) -> list[dict[str, Any]]:
    """Say of each member its name, type and settings, as JSON values that `made` understands."""
    return [{"name": name, "type": registry.name_of(one), "settings": one.settings()} for name, one in members.items()]


def keep_models(members: Mapping[str, Detector], before: Mapping[str, Detector]) -> None:
    """Give loaded `members` the models from outside that those of the same name had `before`: no state holds them."""
    for name, one in members.items():
        given = before.get(name)
        if (
            isinstance(one, Reconstruction)
            and isinstance(given, Reconstruction)
            and one.model == "external" != given.model
        ):
            one.model = given.model


def _member(wanted: Wanted, common: Mapping[str, Any], memory: FeatureMemory) -> tuple[str, Detector]:
    if isinstance(wanted, str):
        kind = _kind(wanted)
        known = inspect.signature(kind).parameters
        settings = {name: value for name, value in common.items() if name in known}
        return wanted, _new(kind, settings, memory)
    if isinstance(wanted, Mapping):
        return str(wanted["name"]), _new(_kind(wanted["type"]), dict(wanted["settings"]), memory)
    if not isinstance(wanted, Detector):
        raise SettingsError(f"an ensemble takes detectors or names of them, got {type(wanted).__name__}")
    if hasattr(wanted, "detectors"):
        raise SettingsError("an ensemble is no member of another: give its detectors")
    name = type(wanted).__name__.lower()
    return name, wanted if wanted.memory is memory else _new(type(wanted), wanted.get_params(), memory)


def _kind(name: Any) -> type[Any]:
    if name not in KINDS:
        raise SettingsError(f"an ensemble knows {', '.join(KINDS)}, got {name!r}: give the detector itself")
    return registry.find(name)


def _new(kind: type[Any], settings: dict[str, Any], memory: FeatureMemory) -> Detector:
    member: Detector = kind(**settings, memory=memory)
    return member


def _free(name: str, taken: Mapping[str, Detector]) -> str:
    """Give a name that no other member has: knn, knn-2, …"""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
