"""What does a person see of the demo? A table in the terminal, a page with a picture in the browser."""

from __future__ import annotations

import base64
import html
from pathlib import Path

from jamais.demo.run import WINDOW, DemoResult

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:68em;margin:2.5em auto;padding:0 1em;color:#222}
h1{font-size:1.5em;margin-bottom:.2em} h2{font-size:1.15em;margin-top:2em} img{width:100%}
table{border-collapse:collapse;width:100%} td,th{text-align:left;padding:.35em .8em .35em 0;vertical-align:top;
border-bottom:1px solid #ddd} code{background:#f4f4f4;padding:.1em .3em} .no{color:#b00} .ok{color:#080}
"""


def as_text(result: DemoResult) -> str:
    """Give the result as lines for a terminal."""
    judgement = result.judgement
    rows = [f"  {'fault':<24}{'first alarm':>12}   why"]
    for one in judgement.found:
        heard = f"{one.delay.total_seconds():.0f} s" if one.delay is not None else "missed"
        rows.append(f"  {one.fault.name:<24}{heard:>12}   {_cut(one.why, 110)}")
    rows.append("")
    rows.append(_summary(result))
    rows += [f"  {start:%H:%M:%S}  {_cut(why, 130)}" for start, why in judgement.false_alarms]
    return "\n".join(rows)


def write_page(result: DemoResult, picture: bytes | None, path: Path) -> None:
    """Write the result as one HTML page that needs nothing beside it."""
    image = (
        f'<img alt="scores over time" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        if picture is not None
        else "<p>No picture: <code>pip install 'jamais[plots]'</code> draws one.</p>"
    )
    found = "".join(
        f"<tr><td>{html.escape(one.fault.name.replace('_', ' '))}<td>{one.fault.first_record:%H:%M:%S}"
        f"<td class={'ok' if one.in_time else 'no'}>"
        f"{f'{one.delay.total_seconds():.0f} s' if one.delay is not None else 'missed'}<td>{html.escape(one.why)}</tr>"
        for one in result.judgement.found
    )
    false = "".join(
        f"<tr><td>{start:%H:%M:%S}<td>{html.escape(why)}</tr>" for start, why in result.judgement.false_alarms
    )
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>jamais demo</title><style>{STYLE}</style>"
        f"<h1>A recorded incident, judged by jamais</h1><p>{html.escape(_summary(result))}</p>{image}"
        f"<h2>Faults that were made on purpose</h2><table><tr><th>fault<th>first record (UTC)<th>alarm after<th>why"
        f"</tr>{found}</table><h2>Alarms outside all faults</h2><table>{false or '<tr><td>none</tr>'}</table>"
        f"<h2>What was learned</h2><p>{html.escape(_learned(result))}</p>",
        encoding="utf-8",
    )


def _summary(result: DemoResult) -> str:
    judgement = result.judgement
    false = len(judgement.false_alarms)
    return (
        f"{judgement.n_in_time} of {len(judgement.found)} faults alarmed within 60 s of their first record; "
        f"{false} false alarm{'' if false == 1 else 's'} (one per cause) in {judgement.clean_hours * 60:.0f} "
        f"clean minutes; fit {result.seconds['fit']:.0f} s, score {result.seconds['score']:.1f} s."
    )


def _learned(result: DemoResult) -> str:
    watcher = result.watcher
    meaning = watcher.recipe.meaning_of_rate()
    return (
        f"{result.incident.n_lines:,} lines were recorded. What came before the first fault was learned, nothing of "
        f"the rest. Windows of {WINDOW.seconds} s; alarm rate {watcher.alarm_rate:g}: {meaning}."
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
