"""Pictures of metrics over time: what was abnormal and in which channels, what a memory holds, what was rebuilt."""

from jamais.plots.series.reconstruction import draw_reconstruction
from jamais.plots.series.series_plot import SeriesPlot, draw_series

__all__ = ["SeriesPlot", "draw_reconstruction", "draw_series"]
