"""Rows of numbers, read block by block: arrays, .npy, .npz, .parquet, .csv and tables."""

from jamais.sources.vectors.reader import Block, VectorReader, open_vectors
from jamais.sources.vectors.settings import VectorSettings

__all__ = ["Block", "VectorReader", "VectorSettings", "open_vectors"]
