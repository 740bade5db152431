"""How do watchers and clusters learn on without forgetting, beside others, in one run?

    python -m benchmarks.quality.online                      # everything
    python -m benchmarks.quality.online --only clusters --cache DIR --resume
    python -m benchmarks.quality.online --quick              # a short look, no file

Parts: "clusters" (new classes in streams of rows) and "logs" (an operator who answers). Each part is a package here
with `show.run(options)` and `show.add_options(parser)`; `--only PART --help` lists what it wants to know.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch look

import argparse
import sys
from importlib import import_module
from typing import Any

PARTS = ("clusters", "logs")


def main(arguments: list[str] | None = None) -> dict[str, list[Any]]:
    """Run the parts that are asked for, and give their rows."""
    given = sys.argv[1:] if arguments is None else arguments
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_only(first)
    parts = _parts(first.parse_known_args(given)[0].only)
    modules = {part: import_module(f"benchmarks.quality.online.{part}.show") for part in parts}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    _add_only(parser)
    for module in modules.values():
        module.add_options(parser)
    options = parser.parse_args(given)
    if len(parts) > 1 and options.out is not None:
        parser.error("--out names one file: give --only clusters or --only logs")
    return {part: module.run(options) for part, module in modules.items()}


def _add_only(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas: " + ",".join(PARTS))


def _parts(names: str) -> list[str]:
    parts = [name.strip() for name in names.split(",")]
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise SystemExit(f"no part is called {', '.join(unknown)}: choose among {', '.join(PARTS)}")
    return parts


if __name__ == "__main__":
    main()
