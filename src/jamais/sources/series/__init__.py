"""Metrics over time, read block by block: .csv, .parquet, .npz, tables and arrays, wide or long."""

from jamais.sources.series.assembler import SeriesAssembler
from jamais.sources.series.block import SeriesBlock
from jamais.sources.series.reader import SeriesReader, open_series
from jamais.sources.series.settings import SeriesReading
from jamais.sources.series.survey import is_over_time

__all__ = ["SeriesAssembler", "SeriesBlock", "SeriesReader", "SeriesReading", "is_over_time", "open_series"]
