"""How is a scored series put into one page that needs no other file, no network, and trusts no name in the data?"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jamais.plots.memory_words import legible
from jamais.plots.series.scene import Scene, headline, told, when
from jamais.plots.series.segments import GUILTY, Segment
from jamais.plots.series.trace import MOST_BUCKETS
from jamais.types import Floats

MOST_CHANNELS = 40
"""Channels in a page: the most responsible ones."""
MOST_SEGMENTS = 200
_SHOWN = 4  # channels shown at first
_MOST_NUMBERS = 700_000  # of channels; 6 bytes of the page each
_LOG_FROM = 25.0
_WHY = 300


def most_details(n_channels: int) -> int:
    """Give how many buckets a page of so many channels may have beside those of the whole."""
    return max(0, _MOST_NUMBERS // (2 * max(1, min(n_channels, MOST_CHANNELS))) - MOST_BUCKETS)


def page(seen: Scene, title: str = "") -> bytes:
    """Give the page as bytes: words for everybody, and what the script needs to draw."""
    listed = sorted(seen.segments, key=lambda one: (-one.score, one.first_row))[:MOST_SEGMENTS]
    kept = seen.ranking[:MOST_CHANNELS]
    script, style = (_beside(name) for name in ("page.js", "page.css"))
    name = legible(title, 200) or headline(seen)
    # Only the script whose hash stands here may run, whatever the data says.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_sha256(script)}'"
    parts = [
        '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">',
        f'<meta http-equiv=Content-Security-Policy content="{policy}">',
        f"<title>jamais: {html.escape(name)}</title><style>{style}</style>",
        f"<h1>{html.escape(name)}</h1>",
        f"<p class=when>{html.escape(when(seen) if not title else f'{headline(seen)}; {when(seen)}')}</p>",
        "<main><section>",
        _CONTROLS,
        "<canvas id=panels tabindex=0 role=img aria-label='The channels, and the score below them'></canvas>",
        "<canvas id=strip role=img aria-label='The score of the whole series, with what is shown framed'></canvas>",
        "<p class=note>A pale block is several rows: from the least value to the largest.</p>",
        "<noscript><p>The picture is drawn by a script, which is switched off here.</noscript></section><aside>",
        *_segments(seen, listed),
        *_channels(seen, kept),
        "</aside></main><div id=read></div><p id=said role=status></p>",
        f"<script type=application/json id=data>{_json(_data(seen, listed, kept))}</script>",
        f"<script>{script}</script></html>\n",
    ]
    return "".join(parts).encode("utf-8", "replace")


_CONTROLS = """<div class=bar><button id=all title="Show everything (0)">all</button>
<button id=out title="Zoom out (-)" aria-label="zoom out">−</button>
<button id=in title="Zoom in (+)" aria-label="zoom in">+</button>
<button id=before title="Previous segment (p)">← segment</button>
<button id=next title="Next segment (n)">segment →</button>
<label><input type=checkbox id=fit checked> fit heights to what is shown</label>
<label><input type=checkbox id=follow checked> channels of the segment first</label>
<label><input type=checkbox id=log> score on a log scale</label>
<span class=keys>drag or ← → moves, wheel or + − zooms, n p segments, , . row by row, 0 all</span></div>
"""


def _segments(seen: Scene, listed: list[Segment]) -> Iterator[str]:
    yield "<h2>Segments, the worst first</h2><ol id=segments>"
    for i, segment in enumerate(listed):
        what, _, who = told(seen, segment).partition(": ") if segment.blame else (told(seen, segment), "", "")
        why = legible(segment.why, _WHY)
        more = "".join(f"<span>{html.escape(text)}</span>" for text in (who, why) if text)
        yield f"<li><button data-i={i}><b>{i + 1}</b>{html.escape(what)}{more}</button>"
    yield "</ol>"
    if not listed:
        yield "<p class=note>No row is abnormal.</p>"
    elif seen.n_segments > len(listed):
        yield f"<p class=note>… and {seen.n_segments - len(listed):,} milder ones</p>"


def _channels(seen: Scene, kept: tuple[int, ...]) -> Iterator[str]:
    if not kept:
        return
    yield "<h2>Channels, the most responsible first</h2><ul id=channels>"
    for i, channel in enumerate(kept):
        share = float(seen.blame[channel])
        said = "" if share <= 0 else "<1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")
        box = f"<input type=checkbox value={i}{' checked' if i < _SHOWN else ''}>"
        yield f"<li><label>{box}<span>{html.escape(seen.channels[channel])}</span><i>{html.escape(said)}</i></label>"
    yield "</ul>"
    if rest := len(seen.channels) - len(kept):
        yield f"<p class=note>{rest:,} more channels are not in this page.</p>"


def _data(seen: Scene, listed: list[Segment], kept: tuple[int, ...]) -> dict[str, Any]:
    buckets, places = seen.buckets, seen.places
    origin = int(places[0, 0]) if len(places) else 0
    named = [seen.channels[channel] for channel in kept]
    others: list[str] = []

    def number(name: str) -> int:
        name = legible(name, 60)
        if name in named:
            return named.index(name)
        if name not in others:
            others.append(name)
        return len(named) + others.index(name)

    segments = [
        {
            "rank": i + 1,
            "from": seen.span(one)[0] - origin,
            "to": seen.span(one)[1] - origin,
            "told": told(seen, one).partition(": ")[0] if one.blame else told(seen, one),
            "why": legible(one.why, _WHY),
            "blame": [[number(name), round(share, 4)] for name, share in one.responsible()[:8]],
        }
        for i, one in enumerate(listed)
    ]
    known = buckets.score[np.isfinite(buckets.score) & (buckets.score > 0)]
    worst = float(known.max(initial=0.0))
    threshold = float(seen.threshold)
    return {
        "timed": seen.timed, "origin": origin, "step": seen.step, "threshold": threshold, "guilty": GUILTY,
        "log": bool(0 < _LOG_FROM * threshold < worst),
        "floor": max(float(np.quantile(known, 0.02)) if len(known) else 0.0, 1e-3 * max(threshold, 1e-9)),
        "first": _packed(places[:, 0] - origin, "<f8"), "last": _packed(places[:, 1] - origin, "<f8"),
        "scoreHigh": _packed(buckets.score, "<f4"), "scoreLow": _packed(buckets.score_low, "<f4"),
        "p": _packed(buckets.p_value, "<f4"), "breaks": _packed(seen.breaks, "u1"),
        "abnormal": _packed(buckets.abnormal, "u1"),
        "channels": [_channel(seen, channel) for channel in kept], "others": others,
        "shown": list(range(min(_SHOWN, len(kept)))), "segments": segments,
        "truth": [[first - origin, last - origin] for first, last in seen.truth],
    }  # fmt: skip


def _channel(seen: Scene, channel: int) -> dict[str, Any]:
    """Pack a channel as distances from its middle, so that small changes of large values survive."""
    low, high = seen.buckets.low[:, channel], seen.buckets.high[:, channel]
    known = low[np.isfinite(low)]
    base = float(np.median(known)) if len(known) else 0.0
    return {
        "name": seen.channels[channel],
        "base": base,
        "low": _packed(_within(low - base), "<f4"),
        "high": _packed(_within(high - base), "<f4"),
    }


def _within(values: Floats) -> Floats:
    return np.clip(values, -3e38, 3e38)


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()


def _json(data: dict[str, Any]) -> str:
    """Write JSON that cannot end the element it stands in."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
