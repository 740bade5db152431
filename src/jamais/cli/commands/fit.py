"""What does `jamais fit` do?"""

from __future__ import annotations

from typing import Any

import click

from jamais.cli import given, kept, told
from jamais.cli.progress import ProgressBar

INPUTS = ("auto", "text", "json", "logfmt", "cri", "docker", "journal", "syslog", "access")


@click.command("fit")
@click.argument("data", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["logs", "series", "embeddings"]), help="What the data is [found, of text].")
@click.option("--out", required=True, metavar="DIR", help="Folder to save the watcher in.")
@click.option("--group-by", metavar="RE", help="Judge sessions, named by group 1 of RE or by a JSON key.")
@click.option("--window", metavar="20|60s", help="Judge windows of so many lines or so much time.")
@click.option("--alarm-rate", type=float, metavar="SHARE", help="Share of normal rows that may alarm [.001].")
@click.option("--alarms-per-day", type=float, metavar="N", help="Set the alarm rate to N false alarms a day.")
@click.option("--method", metavar="NAME", help="knn, lof, iforest, cluster, reconstruction or ensemble [knn].")
@click.option("--input", type=click.Choice(INPUTS), help="Format of the log [looked at, and said].")
@click.option("--timezone", metavar="TZ", help="Zone of times written without one, like Europe/Berlin [UTC].")
@click.option("--record-start", metavar="RE", help="A record starts where RE matches [at a time stamp].")
@click.option("--message-key", metavar="KEY", help="Key of the message in JSON lines [found].")
@click.option("--no-severity", is_flag=True, help="Let an unseen line sound like trouble unpunished.")
@click.option("--set", "sets", multiple=True, metavar="K=V", help="Any setting: memory.capacity=5000; repeatable.")
@click.option("--config", metavar="FILE.toml", help="Settings from a file; --set and flags go before it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random numbers.")
def command(
    data: tuple[str, ...], kind: str | None, out: str, no_severity: bool, sets: tuple[str, ...],
    config: str | None, seed: int, **flags: Any,
) -> None:  # fmt: skip
    """Learn from scratch what is normal.

    DATA should show ordinary life: the more of its days and nights, the better. A few abnormal lines in
    it do no harm. The last 30 % of it, in time, say what "rare" means.

    With --kind series, DATA is metrics over time: .csv, .parquet, .npz or .npy, a column for each metric, or
    lines of time, name and value. With --kind embeddings, it is rows of numbers in no order.

    \b
    Example:
      jamais fit normal.log --out watchers/app
      jamais fit metrics.csv --kind series --out watchers/host --alarms-per-day 2
      jamais fit rows.npy --kind embeddings --out watchers/rows --set metric=cosine
      jamais fit 'logs/app-*.log.gz' --out watchers/app --group-by 'req=(\\w+)' --alarms-per-day 5
    """
    import jamais

    if flags["alarm_rate"] is not None and flags["alarms_per_day"] is not None:
        raise click.UsageError("--alarm-rate and --alarms-per-day set the same thing: give one of them")
    kept.say_if_taken(out)
    for name in ("input", "timezone", "record_start", "message_key"):
        flags[f"reading.{name}"] = flags.pop(name)
    flags["severity"] = False if no_severity else None
    with ProgressBar() as progress:
        watcher = jamais.fit(given.data(data), kind, out, seed, given.settings(sets, config, flags), on_event=progress)
    told.fitted(watcher, out)
