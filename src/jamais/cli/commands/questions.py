"""What does `jamais questions` do?"""

from __future__ import annotations

import click

from jamais.cli import asking, kept


@click.command("questions")
@click.argument("folder", metavar="DIR")
@click.argument("data", nargs=-1)
@click.option("--alarms", metavar="FILE.jsonl", help="Ask about these alarms, instead of those in DATA.")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N that settle most [table: 20].")
@click.option("--out", metavar="FILE.csv", help="Write them down there, with an empty column label to fill in.")
@click.option("--plot", metavar="FILE.png", help="Draw there how much each answer would settle.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per question.")
def command(
    folder: str, data: tuple[str, ...], alarms: str | None, top: int | None, out: str | None, plot: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """List what to ask a person, the answer that settles most first.

    Alarms are grouped by cause: one answer about one row settles all repeats of its cause. Without DATA and
    --alarms, what waits in quarantine is asked about. belief is how probable it is that the cause is abnormal, by
    all that is known; a single answer may be wrong, so some are asked again.

    \b
    Example:
      jamais score watchers/app today.log --alarms alarms.jsonl
      jamais questions watchers/app --alarms alarms.jsonl --out answers.csv
      jamais feedback watchers/app --alarms alarms.jsonl --labels answers.csv    # once label is filled in
    """
    if data and alarms:
        raise click.UsageError("give DATA or --alarms FILE, one of the two", click.get_current_context())
    questions, key = asking.asked(kept.load(folder), data, alarms)
    if plot:
        from jamais.plots.questions_plot import draw_questions

        draw_questions(questions, plot)
    first = questions.head(top) if top else questions
    if out:
        asking.write_down(first, key, out)
    for line in asking.as_json(first) if as_json else asking.lines(questions, top or asking.SHOWN):
        click.echo(line)
    if len(questions):
        click.echo(f"jamais: {asking.next_step(folder, data, alarms, out)}", err=True)
