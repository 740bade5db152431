"""Handwritten digits: a memory that knows eight of them meets two new ones. What did it learn, what did it forget?

Run: python examples/memory_before_and_after.py [PICTURE.png|.html]     needs jamais[sklearn]; a .png jamais[plots], too
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from jamais.evaluation.clustering import old_new_accuracy
from jamais.memory.clusters import ClusterMemory
from jamais.plots.memory_map import draw_memory
from jamais.types import MemoryRows

NEW = (0, 6)


def look(memory: ClusterMemory) -> MemoryRows:
    """Give all exemplars with the digit that each shows, as text for people."""
    said = tuple(f"a picture of {digit_of[row.tobytes()]}" for row in memory.rows)
    return MemoryRows(memory.rows, memory.labels, ("normal",) * len(memory.rows), said)


pixels, digits = load_digits(return_X_y=True)
pixels = pixels.astype(np.float32)
digit_of = {row.tobytes(): digit for row, digit in zip(pixels, digits, strict=True)}
order = np.random.default_rng(0).permutation(len(pixels))
pixels, digits = pixels[order], digits[order]
is_new = np.isin(digits, NEW)
test = np.arange(len(pixels)) % 5 == 0  # never learned, to see what they are called before and after
first = ~is_new & ~test & (np.arange(len(pixels)) % 5 < 3)
later = ~test & ~first

memory = ClusterMemory()
memory.begin(pixels[first], KMeans(8, n_init=10, random_state=0).fit_predict(pixels[first]))
before = look(memory)
called = memory.assign(pixels[test & ~is_new]).labels
print(f"{first.sum()} pictures of eight digits: {memory.n_clusters} clusters")

growth = memory.learn(pixels[later])
print(growth)

moved = (memory.assign(pixels[test & ~is_new]).labels != called).mean()
print(f"old digits that were never learned: {moved:.1%} are called otherwise now")
accuracy = old_new_accuracy(digits[test], memory.assign(pixels[test]).labels, is_new[test])
print(f"right on them: {accuracy.old:.1%}, on new digits: {accuracy.new:.1%}")

with tempfile.TemporaryDirectory() as folder:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "memory.html"
    draw_memory(before, look(memory), picture, titles=("eight digits", f"then {NEW[0]} and {NEW[1]}, too"))
    print(f"drawn: {picture.name}, {picture.stat().st_size:,} bytes")
