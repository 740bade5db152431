"""The notebook of seed 002, cell by cell: a fitted DEC takes in new embeddings and old labels stay where they are.

Its two missing pieces, the loader of legacy data and the new embeddings, come from the model's memory and from digits
that the model has never seen. Run: python examples/dec_online.py (needs scikit-learn)
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from sklearn.datasets import load_digits

from jamais.evaluation import label_shift
from jamais.learning import compute_fisher, online_update
from jamais.models import DEC, load_dec_model
from jamais.types import Event

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
config = {
    "dims": [64, 128, 64, 10],
    "n_clusters": 8,
    "pretrain_epochs": 40,
    "maxiter": 400,
    "batch_size": 64,
    "update_interval": 20,
    "tol": 0.001,
    "alpha": 1.0,
}


def show(event: Event) -> None:
    """Print what a progress bar would show."""
    if event.phase == "clustering" and event.done % 100 == 0:
        figures = {name: round(event.values[name], 3) for name in ("acc", "nmi", "ari")}
        print(f"  update {event.done:>3}: {figures}")


def fit_base_model(rows: np.ndarray, digits: np.ndarray) -> None:
    """What happened before the notebook: a model learns eight digits and is saved in save_dir."""
    model = DEC(config).to(device)
    model.fit(rows, digits, on_event=show)


def main() -> None:
    rows, digits = load_digits(return_X_y=True)
    rows = rows.astype(np.float32)
    known = np.flatnonzero(digits < 8)
    old, held_out, later = known[:1000], known[1000:1200], known[1200:]
    new_emb = rows[np.concatenate([later, np.flatnonzero(digits >= 8)])]
    fit_base_model(rows[old], digits[old])

    # 加载基础模型
    base_model = load_dec_model(config, device)
    before = base_model.predict(rows[held_out])

    # 记录初始聚类中心和历史Fisher信息
    original_centers = base_model.clustering.clusters.clone().detach()
    fisher_matrix = compute_fisher(base_model, base_model.legacy_loader())  # 预计算Fisher信息

    updated_model = online_update(
        base_model, new_embeddings=new_emb, original_centers=original_centers, fisher_matrix=fisher_matrix
    )

    print(updated_model.last_report)
    shift = label_shift(before, updated_model.predict(rows[held_out]))
    print(f"{updated_model.n_clusters} clusters; {shift:.1%} of {len(held_out)} held-out old rows changed their label")
    print(f"history_centers_mask: {updated_model.clustering.history_centers_mask.tolist()}")
    updated_model.save()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        config["save_dir"] = folder
        main()
