"""A scored series as one page to look round in: zoom, point, jump from segment to segment."""

from jamais.plots.series.page.page import most_details, page

__all__ = ["most_details", "page"]
