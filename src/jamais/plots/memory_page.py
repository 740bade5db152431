"""How is a picture of a memory told as one page, where each row says what it is?"""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from jamais.plots.memory_scene import KINDS, Panel, Scene
from jamais.plots.memory_words import NEW, RED, colour, headline, legible, panel_title, story
from jamais.types import Floats

_SIDE = 560.0
_MOST_TEXT = 300
_MOST_LISTED = 200
# Nothing may be loaded from anywhere: the texts are of strangers.
_HEAD = """<!doctype html><html lang=en><meta charset=utf-8><title>jamais: a memory before and after</title>
<meta http-equiv=Content-Security-Policy 
content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
body{font:15px system-ui,sans-serif;margin:1.5em auto;max-width:78em;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.3em}h2{font-size:1em}.sides{display:flex;flex-wrap:wrap;gap:1em}.side{flex:1 1 24em}
svg{width:100%;height:auto;border:1px solid #ccc}svg.one .row{opacity:.08}svg.one .row.on{opacity:1}
.row{opacity:.7}.row.new{opacity:1;stroke:#000;stroke-width:1}
.moved{fill:none;stroke:#000;stroke-width:1.6;pointer-events:none}
.name{font:bold 15px system-ui,sans-serif;text-anchor:middle;paint-order:stroke;stroke:#fff;stroke-width:4px;
pointer-events:none}.name.born{fill:#fff;stroke:#000;stroke-width:6px}
#tip{position:fixed;display:none;max-width:34em;background:#222;color:#fff;padding:.4em .7em;border-radius:4px;
pointer-events:none;overflow-wrap:anywhere}
td,th{text-align:left;padding:.15em .9em;vertical-align:top}td.n{text-align:right}
.dot{display:inline-block;width:.8em;height:.8em;border-radius:50%}p,li{overflow-wrap:anywhere}
</style>
"""
_SCRIPT = """<div id=tip></div><script>
const tip=document.getElementById("tip"),svgs=[...document.querySelectorAll("svg")];
function tell(e){const r=e.target.closest("[data-t]");tip.style.display=r?"block":"none";
if(r){tip.textContent=r.dataset.t;
tip.style.left=Math.min(e.clientX+14,innerWidth-tip.offsetWidth-8)+"px";
tip.style.top=Math.min(e.clientY+14,innerHeight-tip.offsetHeight-8)+"px";}}
function pick(e){const r=e.target.closest("[data-c]"),c=r&&r.dataset.c;
for(const s of svgs){s.classList.toggle("one",!!c);
for(const o of s.querySelectorAll(".row"))o.classList.toggle("on",o.dataset.c===c);}}
for(const s of svgs){s.addEventListener("mousemove",tell);s.addEventListener("mouseleave",tell);
s.addEventListener("click",pick);}
for(const r of document.querySelectorAll("tr[data-c]"))r.addEventListener("click",pick);
</script></html>
"""


def page(seen: Scene, titles: tuple[str, str]) -> bytes:
    """Give the page: both sides, a table of the clusters, and what is new or waits, in words."""
    places = np.concatenate([seen.before.places, seen.after.places])
    low, high = (places.min(axis=0), places.max(axis=0)) if len(places) else (np.zeros(2), np.ones(2))
    parts = [_HEAD, f"<h1>{html.escape(headline(seen))}</h1><div class=sides>"]
    for panel, title, born in ((seen.before, titles[0], ()), (seen.after, titles[1], seen.born)):
        parts.append(f"<div class=side><h2>{html.escape(panel_title(panel, title, seen.clustered))}</h2>")
        parts += [*_svg(panel, seen.clustered, born, low, high), "</div>"]
    hint = "Point at a row to read it; click it, or a line of the table, to see its cluster alone."
    parts.append(f"</div><p>{hint if seen.clustered else hint.partition(';')[0] + '.'} {html.escape(story(seen))}</p>")
    parts += [_legend(seen), *_table(seen), *_lists(seen), _SCRIPT]
    return "".join(parts).encode("utf-8", "replace")


def _svg(panel: Panel, clustered: bool, born: tuple[int, ...], low: Floats, high: Floats) -> Iterator[str]:
    size = np.maximum(high - low, 1e-9)

    def at(place: Floats | tuple[float, float]) -> tuple[float, float]:
        x, y = 20 + (_SIDE - 40) * (np.asarray(place) - low) / size
        return float(x), float(_SIDE - y)

    yield f'<svg viewBox="0 0 {_SIDE:.0f} {_SIDE:.0f}" role=img>'
    radius = float(np.clip(90 / max(len(panel.labels), 1) ** 0.5, 2.5, 5))
    ringed = np.isin(panel.labels, born) if clustered else panel.new
    order = np.lexsort((ringed, np.array([KINDS.index(kind) for kind in panel.kinds], dtype=np.int64)))
    for i in order.tolist():
        yield _row(panel, i, at(panel.places[i]), radius, bool(ringed[i]), clustered)
    for label, centre in panel.centres.items() if clustered else ():
        x, y = at(centre)
        classes, text = ("name born", f"{label} born") if label in born else ("name", str(label))
        yield f'<text class="{classes}" x="{x:.1f}" y="{y + 5:.1f}">{text}</text>'
    yield "</svg>"


def _row(panel: Panel, i: int, place: tuple[float, float], radius: float, ringed: bool, clustered: bool) -> str:
    x, y = place
    kind, label = panel.kinds[i], int(panel.labels[i])
    shared = f'data-c="{label if kind == "normal" else kind}" data-t="{html.escape(_told(panel, i, clustered))}"'
    if kind == "normal":
        fill = NEW if ringed and not clustered else colour(label)
        r, classes = (radius * 1.4, "row new") if ringed else (radius, "row")
        circle = f'cx="{x:.1f}" cy="{y:.1f}" r='
        moved = f'<circle class=moved {circle}"{radius * 2.2:.1f}"/>' if panel.moved[i] else ""
        return f'<circle class="{classes}" {shared} fill="{fill}" {circle}"{r:.1f}"/>{moved}'
    if kind == "waiting":
        cross, look = f"M{x - 4:.1f} {y:.1f}h8M{x:.1f} {y - 4:.1f}v8", 'stroke="#777777" stroke-width="1.4"'
    else:
        cross = f"M{x - 5:.1f} {y - 5:.1f}l10 10M{x - 5:.1f} {y + 5:.1f}l10 -10"
        look = f'stroke="{RED}" stroke-width="2.4"'
    return f'<path class=row {shared} {look} d="{cross}"/>'


def _told(panel: Panel, i: int, clustered: bool) -> str:
    """Say of one row what it is."""
    kind, label = panel.kinds[i], int(panel.labels[i])
    what = {"abnormal": "confirmed abnormal", "waiting": "waiting"}.get(
        kind, f"cluster {label}" if clustered else "known"
    )
    if panel.moved[i]:
        what += f", before {int(panel.was[i])}"
    elif panel.new[i]:
        what += ", new"
    return f"{what}: {legible(panel.texts[i], _MOST_TEXT)}" if panel.texts and panel.texts[i] else what


def _legend(seen: Scene) -> str:
    kinds = {kind for panel in (seen.before, seen.after) for kind, n in panel.n_kinds.items() if n}
    told = []
    if "waiting" in kinds:
        told.append("<b style='color:#777'>+</b> waiting: nobody has vouched for it")
    if "abnormal" in kinds:
        told.append(f"<b style='color:{RED}'>×</b> confirmed abnormal")
    if seen.n_moved:
        told.append("○ has another label now")
    if seen.born:
        told.append("black edge: of a cluster that was born")
    if not seen.clustered:
        told.append(f"<span class=dot style='background:{NEW}'></span> learned in this update")
    return f"<p>{' &nbsp; '.join(told)}</p>" if told else ""


def _table(seen: Scene) -> Iterator[str]:
    if not seen.clustered:
        return
    yield "<table><tr><th><th>cluster<th>rows before<th>rows after<th></tr>"
    for label in sorted(seen.before.sizes.keys() | seen.after.sizes.keys()):
        fate = "born" if label in seen.born else "gone" if label in seen.gone else ""
        rows = "".join(f"<td class=n>{panel.sizes.get(label, 0):,}" for panel in (seen.before, seen.after))
        dot = f'<span class=dot style="background:{colour(label)}"></span>'
        yield f'<tr data-c="{label}"><td>{dot}<td>{label}{rows}<td>{fate}</tr>'
    yield "</table>"


def _lists(seen: Scene) -> Iterator[str]:
    """Tell in words what is new, waits, or was confirmed abnormal, where rows have texts."""
    panel = seen.after
    if not panel.texts:
        return
    new = np.flatnonzero(panel.new).tolist()
    kinds = np.array(panel.kinds, dtype=str)
    for name, rows in (
        ("Learned in this update", new),
        ("Waiting", np.flatnonzero(kinds == "waiting").tolist()),
        ("Confirmed abnormal", np.flatnonzero(kinds == "abnormal").tolist()),
    ):
        if rows:
            yield f"<h2>{name}</h2><ul>"
            yield from (f"<li>{html.escape(legible(panel.texts[i], _MOST_TEXT))}" for i in rows[:_MOST_LISTED])
            yield f"</ul>{f'<p>… and {len(rows) - _MOST_LISTED:,} more</p>' if len(rows) > _MOST_LISTED else ''}"
