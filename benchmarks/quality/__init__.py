"""How good are the verdicts? One entry per kind of data, baselines always in the same run."""
