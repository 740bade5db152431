"""What does `jamais score` do?"""

from __future__ import annotations

from typing import Any

import click

from jamais.cli import given, kept
from jamais.cli.progress import ProgressBar
from jamais.cli.verdicts import outputs
from jamais.cli.verdicts.one_pass import Pass
from jamais.cli.verdicts.sinks import FORMATS


@click.command("score")
@click.argument("folder", metavar="DIR")
@click.argument("data", nargs=-1, required=True)
@click.option("--format", "format", type=click.Choice(FORMATS), help="Format [table, or by FILE's name].")
@click.option("--json", "format", flag_value="json", help="The same as --format json: one object per row.")
@click.option("--out", metavar="FILE", help="Write there, whole or not at all, not to stdout.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N most severe causes (table) or rows.")
@click.option("--only-abnormal", is_flag=True, help="Leave normal rows out.")
@click.option("--alarms", metavar="FILE.jsonl", help="Write alarm records there, for feedback later.")
@click.option("--plot", metavar="FILE.png|.html", help="Draw the scores over time there.")
@click.option("--hindsight", is_flag=True, help="Judge rows of a series by what comes after them, too.")
@click.option("--fail-on-alarm", is_flag=True, help="Exit with 1 if anything alarmed.")
def command(
    folder: str, data: tuple[str, ...], hindsight: bool, fail_on_alarm: bool, **wanted: Any,
) -> None:  # fmt: skip
    """Say which rows are unlike anything normal, and why.

    Scoring changes nothing. The data is read as a stream and never held as a whole.

    \b
    Example:
      jamais score watchers/app today.log
      jamais score watchers/app today.log --format csv --out verdicts.csv --alarms alarms.jsonl
      journalctl -o json --since today | jamais score watchers/app - --only-abnormal --json
    """
    watcher = kept.load(folder)
    with ProgressBar() as progress:
        verdicts = Pass(watcher, given.data(data), progress, hindsight=hindsight or None)
        n_alarms = outputs.write(verdicts, outputs.Wanted(**wanted), watcher)
    verdicts.say_oddities()
    if fail_on_alarm and n_alarms:
        raise click.exceptions.Exit(1)
