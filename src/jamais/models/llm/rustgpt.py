"""How does a model of RustGPT-Chinese go on as one of ours?"""

from __future__ import annotations

import os

from jamais.models.llm.model import LLM
from jamais.persistence.importers.rustgpt import read_rustgpt_json


def from_rustgpt(path: str | os.PathLike[str], *, seed: int = 0) -> LLM:
    """Make an LLM of a JSON checkpoint: same logits for the same ids, and Adam goes on with its moments.

    Three things differ. Text is cut into the fewest known words instead of by jieba (the same for 99.7 % of the words
    where all are known), and what the vocabulary lacks is <|unk|> there as here, since it has no bytes. Order and
    dropout come from `seed`; the program keeps no such state. Its window of past conversation is not taken over.
    Raise what `read_rustgpt_json` raises, and CorruptStateError for settings that no LLM can have.
    """
    tree = read_rustgpt_json(path)
    kept = tree["optimizer"]["parameters"]
    steps = [moments["timestep"] for moments in kept.values()]
    parameters = {
        name: {"step": moments["timestep"], "exp_avg": moments["m"], "exp_avg_sq": moments["v"]}
        for name, moments in kept.items()
    }
    progress = {"epochs": 0, "steps": max(steps), "losses": [], "position": 0}
    return LLM.from_state(
        {
            "config": tree["config"],
            "vocab": tree["vocab"] | {"byte_fallback": False},
            "model": tree["model"],
            "optimizer": {"type": "adam"} | tree["optimizer"] | {"parameters": parameters},
            "rng": {"seed": seed},
            "trainer": progress | {"rows_sha256": "", "loss_sum": 0.0, "loss_tokens": 0},
        }
    )
