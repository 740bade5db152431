"""What does a watcher of logs know? Read from its saved state, without any network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jamais.cli import told
from jamais.persistence import VersionInfo
from jamais.settings import as_tree
from jamais.types import NO_TIME, StateTree

Facts = dict[str, Any]

SHOWN = 5


def facts(tree: StateTree, version: VersionInfo) -> Facts:
    """Give what a state knows as JSON values."""
    from jamais.recipes.logs.settings import LogSettings

    memory, calibration = tree["meaning"]["memory"], tree["calibration"]
    learned = {name: value if value != NO_TIME else None for name, value in tree["facts"].items()}
    answers = [(told[0], told[1]) for told in tree["confirmed"].values() if told[1]]
    return {
        **of_version(version),
        "learned_from": learned,
        "unit": told.unit_name(tree["settings"]),
        "alarm_rate": tree["alarm_rate"],
        **_calibrated(tree),
        "calibration_rows": int(calibration["weights"].sum()),
        "templates": templates(tree),
        "memory": {
            "vectors": len(memory["rows"]),
            "capacity": int(memory["capacity"]),
            "width": int(memory["rows"].shape[1]),
            "seen": int(memory["n_seen"]),
        },
        "confirmed": {
            "normal": [text for abnormal, text in answers if not abnormal],
            "abnormal": [text for abnormal, text in answers if abnormal],
        },
        "quarantine": [
            {"item": item, "text": text, "times": times}
            for item, (text, times, *_) in tree["quarantine"]["items"].items()
        ],
        "settings": tree["settings"],
        "changed_settings": changed(tree["settings"], LogSettings()),
    }


def of_version(version: VersionInfo) -> Facts:
    """Give what is known of the version itself."""
    return {
        "version": version.number,
        "kind": version.kind,
        "saved": version.time,
        "why": version.reason,
        "size_bytes": version.size_bytes,
        "warnings": list(version.warnings),
    }


def templates(tree: StateTree) -> list[Facts]:
    """List the templates in order of birth, with how many rows held each."""
    parser, counts = tree["parser"], tree["unit"]["rarity"]["counts"].tolist()
    listed = []
    for at, (name, text, context) in enumerate(zip(parser["ids"], parser["texts"], parser["contexts"], strict=True)):
        if int(parser["alias"][at]) == at:  # the others have become one with an older template
            level, _, source = context.partition("\x1f")
            times = int(counts[at]) if at < len(counts) else 0
            listed.append({"item": name, "times": times, "level": level, "source": source, "text": text})
    return listed


def changed(settings: Mapping[str, Any], as_they_come: Any) -> dict[str, Any]:
    """Give the settings that differ from the defaults, by dotted name."""
    defaults = dict(flat(as_tree(as_they_come)))
    return {name: value for name, value in flat(settings) if name not in defaults or value != defaults[name]}


def flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Give settings by dotted name."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def lines(known: Facts) -> Iterator[tuple[str, str]]:
    """Tell the facts to a person: name and text."""
    learned, memory = known["learned_from"], known["memory"]
    yield "version", f"{known['version']}, {known['saved'][:19].replace('T', ' ')} UTC, {known['why']}"
    yield "", told.size(known["size_bytes"])
    for warning in known["warnings"]:
        yield "WARNING", warning
    rows = "" if known["unit"] == "rows" else f"{learned['rows']:,} {known['unit']} in "
    first, last = (NO_TIME if learned[name] is None else learned[name] for name in ("first_time", "last_time"))
    yield "read", f"{rows}{learned['records']:,} records ({learned['format']}), {told.span(first, last)}"
    if odd := told.oddities(learned["counts"]):
        yield "survived", odd
    yield "alarms", f"rate {known['alarm_rate']:g} (score {known['threshold']:.2f} or more): {known['meaning']}"
    yield "memory", f"{memory['vectors']:,} of at most {memory['capacity']:,} vectors of width {memory['width']}"
    yield "settings", ", ".join(f"{k} = {v}" for k, v in known["changed_settings"].items()) or "all as they come"
    yield from _people(known)
    yield from _template_lines(known)


def _calibrated(tree: StateTree) -> Facts:
    from jamais.detectors.calibration import Calibration
    from jamais.recipes.logs.facts import Facts as LogFacts

    calibration, rate = Calibration(), tree["alarm_rate"]
    calibration.load_state_dict(tree["calibration"])
    meaning = LogFacts(**tree["facts"]).meaning_of_rate(rate, calibration)
    return {"threshold": calibration.threshold(rate), "meaning": meaning}


def _people(known: Facts) -> Iterator[tuple[str, str]]:
    normal, abnormal = known["confirmed"]["normal"], known["confirmed"]["abnormal"]
    if normal or abnormal:
        yield "answers", f"{len(normal):,} items confirmed normal, {len(abnormal):,} abnormal"
        for text in abnormal[:SHOWN]:
            yield "", f"abnormal: {text}"
    if waiting := known["quarantine"]:
        yield "waiting", f"{len(waiting):,} items in quarantine: answer with jamais feedback"
        for one in sorted(waiting, key=lambda one: -one["times"])[:SHOWN]:
            yield "", f"{one['times']:>9,} ×  {one['item']}  {one['text']}"


def _template_lines(known: Facts) -> Iterator[tuple[str, str]]:
    born = known["templates"]
    yield "templates", f"{len(born):,}, the most frequent:"
    for one in sorted(born, key=lambda one: -one["times"])[:SHOWN]:
        yield "", f"{one['times']:>9,} ×  {one['text']}"
    if len(born) > SHOWN:
        yield "", "the newest:"
        for one in born[: -SHOWN - 1 : -1]:
            yield "", f"{one['times']:>9,} ×  {one['text']}"
