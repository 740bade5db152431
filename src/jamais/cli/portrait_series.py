"""What does a watcher of a series know: which channels, how many windows, at which pace, what was answered?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jamais.cli import told
from jamais.cli.portrait import Facts, changed, of_version
from jamais.cli.portrait_embeddings import answers, people
from jamais.persistence import VersionInfo
from jamais.types import NO_TIME, StateTree

NAMED = 12


def facts(tree: StateTree, version: VersionInfo) -> Facts:
    """Give what a state knows as JSON values."""
    from jamais.recipes.series import SeriesRecipe, SeriesSettings

    recipe = SeriesRecipe.from_state(tree)
    capacity = recipe.settings.banks
    learned = {name: value if value != NO_TIME else None for name, value in recipe.facts.tree().items()}
    return {
        **of_version(version),
        "learned_from": learned,
        "unit": "rows",
        "alarm_rate": recipe.alarm_rate,
        "threshold": recipe.threshold(),
        "meaning": recipe.meaning_of_rate(),
        "calibration_rows": int(recipe.banks.calibration(recipe.settings.hindsight).n_rows),
        "window_rows": int(recipe.banks.window),
        "channels": _channels(recipe),
        "capacity": capacity.prototypes + capacity.kept,
        "banks": _banks(recipe),
        "answers": answers(recipe),
        "quarantine": [
            {"cause": cause, "alarms": group.alarms, "why": group.why} for cause, group in recipe.waiting.groups.items()
        ],
        "settings": tree["settings"],
        "changed_settings": changed(tree["settings"], SeriesSettings()),
    }


def lines(known: Facts) -> Iterator[tuple[str, str]]:
    """Tell the facts to a person: name and text."""
    learned = known["learned_from"]
    yield "version", f"{known['version']}, {known['saved'][:19].replace('T', ' ')} UTC, {known['why']}"
    yield "", told.size(known["size_bytes"])
    for warning in known["warnings"]:
        yield "WARNING", warning
    first, last = (NO_TIME if learned[name] is None else learned[name] for name in ("first_time", "last_time"))
    yield "read", f"{learned['rows']:,} rows ({learned['format']}), {told.span(first, last)}"
    yield from _channel_lines(known["channels"])
    yield "windows", f"up to {known['window_rows']:,} rows"
    yield from _bank_lines(known)
    yield "alarms", f"rate {known['alarm_rate']:g} (score {known['threshold']:.2f} or more): {known['meaning']}"
    yield "settings", ", ".join(f"{k} = {v}" for k, v in known["changed_settings"].items()) or "all as they come"
    yield from people(known)


def _channels(recipe: Any) -> list[Facts]:
    """List the channels with their usual value, the unit in which they are compared, and whether they ever moved."""
    scale = recipe.banks.scale
    return [
        {"name": name, "mean": float(mean), "unit": float(unit), "constant": bool(constant)}
        for name, mean, unit, constant in zip(recipe.channels, scale.mean, scale.unit, scale.constant, strict=True)
    ]


def _banks(recipe: Any) -> dict[str, Facts]:
    """Say of each bank how many windows it holds, and how evenly they stand for what was seen."""
    from jamais.plots.series import usage_of

    used = {name: usage_of(counts) for name, counts in recipe.banks.usage().items()}
    return {
        name: {
            "windows": of.n_items,
            "used": of.n_used,
            "usage_entropy": of.entropy,
            "busiest_tenth": of.top_share,
        }
        for name, of in used.items()
    }


def _channel_lines(channels: list[Facts]) -> Iterator[tuple[str, str]]:
    still = sum(one["constant"] for one in channels)
    told_still = f", {still:,} of them never moved" if still else ""
    yield "channels", f"{len(channels):,}{told_still}; usual value and the unit of deviations:"
    width = max((len(one["name"]) for one in channels[:NAMED]), default=0)
    for one in channels[:NAMED]:
        moved = "  never moved" if one["constant"] else ""
        yield "", f"{one['name']:<{min(width, 40)}}  {one['mean']:>11.4g} ± {one['unit']:.3g}{moved}"
    if (rest := len(channels) - NAMED) > 0:
        yield "", f"… and {rest:,} more: --json lists all"


def _bank_lines(known: Facts) -> Iterator[tuple[str, str]]:
    banks = known["banks"]
    windows = max((one["windows"] for one in banks.values()), default=0)
    yield "memory", f"{windows:,} of at most {known['capacity']:,} windows, looked at in {len(banks):,} ways:"
    width = max((len(name) for name in banks), default=0)
    for name, one in banks.items():
        even = f"usage entropy {one['usage_entropy']:.2f}, the busiest tenth stands for {one['busiest_tenth']:.0%}"
        yield "", f"{name:<{width}}  {one['used']:>5,} in use, {even}"
