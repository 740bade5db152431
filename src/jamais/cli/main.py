"""Which commands does `jamais` have, and what does a person hear when something goes wrong?

A command's module is imported only when that command is typed: `--help` costs what click costs.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import FrameType

import click

from jamais.cli import output
from jamais.errors import JamaisError
from jamais.version import __version__

COMMANDS = {
    "demo": "Judge a recorded incident: nginx, PostgreSQL and Redis, with eight faults made on purpose.",
    "fit": "Learn from scratch what is normal.",
    "score": "Say which rows are unlike anything normal, and why.",
    "watch": "Score a log, or metrics in a .csv, while it is being written.",
    "learn": "Learn a little more, all of it or nothing.",
    "questions": "List what to ask a person, the answer that settles most first.",
    "feedback": "Take a person's answers about alarms.",
    "evaluate": "Measure the alarms against labels.",
    "history": "List the saved versions.",
    "rollback": "Make an older version current.",
    "promote": "Let a name mean a version.",
    "inspect": "Show what a watcher knows, or what a saved state holds.",
    "diff": "Tell in what two saved states differ.",
    "convert": "Write a saved state as a file, a JSON text or a folder.",
    "verify": "Check that every saved byte is what was written.",
    "fsck": "Examine a store: what is damaged, left over, foreign, and what to do.",
    "gc": "Remove versions that no rule keeps, and what no version needs.",
}

STORY = """\
Learn what is normal in your logs, remember it, and say what has never been seen.

\b
  jamais fit normal.log --out watchers/app     # learn a day of ordinary life
  jamais score watchers/app today.log          # what is unlike it, and why
  jamais watch watchers/app /var/log/app.log   # the same, line by line, as it comes

DATA is a log in nearly any format: plain text, syslog, JSON lines, logfmt, journald exports, Docker,
Kubernetes or access logs; .gz, .xz and .zst too; several files, a quoted 'pattern*.log', or - for standard
input. Nothing has to be parsed or configured first. DIR is a folder that holds one watcher, all its versions.

\b
Lines of one session (a request, a job, a block) are judged together when you say what names it:
  jamais fit normal.log --out DIR --group-by 'req=(\\w+)'     # or by time: --window 60s

\b
Every row that is scored (a line, a session or a window) gets
  score      how unlike normal it is, in nats: higher is stranger, one known by heart scores about 0
  p_value    the share of normal rows that score as high; extrapolated below 1 / (calibration rows)
  abnormal   true when p_value is at most the alarm rate, which you choose: --alarm-rate .001
  why        the line and the event responsible, in words
  cause      what makes it abnormal: alarms of one cause are told once, with how often they came

\b
An alarm was right or wrong? Say so, and it is remembered:
  jamais score DIR today.log --alarms alarms.jsonl
  jamais questions DIR --alarms alarms.jsonl --out answers.csv       # which answers settle most: fill in label
  jamais feedback DIR --alarms alarms.jsonl --labels answers.csv     # 0 normal, 1 abnormal, empty: not answered
  jamais learn DIR more.log                                          # data you vouch for
  jamais history DIR && jamais rollback DIR 2                        # each change is a version

Results go to standard output, progress to standard error; --json where a machine reads. Exit code 0: done,
1: found something where you asked for that, 2: a mistake, told in one line with the next step.
"""


class _Lazy(click.Group):
    """Looks commands up in the table above; the texts of the overview come from there, too."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"jamais.cli.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands (each has --help with an example)"):
            formatter.write_dl(list(COMMANDS.items()))


cli = _Lazy(
    name="jamais",
    help=STORY,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="Print the version.",
            callback=lambda ctx, _, asked: _version(ctx) if asked else None,
        )
    ],
)


def main() -> None:
    """Be the program `jamais`."""
    signal.signal(signal.SIGTERM, _terminated)
    output.make_whole()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say and give the exit code; every mistake is told in one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # A log may hold what this terminal's encoding cannot show: that is no reason to stop.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        with cli.make_context("jamais", list(arguments)) as context:
            cli.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message())
        return 2
    except click.ClickException as mistake:
        return _tell(mistake.format_message(), getattr(mistake, "ctx", None))
    except JamaisError as mistake:
        # Some carry more than their sentence.
        return _tell(str(mistake.args[0] if mistake.args else mistake))
    except (KeyboardInterrupt, click.Abort):
        print("\njamais: stopped; nothing was changed", file=sys.stderr)
        return 130
    except BrokenPipeError:
        output.let_go()
        return 0
    except output.OutputError as wrong:
        output.let_go()
        return _tell(f"cannot write to standard output: {wrong.strerror}")


def _tell(message: str, context: click.Context | None = None) -> int:
    from jamais.cli import told  # only now: it costs an import of numpy

    line = "; ".join(part.strip() for part in message.splitlines() if part.strip())
    where = f" (see {context.command_path} --help)" if context is not None else ""
    print(f"jamais: {told.plain(line)}{where}", file=sys.stderr)
    return 2


def _version(context: click.Context) -> None:
    click.echo(f"jamais {__version__}")
    context.exit()


def _terminated(signum: int, frame: FrameType | None) -> None:
    # As an exception, so that files half written are removed on the way out.
    raise SystemExit(128 + signum)
