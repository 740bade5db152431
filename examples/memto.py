"""MEMTO from data to picture: generate, train in three phases, score, draw what one window looks like.

Run: python examples/memto.py [PICTURE.png]       the picture needs jamais[plots]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from jamais.learning import initialize_memory_with_kmeans, phase1_initial_training, phase2_full_training
from jamais.models import MEMTO, MEMTOLoss
from jamais.plots.series import draw_reconstruction

# ----- Data ----- #
N_SAMPLES = 500  # training windows
N_TIMESTEPS = 100  # points in each
N_FEATURES = 3
BATCH_SIZE = 16

# ----- Model ----- #
LATENT_DIM = 64  # width of queries and memory items
N_HEADS = 4  # attention heads
NUM_MEMORY_ITEMS = 10  # size of the memory

# ----- Training ----- #
LR = 1e-4  # learning rate
PHASE1_EPOCHS = 3
PHASE2_EPOCHS = 5
LAMBDA_ENTROPY = 0.01  # weight of the entropy of attention

random = np.random.default_rng(0)


def normal(n):
    """Three channels of one machine: two waves and a slow one, in a phase of their own, with noise."""
    time = np.arange(N_TIMESTEPS) + random.uniform(0, 200, size=(n, 1))
    waves = [np.sin(time / 5), np.cos(time / 8), np.sin(time / 16)]
    return (np.stack(waves, axis=2) + random.normal(size=(n, N_TIMESTEPS, N_FEATURES)) * 0.05).astype(np.float32)


def abnormal(n):
    """As normal, but for some time one channel jumps, and later another one is stuck beyond its range."""
    windows, labels = normal(n), np.zeros((n, N_TIMESTEPS), dtype=np.int64)
    windows[:, 25:33, 0] += 3.0
    windows[:, 60:80, 1] = 1.7
    labels[:, 25:33] = labels[:, 60:80] = 1
    return windows, labels


loader = DataLoader(
    TensorDataset(torch.from_numpy(normal(N_SAMPLES))),
    batch_size=BATCH_SIZE,
    shuffle=True,
    generator=torch.Generator().manual_seed(0),
)
model = MEMTO(N_FEATURES, LATENT_DIM, N_HEADS, num_memory_items=NUM_MEMORY_ITEMS, window=N_TIMESTEPS)

print("phase 1, loss:", *(f"{loss:.3f}" for loss in phase1_initial_training(model, loader, PHASE1_EPOCHS, LR)))
initialize_memory_with_kmeans(model, loader, fraction=0.1)
criterion = MEMTOLoss(lambda_entropy=LAMBDA_ENTROPY)
losses = phase2_full_training(model, loader, criterion, PHASE2_EPOCHS, LR)
print("phase 2, loss:", *(f"{loss:.3f}" for loss in losses))
health = model.health(normal(50))
print(f"memory: use {health.usage_entropy:.2f} of 1, mean cosine between items {health.cosine:.2f}")

windows, labels = abnormal(20)
scores = model.anomaly_score(windows)
print(f"score inside anomalies {scores[labels == 1].mean():.4f}, outside {scores[labels == 0].mean():.4f}")
with torch.no_grad():
    reconstruction, queries, attention = model(torch.from_numpy(windows[:1]))

with tempfile.TemporaryDirectory() as folder:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "memto.png"
    draw_reconstruction(picture, windows[0], reconstruction[0].numpy(), scores[0], labels[0] == 1)
    print(f"drawn: {picture.name}, {picture.stat().st_size:,} bytes")
