"""Does reading a line without torch give what torch gives?"""

from __future__ import annotations

import numpy as np
import torch

from jamais.models.tinylogbert.line_encoder import EncoderSettings, LineEncoder

TEXTS = [f"worker <*> accepted job {name} from queue" for name in ("mail", "report", "backup", "index")]


def test_numpy_and_torch_read_a_line_alike() -> None:
    settings = EncoderSettings(layers=2, width=32, heads=4, inner=64, steps=3, device="cpu")
    encoder = LineEncoder.train(TEXTS, [5] * len(TEXTS), settings=settings, seed=0)
    for text in [*TEXTS, "磁盘已满", "", "a completely different line of words " * 3]:
        (window,) = encoder._windows(text)
        with torch.inference_mode():
            hidden = encoder.network(torch.tensor([window]))[0].numpy()
        pooled = hidden[1:-1] if len(window) > 2 else hidden
        np.testing.assert_allclose(encoder.encode([text])[0], pooled.mean(axis=0), atol=2e-5)
