"""Six detectors, one life: fit, score, set an alarm rate, learn more, and draw what each takes for normal.

Run: python examples/detectors_map.py [PICTURE.png]       the picture needs jamais[plots]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from jamais.detectors import KNN, LOF, Cluster, Ensemble, IForest, Reconstruction
from jamais.plots.detector_plot import draw_detectors

random = np.random.default_rng(0)


def normal(n):
    """Two kinds of ordinary life: a tight one and, three times as often, a wide and slanted one."""
    tight = random.normal([-3.0, 2.0], 0.15, size=(n // 4, 2))
    wide = random.normal(size=(n - n // 4, 2)) @ [[1.6, 0.9], [0.0, 0.35]]
    return random.permutation(np.concatenate([tight, wide])).astype(np.float32)


today = np.array([[-3.0, 2.1], [0.5, 0.4], [-2.2, 2.0], [2.5, -2.0], [-1.5, 1.5]], dtype=np.float32)
detectors = {}
for Detector in (KNN, LOF, IForest, Cluster, Reconstruction, Ensemble):
    detector = Detector().fit(normal(600)).set_alarm_rate(0.01)
    detector.partial_fit(normal(200))  # more normal life; the alarm rate goes on holding
    name = Detector.__name__
    detectors[name] = detector
    print(f"{name:15}", *(f"{p:8.2g}" for p in detector.p_value(today)), "  abnormal:", detector.predict(today))

print(detectors["KNN"].explain(today[3:4])[0])

with tempfile.TemporaryDirectory() as folder:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "detectors.png"
    draw_detectors(detectors, picture, asked=today)
    print(f"drawn: {picture.name}, {picture.stat().st_size:,} bytes")
