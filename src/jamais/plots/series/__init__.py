"""Pictures of metrics over time: what was abnormal and in which channels, what a memory holds, what was rebuilt."""

from jamais.plots.series.reconstruction import draw_reconstruction
from jamais.plots.series.series_plot import SeriesPlot, draw_series
from jamais.plots.series.usage import Usage, draw_usage, usage_of

__all__ = ["SeriesPlot", "Usage", "draw_reconstruction", "draw_series", "draw_usage", "usage_of"]
