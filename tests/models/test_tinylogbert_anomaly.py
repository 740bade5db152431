"""Does the memory of normal lines live the life that seed 000 documents: learn, fit, judge, switch, save, load?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jamais.errors import InputError, NotReadyError, SettingsError
from jamais.models import TinyLogBERT
from jamais.models.tinylogbert import EncoderSettings, LineEncoder
from jamais.persistence import VersionStore
from jamais.persistence.faces.models import (
    load_model_auto,
    save_model_binary,
    save_model_folder,
    save_model_json,
)
from jamais.persistence.tree import state_sha256

transformers = pytest.importorskip("transformers")

TINY = EncoderSettings(layers=2, width=32, heads=2, inner=48, vocabulary=640, steps=2, batch=8, device="cpu")
VERBS = ("opened", "closed", "started", "stopped", "joined", "left")
THINGS = ("session", "socket", "volume", "worker", "lease")
NORMAL = [f"{thing} {n} {verb} by user" for n, thing in enumerate(THINGS * 6) for verb in VERBS[: 2 + n % 3]]
MORE = [f"{thing} was {verb} on node {n}" for n, thing in enumerate(THINGS) for verb in VERBS]
STRANGE = ["kernel panic: not syncing", "磁盘故障 在 <*>", "x", "segfault at 0 ip 0 sp 0 error 4 in libc.so" * 3]
METHODS = ["knn", "cluster", "lof", "iforest", "reconstruction"]
ALL = [*METHODS, "ensemble"]


@pytest.fixture(scope="module")
def encoder() -> LineEncoder:
    return LineEncoder.train(NORMAL + MORE, [1] * len(NORMAL + MORE), settings=TINY, seed=1)


@pytest.fixture
def empty(encoder: LineEncoder) -> TinyLogBERT:
    return TinyLogBERT.from_line_encoder(encoder)


@pytest.fixture(scope="module")
def tokenizer(encoder: LineEncoder, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    TinyLogBERT.from_line_encoder(encoder).save_pretrained(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def tokens(tokenizer: Any, lines: list[str], padding: Any = "max_length", **words: Any) -> dict[str, torch.Tensor]:
    length = {"max_length": 128} if padding == "max_length" else {}
    return dict(tokenizer(lines, padding=padding, truncation=True, return_tensors="pt", **length, **words))


def learn(model: TinyLogBERT, tokenizer: Any, lines: list[str]) -> Any:
    with torch.no_grad():
        return model(**tokens(tokenizer, lines), training_phase=True, update_memory=True)


def fit(model: TinyLogBERT) -> TinyLogBERT:
    for _name, detector in model.anomaly_methods.items():
        detector.fit(force=True)
    return model


@pytest.fixture
def model(empty: TinyLogBERT, tokenizer: Any) -> TinyLogBERT:
    learn(empty, tokenizer, NORMAL)
    return fit(empty)


def judged(model: TinyLogBERT, tokenizer: Any, lines: list[str], **words: Any) -> Any:
    with torch.no_grad():
        return model(**tokens(tokenizer, lines, **words))


def scores(model: TinyLogBERT, tokenizer: Any, lines: list[str] = MORE + STRANGE, **words: Any) -> dict[str, bytes]:
    found = {}
    before = model.anomaly.method
    for method in ALL:
        model.set_detection_method(method)
        output = judged(model, tokenizer, lines, **words)
        found[method] = output.anomaly_scores.numpy().tobytes() + output.is_anomaly.numpy().tobytes()
    model.set_detection_method(before)
    return found


# --- the document, call by call


def test_every_call_of_the_document_works(empty: TinyLogBERT, tokenizer: Any, tmp_path: Path, capsys: Any) -> None:
    model, device = empty, "cpu"
    new_normal_logs = NORMAL
    inputs = tokenizer(new_normal_logs, padding="max_length", truncation=True, max_length=128, return_tensors="pt").to(
        device
    )
    with torch.no_grad():
        outputs = model(**inputs, training_phase=True, update_memory=True)
    for _name, detector in model.anomaly_methods.items():
        detector.fit(force=True)
    model.save_pretrained(str(tmp_path / "model_with_updated_features"))
    tokenizer.save_pretrained(str(tmp_path / "model_with_updated_features"))
    assert outputs.features.shape == (len(NORMAL), 32)
    model.set_detection_method("knn")
    model.set_detection_method("ensemble")
    model = TinyLogBERT.from_pretrained(str(tmp_path / "model_with_updated_features"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(tmp_path / "model_with_updated_features"))
    for method, detector in model.anomaly_methods.items():
        if detector.memory_features is not None:
            print(f"{method} 检测器: {len(detector.memory_features)} 个特征")
    assert capsys.readouterr().out == "".join(f"{name} 检测器: {len(NORMAL)} 个特征\n" for name in METHODS)
    outputs = judged(model, tokenizer, STRANGE)
    assert (outputs.anomaly_scores.shape, outputs.is_anomaly.dtype) == ((4,), torch.bool)


def test_the_folder_is_as_the_document_draws_it(model: TinyLogBERT, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    drawn = {"config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"}
    drawn |= {"detectors/detector_config.json", "detectors/ensemble_performance.json"}
    drawn |= {f"detectors/{name}_{what}" for name in METHODS for what in ("features.npy", "params.json")}
    assert drawn <= found
    assert found - drawn == {"MANIFEST.json", "state.json", "state.safetensors", "tokenizer.json"}
    for name in METHODS:
        rows = np.load(tmp_path / f"detectors/{name}_features.npy")
        assert np.array_equal(rows, model.anomaly_methods[name].memory_features)
    assert len({(tmp_path / f"detectors/{name}_features.npy").stat().st_ino for name in METHODS}) == 1


# --- what is remembered, and when


def test_nothing_is_judged_before_something_is_remembered(empty: TinyLogBERT, tokenizer: Any) -> None:
    for method in ALL:
        empty.set_detection_method(method)
        output = judged(empty, tokenizer, STRANGE)
        assert output.anomaly_scores is None
        assert output.is_anomaly is None
    assert all(detector.memory_features is None for detector in empty.anomaly_methods.values())
    output = learn(empty, tokenizer, NORMAL)
    assert output.anomaly_scores is None, "lines that are learned are not judged"
    output = judged(empty, tokenizer, STRANGE)
    assert output.anomaly_scores is not None
    assert output.is_anomaly is None, "there is no threshold before fit"
    with pytest.raises(NotReadyError, match="fit"):
        _ = empty.anomaly_methods["knn"].threshold_


def test_scores_follow_an_update_at_once_and_fit_moves_the_threshold(model: TinyLogBERT, tokenizer: Any) -> None:
    for method in METHODS[:1]:
        model.set_detection_method(method)
        before = judged(model, tokenizer, MORE).anomaly_scores
        threshold = model.anomaly_methods[method].threshold_
        for _ in range(5):
            learn(model, tokenizer, MORE)
        assert judged(model, tokenizer, MORE).anomaly_scores.max() == 0 < before.min()
        assert model.anomaly_methods[method].threshold_ == threshold
        fit(model)
        assert model.anomaly_methods[method].threshold_ != threshold


def test_features_enter_the_memory_with_dropout_off_in_training_mode_too(
    model: TinyLogBERT, empty: TinyLogBERT, tokenizer: Any, encoder: LineEncoder
) -> None:
    other = TinyLogBERT.from_line_encoder(encoder)
    other.train()
    inputs = tokens(tokenizer, NORMAL)
    output = other(**inputs, labels=inputs["input_ids"], training_phase=True, update_memory=True)
    assert not output.features.requires_grad
    output.loss.backward()
    assert other.training
    assert all(module.training for module in other.encoder.modules())
    assert other.anomaly.memory.rows.tobytes() == model.anomaly.memory.rows.tobytes()
    assert output.features.numpy().tobytes() == model.anomaly.memory.rows.tobytes()
    assert other(**inputs).anomaly_scores is None, "a training step is not slowed down by judging"


def test_training_phase_alone_neither_learns_nor_judges_and_updates_want_it(model: TinyLogBERT, tokenizer: Any) -> None:
    before = state_sha256(model.to_state())
    with torch.no_grad():
        output = model(**tokens(tokenizer, MORE), training_phase=True)
    assert output.anomaly_scores is None
    assert output.features is not None
    with pytest.raises(SettingsError, match="update_memory=True goes with training_phase=True"):
        model(**tokens(tokenizer, MORE), update_memory=True)
    assert state_sha256(model.to_state()) == before


def test_judging_changes_no_bit_of_the_state(model: TinyLogBERT, tokenizer: Any) -> None:
    before = state_sha256(model.to_state())
    first = scores(model, tokenizer)
    assert state_sha256(model.to_state()) == before
    assert scores(model, tokenizer) == first


def test_unfitted_detectors_do_not_remember_when_they_were_asked(encoder: LineEncoder, tokenizer: Any) -> None:
    asked, left = TinyLogBERT.from_line_encoder(encoder), TinyLogBERT.from_line_encoder(encoder)
    for part in (NORMAL, MORE):
        for one in (asked, left):
            learn(one, tokenizer, part)
        for method in ALL:
            asked.set_detection_method(method)
            judged(asked, tokenizer, STRANGE)
    asked.set_detection_method("knn")
    assert state_sha256(asked.to_state()) == state_sha256(left.to_state())


def test_fit_memory_size_bounds_the_memory_and_may_change(encoder: LineEncoder, tokenizer: Any) -> None:
    model = TinyLogBERT.from_line_encoder(encoder)
    assert model.config.fit_memory_size == 10_000
    model.config.fit_memory_size = 40
    learn(model, tokenizer, NORMAL)
    fit(model)
    assert len(model.anomaly_methods["lof"].memory_features) <= 40
    assert model.anomaly.memory.counts.sum() == len(NORMAL)
    before = set(model.anomaly.memory.ids.tolist())
    model.config.fit_memory_size = 25
    learn(model, tokenizer, MORE)
    assert len(model.anomaly.memory) <= 25
    assert model.anomaly.memory.counts.sum() == len(NORMAL + MORE)
    assert not before & set(model.anomaly.memory.ids.tolist()), "ids are never used again"
    assert all(value for value in scores(model, tokenizer).values())
    rebuilt = TinyLogBERT.from_state(model.to_state())
    assert scores(rebuilt, tokenizer) == scores(model, tokenizer)


def test_an_unknown_method_is_refused_and_the_old_one_stays(model: TinyLogBERT) -> None:
    model.set_detection_method("lof")
    with pytest.raises(SettingsError, match="knn, cluster, lof, iforest, reconstruction, ensemble, got 'svm'"):
        model.set_detection_method("svm")
    assert model.anomaly.method == "lof"


def test_a_row_learned_without_its_line_borrows_a_loss_and_a_strange_one_has_none(
    model: TinyLogBERT, tokenizer: Any
) -> None:
    detector = model.anomaly_methods["reconstruction"]
    features = judged(model, tokenizer, MORE).features
    with pytest.raises(InputError, match=r"judge the lines with model\(\*\*inputs\) first"):
        detector.decision_function(features)
    model.anomaly_methods["knn"].partial_fit(features)
    fit(model)
    assert np.isfinite(detector.calibration().values).all()
    model.set_detection_method("reconstruction")
    output = judged(model, tokenizer, MORE)
    assert np.array_equal(detector.decision_function(output.features), output.anomaly_scores.numpy())
    rebuilt = TinyLogBERT.from_state(model.to_state())
    assert scores(rebuilt, tokenizer) == scores(model, tokenizer)


def test_remembered_abnormal_lines_raise_their_like_with_every_method(model: TinyLogBERT, tokenizer: Any) -> None:
    before = {}
    for method in ALL:
        model.set_detection_method(method)
        before[method] = judged(model, tokenizer, STRANGE).anomaly_scores
    model.remember_abnormal(**tokens(tokenizer, STRANGE))
    assert len(model.anomaly_methods["knn"].memory_features) == len(NORMAL), "never learned as normal"
    for method in ALL:
        model.set_detection_method(method)
        assert (judged(model, tokenizer, STRANGE).anomaly_scores >= before[method]).all(), method
        highest = model.anomaly.active.calibration().values.max()
        assert (judged(model, tokenizer, STRANGE).anomaly_scores > highest).all(), method
    rebuilt = TinyLogBERT.from_state(model.to_state())
    assert scores(rebuilt, tokenizer) == scores(model, tokenizer)


# --- bits


@pytest.mark.parametrize("method", ALL)
def test_a_line_scores_the_same_alone_in_a_batch_and_padded(model: TinyLogBERT, tokenizer: Any, method: str) -> None:
    model.set_detection_method(method)
    lines = MORE[:7] + STRANGE + NORMAL[:3]
    together = judged(model, tokenizer, lines)
    longest = judged(model, tokenizer, lines, padding="longest")
    backwards = judged(model, tokenizer, lines[::-1], padding="longest")
    for name in ("anomaly_scores", "features", "is_anomaly"):
        wanted = together[name].numpy()
        assert longest[name].numpy().tobytes() == wanted.tobytes(), name
        assert backwards[name].numpy()[::-1].tobytes() == wanted.tobytes(), name
        for row, line in enumerate(lines):
            alone = judged(model, tokenizer, [line], padding=False)[name].numpy()[0]
            assert alone.tobytes() == wanted[row].tobytes(), (name, line)


def test_padding_on_the_left_and_masks_with_holes_are_read_as_they_are(model: TinyLogBERT, tokenizer: Any) -> None:
    inputs = tokens(tokenizer, MORE[:3])
    inputs["attention_mask"][:, 1] = 0
    inputs["attention_mask"][2] = 0
    with torch.no_grad():
        output = model(**inputs)
        alone = model(**{name: tensor[1:2] for name, tensor in inputs.items()})
    assert torch.isfinite(output.features).all()
    assert torch.equal(output.anomaly_scores[1:2], alone.anomaly_scores)
    assert not output.features[2].any(), "a line without a piece has no features"


def test_no_lines_have_no_scores(model: TinyLogBERT) -> None:
    with torch.no_grad():
        output = model(torch.zeros((0, 5), dtype=torch.long))
    assert output.features.shape == (0, 32)
    assert output.anomaly_scores.shape == (0,)


def test_gradients_and_logits_are_as_without_a_memory(model: TinyLogBERT, encoder: LineEncoder, tokenizer: Any) -> None:
    bare = TinyLogBERT.from_line_encoder(encoder)
    inputs = tokens(tokenizer, MORE)
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    losses = []
    for one in (model, bare):
        one.zero_grad()
        output = one(**inputs, labels=labels)
        output.loss.backward()
        losses.append(output.loss.detach())
    assert torch.equal(*losses)
    assert torch.equal(model.encoder.words.weight.grad, bare.encoder.words.weight.grad)
    with torch.no_grad():
        calm = model(**inputs, labels=labels)
    assert torch.allclose(calm.loss, losses[0], atol=1e-5)
    real = inputs["attention_mask"].bool()
    assert torch.allclose(calm.logits[real], output.logits[real], atol=1e-4)


def test_the_masked_loss_hides_each_piece_of_text_once(model: TinyLogBERT, tokenizer: Any) -> None:
    from jamais.models.tinylogbert.anomaly.alone import masked_losses

    inputs = tokens(tokenizer, [MORE[0], "", "<*>"], padding="longest")
    ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
    found = masked_losses(model.encoder, ids, real)
    line = ids[0][real[0]]
    asked = [i for i, piece in enumerate(line.tolist()) if piece >= 6]
    total = 0.0
    with torch.no_grad():
        for turn in range(5):
            masked = line.clone()
            masked[asked[turn::5]] = 4
            guesses = torch.log_softmax(model.encoder.guess(model.encoder(masked[None]))[0], -1)
            total -= sum(float(guesses[i, line[i]]) for i in asked[turn::5])
    assert found[0] == pytest.approx(total / len(asked), rel=1e-5)
    assert found[1] == found[2] == 0.0, "there is nothing to guess"


# --- saved and loaded


@pytest.mark.parametrize("safe", [True, False])
def test_scores_are_the_same_bits_after_a_reload_and_nothing_is_refitted(
    model: TinyLogBERT, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool
) -> None:
    from jamais.detectors.detector import Detector

    model.set_detection_method("ensemble")
    wanted = scores(model, tokenizer)
    model.save_pretrained(tmp_path, safe_serialization=safe)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("refitted")

    with monkeypatch.context() as patched:
        patched.setattr(Detector, "_refit_whole", fail)
        loaded = TinyLogBERT.from_pretrained(tmp_path)
    assert loaded.anomaly.method == "ensemble"
    assert scores(loaded, tokenizer) == wanted
    assert state_sha256(loaded.to_state()) == state_sha256(model.to_state())
    for one in (model, loaded):
        learn(one, tokenizer, MORE)
    assert scores(loaded, tokenizer) == scores(model, tokenizer), "learning on is as if never stopped"
    assert state_sha256(loaded.to_state()) == state_sha256(model.to_state())
    assert len({id(one.memory) for one in loaded.anomaly_methods.values()}) == 1


def test_every_face_and_the_store_keep_memory_and_detectors(model: TinyLogBERT, tokenizer: Any, tmp_path: Path) -> None:
    model.set_detection_method("iforest")
    model.anomaly_methods["knn"].set_alarm_rate(0.05)
    wanted, name = scores(model, tokenizer), state_sha256(model.to_state())
    save_model_binary(model, tmp_path / "m.bin", verify=True)
    save_model_json(model, tmp_path / "m.json", verify=True)
    save_model_folder(model, tmp_path / "m", verify=True)
    VersionStore(tmp_path / "store").commit(model.to_state(), reason="first", kind="tinylogbert", parent=None)
    for path in ("m.bin", "m.json", "m", "store"):
        loaded = load_model_auto(tmp_path / path)
        assert state_sha256(loaded.to_state()) == name, path
        assert scores(loaded, tokenizer) == wanted, path
        assert loaded.anomaly.method == "iforest"
    assert scores(TinyLogBERT.from_pretrained(tmp_path / "m"), tokenizer) == wanted


def test_a_state_of_before_detectors_still_loads(model: TinyLogBERT, tokenizer: Any) -> None:
    tree = model.to_state()
    del tree["anomaly"], tree["config"]["fit_memory_size"], tree["config"]["contamination"]
    old = TinyLogBERT.from_state(tree)
    assert old.anomaly_methods["knn"].memory_features is None
    assert old.config.fit_memory_size == 10_000
    assert judged(old, tokenizer, STRANGE).anomaly_scores is None
    learn(old, tokenizer, NORMAL)
    assert scores(fit(old), tokenizer) == scores(model, tokenizer)


def test_a_state_does_not_change_when_the_model_learns_on(model: TinyLogBERT, tokenizer: Any) -> None:
    tree = model.to_state()
    name = state_sha256(tree)
    loaded = TinyLogBERT.from_state(tree)
    for one in (model, loaded):
        learn(one, tokenizer, MORE)
        fit(one)
    assert state_sha256(tree) == name


def test_too_few_lines_are_kept_and_go_on_later(encoder: LineEncoder, tokenizer: Any, tmp_path: Path) -> None:
    model = TinyLogBERT.from_line_encoder(encoder)
    learn(model, tokenizer, NORMAL[:2])
    with pytest.raises(NotReadyError):
        model.anomaly_methods["lof"].fit(force=True)
    model.save_pretrained(tmp_path)
    loaded = TinyLogBERT.from_pretrained(tmp_path)
    for one in (model, loaded):
        learn(one, tokenizer, NORMAL[2:])
        fit(one)
    assert scores(loaded, tokenizer) == scores(model, tokenizer)


# --- all methods together


def test_the_masked_loss_counts_as_the_others_do_on_average_until_people_label(
    model: TinyLogBERT, tokenizer: Any
) -> None:
    weights = model.anomaly.ensemble.weights
    assert list(weights) == METHODS
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["reconstruction"] == pytest.approx(0.2)
    assert "LineEnsemble" in repr(model.anomaly.ensemble)
    model.set_detection_method("ensemble")
    features = judged(model, tokenizer, MORE[:6] + STRANGE).features
    model.anomaly.ensemble.feedback(features, [0] * 6 + [1] * 4)
    output = judged(model, tokenizer, STRANGE)
    assert output.is_anomaly.all()
    record = model.to_state()["anomaly"]["ensemble"]["performance"]
    assert record["evaluated_on_labels"] == {"normal": 6, "abnormal": 4}
    rebuilt = TinyLogBERT.from_state(model.to_state())
    assert scores(rebuilt, tokenizer) == scores(model, tokenizer)
    assert state_sha256(rebuilt.to_state()) == state_sha256(model.to_state())


def test_the_same_line_twice_is_the_same_as_its_count(encoder: LineEncoder, tokenizer: Any) -> None:
    once, twice = TinyLogBERT.from_line_encoder(encoder), TinyLogBERT.from_line_encoder(encoder)
    learn(once, tokenizer, NORMAL + NORMAL)
    for _ in range(2):
        learn(twice, tokenizer, NORMAL)
    assert once.anomaly.memory.counts.tolist() == [2] * len(NORMAL)
    assert state_sha256(once.to_state()) == state_sha256(twice.to_state())


@pytest.mark.gpu
def test_on_a_gpu_a_line_scores_the_same_alone_and_padded(model: TinyLogBERT, tokenizer: Any) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    moved = TinyLogBERT.from_state(model.to_state()).to("cuda")
    for method in ALL:
        moved.set_detection_method(method)
        with torch.no_grad():
            batch = {name: one.cuda() for name, one in tokens(tokenizer, MORE).items()}
            together = moved(**batch)
            alone = moved(**{name: one.cuda() for name, one in tokens(tokenizer, MORE[3:4], padding=False).items()})
        assert together.anomaly_scores.is_cuda
        assert torch.equal(together.anomaly_scores[3:4], alone.anomaly_scores)
