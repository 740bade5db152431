"""How does a DEC learn: its autoencoder, its clusters, and later batches without forgetting (seed 002)?"""

from jamais.learning.dec.importance import compute_encoder_fisher, compute_fisher, elastic_loss
from jamais.learning.dec.online import OnlineSettings, online_update
from jamais.learning.dec.targets import target_distribution

__all__ = [
    "OnlineSettings",
    "compute_encoder_fisher",
    "compute_fisher",
    "elastic_loss",
    "online_update",
    "target_distribution",
]
