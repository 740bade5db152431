"""What does `jamais watch` do?"""

from __future__ import annotations

from typing import Any

import click

from jamais.cli import kept
from jamais.cli.live import begin


@click.command("watch")
@click.argument("folder", metavar="DIR")
@click.argument("log", metavar="[FILE|-]", default="-")
@click.option("--resume", is_flag=True, help="Go on where the last watch with --resume of this file stopped.")
@click.option("--from-start", is_flag=True, help="Begin at the start of the file, not at its end.")
@click.option("--idle", default="5m", show_default=True, metavar="TIME", help="Silence that ends a session.")
@click.option("--group-end", metavar="RE", help="A line that matches ends its session at once.")
@click.option("--format", "format", type=click.Choice(["table", "json"]), default="table", help="How to print.")
@click.option("--json", "format", flag_value="json", help="The same as --format json: one object per alarm.")
@click.option("--alarms", metavar="FILE.jsonl", help="Append every alarm's record there, for feedback later.")
def command(
    **wanted: Any,
) -> None:
    """Score a log, or metrics in a .csv, while it is being written.

    Prints an alarm within a second of its line. Alarms of one cause are told once, then counted ("… 41
    more in the last minute") at growing intervals. Follows the file across rotation, by renaming or by
    truncating. After a crash, --resume tells the alarms of the last seconds twice rather than never.

    \b
    Example:
      jamais watch watchers/app /var/log/app.log --resume --alarms alarms.jsonl
      kubectl logs -f deploy/app | jamais watch watchers/app -
    """
    begin.watch(kept.load(wanted["folder"]), begin.Wanted(**wanted))
