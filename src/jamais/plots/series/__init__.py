"""Pictures of metrics over time: what a reconstruction missed, which channels were strange and when."""

from jamais.plots.series.reconstruction import draw_reconstruction

__all__ = ["draw_reconstruction"]
