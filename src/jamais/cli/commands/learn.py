"""What does `jamais learn` do?"""

from __future__ import annotations

import click

from jamais.cli import given, updates
from jamais.cli.memory_picture import MemoryPicture
from jamais.cli.progress import ProgressBar


@click.command("learn")
@click.argument("folder", metavar="DIR")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--trust",
    type=click.Choice(["normal", "unknown"]),
    default="normal",
    help="normal [default]: you vouch for the data. unknown: what looks abnormal waits in quarantine.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=N", help="Another limit for this update only; repeatable."
)
@click.option("--rebase", is_flag=True, help="If somebody saved meanwhile, learn again on top of that.")
@click.option("--plot", metavar="FILE.png|.html", help="Draw the memory before and after there; .html tells each row.")
@click.option("--json", "as_json", is_flag=True, help="The report as one JSON object.")
def command(
    folder: str, data: tuple[str, ...], trust: str, dry_run: bool, limits: tuple[str, ...], rebase: bool,
    plot: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Learn a little more, all of it or nothing.

    The update is refused whole, with figures, if it would make too much of what is known as normal alarm, teach
    what was confirmed as abnormal, or holds next to nothing that is known. What is accepted becomes one new
    version, with its figures; rollback goes back. If normal has moved, that is told first.

    \b
    Example:
      jamais learn watchers/app monday.log --dry-run
      jamais learn watchers/app monday.log
      jamais learn watchers/app tuesday.log --plot memory.html
    """
    picture = MemoryPicture(plot) if plot else None
    with ProgressBar() as progress:
        update = updates.Learning(given.data(data), trust, dry_run, progress, given.limits(limits))
        changing = picture.around(update) if picture else update
        report, version = updates.saved(folder, changing, rebase=rebase, dry_run=dry_run)
    if picture:
        picture.draw(version)
    updates.tell(report, version, as_json=as_json)
