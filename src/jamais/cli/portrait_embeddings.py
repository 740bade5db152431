"""What does a watcher of embeddings know: which clusters, born when and from what, who waits, what was answered?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jamais.cli import told
from jamais.cli.portrait import SHOWN, Facts, changed, of_version
from jamais.persistence import VersionInfo
from jamais.types import StateTree

MOST_CLUSTERS = 20


def facts(tree: StateTree, version: VersionInfo) -> Facts:
    """Give what a state knows as JSON values."""
    from jamais.recipes.embeddings import EmbeddingRecipe, EmbeddingSettings

    recipe = EmbeddingRecipe.from_state(tree)
    return {
        **of_version(version),
        "learned_from": recipe.facts.tree(),
        "unit": "rows",
        "alarm_rate": recipe.alarm_rate,
        "threshold": recipe.threshold(),
        "meaning": recipe.meaning_of_rate(),
        "calibration_rows": int(recipe.detector.calibration().n_rows),
        "clusters": _clusters(recipe),
        "events": [str(event) for event in recipe.clusters.events],
        "pending": int(recipe.clusters.pending),
        "memory": _memory(recipe),
        "answers": answers(recipe),
        "quarantine": [
            {"cause": cause, "alarms": group.alarms, "why": group.why} for cause, group in recipe.waiting.groups.items()
        ],
        "settings": tree["settings"],
        "changed_settings": changed(tree["settings"], EmbeddingSettings()),
    }


def lines(known: Facts) -> Iterator[tuple[str, str]]:
    """Tell the facts to a person: name and text."""
    learned, memory = known["learned_from"], known["memory"]
    yield "version", f"{known['version']}, {known['saved'][:19].replace('T', ' ')} UTC, {known['why']}"
    yield "", told.size(known["size_bytes"])
    for warning in known["warnings"]:
        yield "WARNING", warning
    yield "read", f"{learned['rows']:,} rows of width {learned['width']} ({learned['format']})"
    yield "alarms", f"rate {known['alarm_rate']:g} (score {known['threshold']:.2f} or more): {known['meaning']}"
    abnormal = f", {memory['abnormal']:,} abnormal ones" if memory["abnormal"] else ""
    yield "memory", f"{memory['vectors']:,} of at most {memory['capacity']:,} rows{abnormal}"
    yield "settings", ", ".join(f"{k} = {v}" for k, v in known["changed_settings"].items()) or "all as they come"
    yield from people(known)
    yield from _cluster_lines(known)


def _clusters(recipe: Any) -> list[Facts]:
    """List the living clusters by id, with how many rows each has got and where it came from."""
    names = recipe.facts.labels
    born = {event.clusters[-1]: event for event in recipe.clusters.events if event.kind in ("born", "split")}
    return [
        {
            "id": cluster,
            "rows": rows,
            "name": names[cluster] if cluster < len(names) else "",
            "born": str(born[cluster]) if cluster in born else "",
        }
        for cluster, rows in recipe.clusters.sizes.items()
    ]


def _memory(recipe: Any) -> Facts:
    memory = recipe.detector.memory
    return {
        "vectors": len(memory),
        "capacity": int(memory.capacity),
        "width": recipe.width,
        "seen": int(memory.normal.n_seen),
        "abnormal": len(memory.abnormal),
        "quarantine": len(memory.quarantine),
    }


def answers(recipe: Any) -> list[Facts]:
    """List what people have said of causes."""
    settings = recipe.settings.answers
    return [
        {
            "cause": cause,
            "belief": answer.belief(settings),
            "answers": answer.given,
            "settled": answer.settled(settings),
            "why": answer.why,
        }
        for cause, answer in recipe.answers.by_cause.items()
    ]


def people(known: Facts) -> Iterator[tuple[str, str]]:
    """Tell what people have said, and what waits for them."""
    if told_so := known["answers"]:
        settled = sum(one["settled"] for one in told_so)
        yield "answers", f"{len(told_so):,} causes answered for, {settled:,} of them settled"
        for one in told_so[-SHOWN:]:
            yield "", f"{one['belief']:>9.0%} abnormal  {one['cause']}  {one['why']}"
    if waiting := known["quarantine"]:
        yield "waiting", f"{len(waiting):,} causes in quarantine: jamais questions asks about them"
        for one in sorted(waiting, key=lambda one: -one["alarms"])[:SHOWN]:
            yield "", f"{one['alarms']:>9,} ×  {one['cause']}  {one['why']}"


def _cluster_lines(known: Facts) -> Iterator[tuple[str, str]]:
    clusters = known["clusters"]
    pending = f", {known['pending']:,} recent rows belong to none yet" if known["pending"] else ""
    yield "clusters", f"{len(clusters):,}{pending}"
    # The newest are what is new to a person; the first ones go by size.
    shown = [one for one in clusters if one["born"]][-MOST_CLUSTERS:]
    first = sorted((one for one in clusters if not one["born"]), key=lambda one: -one["rows"])
    for one in [*first[: MOST_CLUSTERS - len(shown)], *shown]:
        name = f"  {one['name']}" if one["name"] else ""
        yield "", f"{one['rows']:>9,} ×  {one['id']}{name}  {one['born'] or 'since fit'}"
    if (rest := len(clusters) - len(shown) - len(first[: MOST_CLUSTERS - len(shown)])) > 0:
        yield "", f"… and {rest:,} more: --json lists all"
