"""What does a watcher of a series know: which channels, how many windows, at which pace, what was answered?"""

from __future__ import annotations

from collections.abc import Iterator

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
    learned = {name: value if value != NO_TIME else None for name, value in recipe.facts.tree().items()}
    return {
        **of_version(version),
        "learned_from": learned,
        "unit": "rows",
        "alarm_rate": recipe.alarm_rate,
        "threshold": recipe.threshold(),
        "meaning": recipe.meaning_of_rate(),
        "calibration_rows": int(recipe.banks.calibration(recipe.settings.hindsight).n_rows),
        "period": int(recipe.banks.period),
        "rows_looked_back": int(recipe.banks.past),
        "banks": {name: len(counts) for name, counts in recipe.banks.usage().items()},
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
    channels = learned["channels"]
    more = f" and {len(channels) - NAMED:,} more" if len(channels) > NAMED else ""
    yield "channels", f"{len(channels):,}: {', '.join(channels[:NAMED])}{more}"
    period = f", period {known['period']:,} rows" if known["period"] else ""
    yield "windows", f"up to {known['rows_looked_back'] + 1:,} rows{period}"
    yield "memory", ", ".join(f"{name} {size:,}" for name, size in known["banks"].items())
    yield "alarms", f"rate {known['alarm_rate']:g} (score {known['threshold']:.2f} or more): {known['meaning']}"
    yield "settings", ", ".join(f"{k} = {v}" for k, v in known["changed_settings"].items()) or "all as they come"
    yield from people(known)
