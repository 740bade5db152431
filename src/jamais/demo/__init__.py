"""The recorded incident that ships with jamais: learn its quiet part, judge the rest, compare with the labels."""

from jamais.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
