"""Train a small Chinese model, save it every ten epochs, and go on from epoch 50 as if it had never stopped.

The training and the resume example of the document "模型持久化使用指南", in Python.
Run: python examples/llm_save_and_resume.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from jamais.models import LLM, Vocab
from jamais.persistence import load_model_auto, load_model_binary, save_model_binary, save_model_json

TEXTS = [
    "中国是一个历史悠久的国家",
    "人工智能技术正在快速发展",
    "学而时习之，不亦说乎",
    "三人行，必有我师焉",
    "千里之行，始于足下",
]
EPOCHS, RATE = 100, 0.001


def new_model() -> LLM:
    """Make the vocabulary of the texts and an untrained model for it."""
    words: set[str] = set()
    Vocab.process_text_for_vocab(TEXTS, words)
    return LLM(Vocab(sorted(words)), width=128, n_layers=2, n_heads=8, seed=0)


def train_with_checkpoints(folder: Path) -> LLM:
    """Train all epochs and save every ten of them."""
    llm = new_model()
    print(f"vocabulary: {len(llm.vocab)} words, model: {llm.n_parameters:,} numbers")
    for epoch in range(1, EPOCHS + 1):
        (loss,) = llm.train(TEXTS, 1, RATE)
        if epoch % 10 == 0:
            path = folder / f"checkpoints/model_epoch_{epoch}.bin"
            save_model_binary(llm, path)
            print(f"epoch {epoch:>3}: loss {loss:.3f}, saved {path.relative_to(folder)}")
    return llm


def continue_training(folder: Path) -> LLM:
    """Load the checkpoint of epoch 50 and train the other half."""
    llm: LLM = load_model_binary(folder / "checkpoints/model_epoch_50.bin")
    print(f"loaded epoch {llm.epochs}: weights, Adam's moments, order and chance are those of that moment")
    llm.train(TEXTS, EPOCHS - llm.epochs, RATE)
    return llm


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = train_with_checkpoints(folder)
        resumed = continue_training(folder)
        assert resumed.losses == whole.losses
        equal = all(
            one.equal(other)
            for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True)
        )
        assert equal
        print("50 epochs, saved, loaded, and 50 more = 100 epochs: every bit of the weights is the same")

        save_model_binary(resumed, folder / "model_final.bin")
        save_model_json(resumed, folder / "exports/model_weights.json", verify=True)
        for saved in ("model_final.bin", "exports/model_weights.json"):
            path = folder / saved
            llm = load_model_auto(path)
            print(f"{saved} ({path.stat().st_size / 2**20:.1f} MiB): 人工智能 → 人工智能{llm.predict('人工智能')}")


if __name__ == "__main__":
    main()
