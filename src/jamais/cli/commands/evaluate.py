"""What does `jamais evaluate` do?"""

from __future__ import annotations

import json

import click

from jamais.cli import given, kept
from jamais.cli.progress import ProgressBar


@click.command("evaluate")
@click.argument("folder", metavar="DIR")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--labels", required=True, metavar="FILE.csv", help="The truth: label and row, group, item, cause or time."
)
@click.option("--hindsight", is_flag=True, help="Judge rows of a series by what comes after them, too.")
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object.")
def command(folder: str, data: tuple[str, ...], labels: str, hindsight: bool, as_json: bool) -> None:
    """Measure the alarms against labels.

    The labels file has a column label (0 normal, 1 abnormal) and one of row, group, item, cause, or start and
    end in time (UTC). With times, every row outside of all stretches counts as normal, and the delay from the
    start of each abnormal stretch to its first alarm is told. Rows without a label are left out.

    For a series, start and end may be row numbers, too, or the file is one 0 or 1 for each row; rows without a label
    count as normal. Its figures stand beside those of random scores and of the squared norm.

    \b
    Example:
      jamais evaluate watchers/app incident.log --labels faults.csv     # start,end,label
    """
    from jamais.cli.labels import Labels
    from jamais.cli.verdicts import figures, series_figures
    from jamais.cli.verdicts.one_pass import Pass

    watcher = kept.load(folder)
    series = watcher.kind == "series"
    truth = series_figures.labels_of(labels) if series else Labels.read(labels)
    with ProgressBar() as progress:
        verdicts = Pass(watcher, given.data(data), progress, hindsight=hindsight or None)
        if series:
            values = series_figures.Values()
            verdicts.tap(values.take)
            measured = series_figures.measured(verdicts, truth, watcher.alarm_rate, values)
        else:
            measured = figures.measured(verdicts, truth, watcher.alarm_rate)
    verdicts.say_oddities()
    write = series_figures.table if series else figures.table
    click.echo(json.dumps(measured) if as_json else write(measured))
