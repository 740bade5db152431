"""What does `jamais demo` do?"""

from __future__ import annotations

from pathlib import Path

import click

from jamais.cli.progress import ProgressBar


@click.command("demo")
@click.option("--out", metavar="DIR", default="demo", show_default=True, help="Where report, logs and watcher go.")
@click.option("--recording", metavar="DIR", help="Another recording than the one that ships with jamais.")
@click.option("--seed", default=0, show_default=True, help="Seed of the pretraining.")
def command(out: str, recording: str | None, seed: int) -> None:
    """Judge a recorded incident: nginx, PostgreSQL and Redis, with eight faults made on purpose.

    Fits on the quiet part, scores the rest, compares the alarms with what was really done, and writes a page
    with a picture. Logs and watcher stay there to be played with.

    \b
    Example:
      jamais demo --out demo
      jamais inspect demo/watcher
      jamais score demo/watcher demo/today.log --top 5
    """
    from jamais.demo import draw, report, run_demo

    with ProgressBar() as progress:
        result = run_demo(Path(out), Path(recording) if recording else None, progress, seed)
    picture = draw.picture(result)
    if picture is not None:
        Path(out, "picture.png").write_bytes(picture)
    report.write_page(result, picture, Path(out, "report.html"))
    click.echo(report.as_text(result))
    click.echo(f"\nThe page with the picture: {Path(out, 'report.html')}")
    click.echo(f"Go on with: jamais score {Path(out, 'watcher')} {Path(out, 'today.log')} --top 5")
