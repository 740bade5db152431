"""What does `jamais gc` do?"""

from __future__ import annotations

import json
from typing import Any

import click

_COUNT = click.IntRange(1)


@click.command("gc")
@click.argument("folder", metavar="DIR")
@click.option("--keep-latest", type=_COUNT, metavar="N", help="Keep the newest N.")
@click.option(
    "--keep-best", metavar="METRIC:max[:N]", help="Keep the N best (1) by a metric; :min where less is better."
)
@click.option("--keep-every-steps", type=_COUNT, metavar="N", help="Keep one for each N steps of training.")
@click.option("--keep-every", metavar="TIME", help="Keep one for each stretch of time: 1h, 1d.")
@click.option("--min-age", metavar="TIME", help="Keep whatever is younger: 2h.")
@click.option("--dry-run", is_flag=True, help="Tell what would go; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="What went and why the others stay as one JSON object.")
def command(folder: str, dry_run: bool, as_json: bool, **rules: Any) -> None:
    """Remove versions that no rule keeps, and what no version needs.

    A version stays if any rule wants it, if it bears a name, or if it is the newest. Without a rule all versions
    stay, and only files go that none of them needs.

    \b
    Example:
      jamais gc watchers/app --keep-latest 10 --keep-every 1d --dry-run
      jamais gc checkpoints --keep-best loss:min:3 --min-age 2h
    """
    from jamais.cli.versions import sweeping
    from jamais.cli.versions.where import refusals, store_at

    keep = sweeping.rules(**rules)
    with refusals(folder):
        swept = store_at(folder).gc(keep, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps(sweeping.as_json(swept, dry_run=dry_run), ensure_ascii=False))
    else:
        click.echo("\n".join(sweeping.lines(swept, keep, dry_run=dry_run)))
