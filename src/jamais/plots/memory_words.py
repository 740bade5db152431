"""In which colour and in which words is a picture of a memory told?"""

from __future__ import annotations

from jamais.plots.memory_scene import Panel, Scene

# Told apart by people who see red and green alike (Okabe & Ito 2008, Tol 2021); black, grey and red have meanings.
_COLOURS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8C510A", "#332288", "#999933", "#AA4499",
)  # fmt: skip
_MARKERS = ("o", "s", "^", "D", "P")
NEW = "#E69F00"
RED = "#D00000"
GREY = "#9A9A9A"


def colour(label: int) -> str:
    """Give the colour of a cluster: its id alone decides it, so it never changes; grey for none."""
    return GREY if label < 0 else _COLOURS[label % len(_COLOURS)]


def marker(label: int) -> str:
    """Give the shape of a cluster's rows: clusters that share a colour differ in it."""
    return _MARKERS[max(label, 0) // len(_COLOURS) % len(_MARKERS)]


def headline(seen: Scene) -> str:
    """Say in one sentence what happened."""
    if not seen.clustered:
        new, kept = int(seen.after.new.sum()), seen.n_shared
        learned = f"{_many(new, 'new one')} learned" if new else "nothing new was learned"
        if waiting := seen.after.n_kinds["waiting"]:
            learned += f", {waiting:,} wait{'s' if waiting == 1 else ''}"
        return f"{learned}; {kept:,} of {_many(seen.before.n_kinds['normal'], 'known one')} unchanged"
    told = [f"{_many(len(seen.born), 'cluster')} born{_names(seen.born)}" if seen.born else "no cluster born"]
    if seen.gone:
        told.append(f"{len(seen.gone):,} gone{_names(seen.gone)}")
    share = f" ({100 * seen.n_moved / seen.n_shared:.2g} %)" if seen.n_moved else ""
    told.append(f"{seen.n_moved:,} of {_many(seen.n_shared, 'remembered row')} changed label{share}")
    return ", ".join(told)


def panel_title(panel: Panel, name: str, clustered: bool) -> str:
    """Say what one side shows: clusters, rows by kind, and how many of them are drawn."""
    n = panel.n_kinds["normal"]
    told = [_many(len(panel.sizes), "cluster"), f"{_many(n, 'row')} kept"] if clustered else [f"{n:,} known"]
    told += [f"{panel.n_kinds[kind]:,} {kind}" for kind in ("waiting", "abnormal") if panel.n_kinds[kind]]
    if len(panel.labels) < panel.n_rows:
        told.append(f"{len(panel.labels):,} drawn")
    return f"{name}: {', '.join(told)}"


def story(seen: Scene) -> str:
    """Say what the axes are and what the picture hides."""
    same = "Both sides have the same axes: the two directions in which all normal rows spread most"
    more = "; a colour belongs to a cluster for ever" if seen.clustered else ""
    return f"{same} ({100 * seen.spread:.0f} % of their spread, so what overlaps here need not be near){more}."


def legible(text: str, most: int) -> str:
    """Give text in one line that cannot move or hide anything, at most so long."""
    plain = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    line = " ".join(plain.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _names(ids: tuple[int, ...]) -> str:
    if len(ids) > 2 and ids[-1] - ids[0] == len(ids) - 1:
        return f" ({ids[0]}–{ids[-1]})"
    shown = ", ".join(str(one) for one in ids[:6])
    return f" ({shown}{', …' if len(ids) > 6 else ''})"


def _many(n: int, word: str) -> str:
    return f"{n:,} {word}{'' if n == 1 else 's'}"
