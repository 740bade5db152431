"""Logs with an operator, alone.

python -m benchmarks.quality.online.logs                    # everything
python -m benchmarks.quality.online.logs --quick            # a short look
python -m benchmarks.quality.online.logs --flows hdfs --methods jamais
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch look

import argparse

from benchmarks.quality.online.logs.show import add_options, run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_options(parser)
    run(parser.parse_args())
