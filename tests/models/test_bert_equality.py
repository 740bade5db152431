from __future__ import annotations

import pytest
import torch

from jamais.models.tinylogbert.encoder import Encoder, EncoderShape

transformers = pytest.importorskip("transformers")

SHAPE = EncoderShape(vocabulary=97, width=48, layers=3, heads=4, inner=80, positions=20)


def copy_to_bert(ours: Encoder) -> torch.nn.Module:
    config = transformers.BertConfig(
        vocab_size=SHAPE.vocabulary,
        hidden_size=SHAPE.width,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        intermediate_size=SHAPE.inner,
        max_position_embeddings=SHAPE.positions,
        attn_implementation="eager",
    )
    bert = transformers.BertForMaskedLM(config).eval()
    state = ours.state_dict()
    theirs: dict[str, torch.Tensor] = {
        "bert.embeddings.word_embeddings.weight": state["words.weight"],
        "bert.embeddings.position_embeddings.weight": state["positions.weight"],
        "bert.embeddings.token_type_embeddings.weight": torch.zeros(2, SHAPE.width),
        "bert.embeddings.LayerNorm.weight": state["norm.weight"],
        "bert.embeddings.LayerNorm.bias": state["norm.bias"],
        "cls.predictions.transform.dense.weight": state["head.dense.weight"],
        "cls.predictions.transform.dense.bias": state["head.dense.bias"],
        "cls.predictions.transform.LayerNorm.weight": state["head.norm.weight"],
        "cls.predictions.transform.LayerNorm.bias": state["head.norm.bias"],
        "cls.predictions.bias": state["head.bias"],
        "cls.predictions.decoder.weight": state["words.weight"],
        "cls.predictions.decoder.bias": state["head.bias"],
    }
    for layer in range(SHAPE.layers):
        for kind in ("weight", "bias"):
            mixed = state[f"blocks.{layer}.mixed.{kind}"].chunk(3)
            names = ("query", "key", "value")
            for name, part in zip(names, mixed, strict=True):
                theirs[f"bert.encoder.layer.{layer}.attention.self.{name}.{kind}"] = part
            for name, mine in {
                "attention.output.dense": "output",
                "attention.output.LayerNorm": "attention_norm",
                "intermediate.dense": "widen",
                "output.dense": "narrow",
                "output.LayerNorm": "final_norm",
            }.items():
                theirs[f"bert.encoder.layer.{layer}.{name}.{kind}"] = state[f"blocks.{layer}.{mine}.{kind}"]
    bert.load_state_dict(theirs, strict=True)
    return bert


def test_the_encoder_equals_bert_with_the_same_weights() -> None:
    generator = torch.Generator().manual_seed(5)
    ours = Encoder(SHAPE).eval()
    with torch.no_grad():
        for weight in ours.parameters():  # not the quiet start weights: every tensor must matter
            weight.normal_(0.0, 0.3, generator=generator)
    bert = copy_to_bert(ours)
    ids = torch.randint(0, SHAPE.vocabulary, (5, 17), generator=generator)
    real = torch.arange(17)[None] < torch.tensor([17, 9, 3, 16, 1])[:, None]
    with torch.no_grad():
        hidden = ours(ids, real)
        wanted = bert.bert(input_ids=ids, attention_mask=real.long()).last_hidden_state
        logits = bert(input_ids=ids, attention_mask=real.long()).logits
        assert (hidden - wanted)[real].abs().max() < 1e-5
        assert (ours.guess(hidden) - logits)[real].abs().max() < 5e-5
        alone = ours(ids[1:2, :9])
        assert (alone[0] - wanted[1, :9]).abs().max() < 1e-5


def test_start_weights_come_from_the_generator_and_leave_global_numbers_alone() -> None:
    before = torch.get_rng_state()
    states = []
    for _ in range(2):
        with torch.device("meta"):
            network = Encoder(SHAPE)
        network.to_empty(device="cpu")
        network.initialise(torch.Generator().manual_seed(7))
        states.append(network.state_dict())
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert states[0]["blocks.0.attention_norm.weight"].eq(1).all()
    assert states[0]["norm.weight"].eq(1).all()
    assert states[0]["head.bias"].eq(0).all()
    assert abs(float(states[0]["words.weight"].std()) - 0.02) < 0.001
