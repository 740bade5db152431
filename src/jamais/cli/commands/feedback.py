"""What does `jamais feedback` do?"""

from __future__ import annotations

import click

from jamais.cli import given, updates


@click.command("feedback")
@click.argument("folder", metavar="DIR")
@click.argument("data", nargs=-1)
@click.option("--alarms", metavar="FILE.jsonl", help="The alarms that the answers are about, instead of DATA.")
@click.option("--labels", required=True, metavar="FILE.csv", help="The answers: label and row, group, item or cause.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=N", help="Another limit for this update only; repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def command(
    folder: str, data: tuple[str, ...], alarms: str | None, labels: str, dry_run: bool, limits: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Take a person's answers about alarms.

    The labels file has a column label (0 normal, 1 abnormal, empty: not answered) and one of row, group, item,
    cause, or start and end in time (UTC), which answer for the alarms between them. An alarm record holds all
    that is needed: the log may be gone. What was called normal is known from now on, what was called abnormal
    alarms for ever, and no later learning can undo it unseen. Answers that would make much of what is known as
    normal alarm are refused, with figures. Without DATA and --alarms the answers are about what waits in quarantine.

    \b
    Example:
      jamais score watchers/app today.log --alarms alarms.jsonl
      jamais questions watchers/app --alarms alarms.jsonl --out answers.csv     # fill in the column label
      jamais feedback watchers/app --alarms alarms.jsonl --labels answers.csv
    """
    if data and alarms:
        raise click.UsageError("give DATA or --alarms FILE, one of the two", click.get_current_context())
    update = updates.Answering(alarms, given.data(data) if data else None, labels, dry_run, given.limits(limits))
    report, version = updates.saved(folder, update, dry_run=dry_run)
    updates.tell(report, version, as_json=as_json)
