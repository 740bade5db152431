"""How are facts told to a person: times, sizes, what was read, what was survived?"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from jamais.types import NO_TIME

if TYPE_CHECKING:
    from jamais.watcher import Watcher

ODDITIES = {
    "undecodable": "lines with undecodable bytes",
    "nul_bytes": "NUL bytes",
    "over_long": "over-long records, cut",
    "blank": "blank lines",
    "no_time": "records without a time",
    "out_of_order": "times going back",
    "unparsed": "lines not in the format, read as text",
    "truncated": "files damaged or cut short",
    "without_group": "lines without a session, judged alone",
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def fitted(watcher: Watcher, out: str) -> None:
    """Say what was read and learned, what the alarm rate means, and what to type next."""
    tree = watcher.recipe.state_dict()
    more = {"logs": "today.log", "series": "today.csv"}.get(watcher.kind, "today.npy")
    read = {"logs": lambda: read_and_learned(tree), "series": lambda: _series_read(watcher.recipe)}
    for name, text in {
        **read.get(watcher.kind, lambda: _rows_read(watcher.recipe))(),
        "alarms": f"rate {watcher.alarm_rate:g}: {watcher.recipe.meaning_of_rate()}",
        "saved": f"{out}, version {watcher.version}",
        "next": f"jamais score {shlex.quote(out)} {more}",
    }.items():
        field(name, text)


def _rows_read(recipe: Any) -> dict[str, str]:
    """Say what rows of numbers were read, and which clusters they form."""
    facts, clusters = recipe.facts, recipe.clusters
    return {
        "read": f"{facts.rows:,} rows of width {facts.width} ({facts.format})",
        "learned": f"{clusters.n_clusters:,} clusters, {len(recipe.detector.memory):,} rows remembered",
    } | ({"note": "; ".join(recipe.said)} if recipe.said else {})


def _series_read(recipe: Any) -> dict[str, str]:
    """Say what series was read, and what is remembered of it."""
    facts, banks = recipe.facts, recipe.banks
    return {
        "read": f"{facts.rows:,} rows of {len(facts.channels):,} channels ({facts.format}), "
        f"{span(facts.first_time, facts.last_time)}",
        "learned": f"windows of up to {banks.window:,} rows in {len(banks.names)} banks",
    } | ({"note": "; ".join(recipe.said)} if recipe.said else {})


def read_and_learned(tree: Mapping[str, Any]) -> dict[str, str]:
    """Say of a state what it was learned from."""
    facts = tree["facts"]
    said = [line for line in tree.get("said", []) if not line.startswith("format: ")]
    formats = [line for line in tree.get("said", []) if line.startswith("format: ")]
    notes = [note for line in formats for note in line.split(", ")[1:]]
    unit = unit_name(tree["settings"])
    rows = f"{facts['rows']:,} {unit} in " if unit != "rows" else ""
    told = {
        "read": f"{rows}{facts['records']:,} records, {span(facts['first_time'], facts['last_time'])}",
        "format": ", ".join([facts["format"], *notes]),
        "learned": f"{len(tree['parser']['texts']):,} templates",
    }
    odd = oddities(facts["counts"])
    return told | ({"survived": odd} if odd else {}) | ({"note": "; ".join(said)} if said else {})


def unit_name(settings: Mapping[str, Any]) -> str:
    """Name what a row is, by the settings it was fitted with."""
    if settings.get("group_by"):
        return "sessions"
    return "windows" if settings.get("window") else "rows"


def oddities(counts: Mapping[str, int]) -> str:
    """Say what was survived while reading, "" when nothing was."""
    return ", ".join(f"{counts[name]:,} {words}" for name, words in ODDITIES.items() if counts.get(name))


def field(name: str, text: str) -> None:
    """Print one fact under a name."""
    click.echo(f"{name:<10}{plain(text)}")


def plain(text: str) -> str:
    """Give text that cannot move the cursor or recolour a terminal, whatever a log put into it."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain_lines(text: str) -> str:
    """Give text of several lines, each of them plain."""
    return "\n".join(plain(line) for line in text.split("\n"))


def span(first: int, last: int) -> str:
    """Write a span of microseconds UTC: from, to, and how long that is."""
    if first == NO_TIME:
        return "no times"
    begin, end = (datetime.fromtimestamp(time / 1e6, UTC) for time in (first, last))
    to = f"{end:%H:%M:%S}" if begin.date() == end.date() else f"{end:%Y-%m-%d %H:%M:%S}"
    return f"{begin:%Y-%m-%d %H:%M:%S} – {to} UTC ({duration((last - first) / 1e6)})"


def duration(seconds: float) -> str:
    """Write a duration as people do: 12 s, 4 min, 3 h, 2 d."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(time: datetime | None) -> str:
    """Write a time of a verdict."""
    return f"{time:%Y-%m-%d %H:%M:%S}" if time is not None else "no time"


def size(n_bytes: int) -> str:
    """Write a size."""
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"
