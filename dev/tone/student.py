"""What table of words repeats the teacher's score best?  A ridge regression on words, pairs and n-grams."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray
from sklearn.linear_model import Ridge

from jamais.models.tone import NO_FAULT, gram_slots, tokens

Rows = NDArray[np.float64]
N_SLOTS = 2**14
PENALTY = 0.5
# Our own priors, not the teacher's: a denied fault is good news, and the commonest Chinese words for either.
FIXED = {NO_FAULT: -2.0}
CHINESE = {
    2.5: "失败 错误 异常 超时 拒绝 中断 崩溃 故障 丢失 损坏 无法 死锁 溢出",
    0.0: "成功 完成 启动 正常 就绪 恢复",
    -2.5: "无错误 无异常 没有错误 没有异常 未发现错误 未发现异常",  # takes the fault inside it back
}


class Student:
    """A linear model of the teacher's score, made of the features that `jamais.models.tone` can look up."""

    def __init__(self, texts: Sequence[str]) -> None:
        spoken = [tokens(text) for text in texts]
        words = Counter(word for said in spoken for word in set(said))
        pairs = Counter(f"{a} {b}" for said in spoken for a, b in set(pairwise(said)))
        terms = sorted(word for word, n in words.items() if n >= 3)
        terms += sorted(pair for pair, n in pairs.items() if n >= 12)
        self.index = {term: i for i, term in enumerate(terms)}
        self.slots: dict[str, list[int]] = {}

    def features(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Return the design matrix: [n, terms + slots]."""
        at: list[tuple[int, int, float]] = []
        for row, text in enumerate(texts):
            said = tokens(text)
            distinct = set(said)
            unit = max(len(distinct), 1) ** -0.5
            for word in distinct:
                slots = self.slots.setdefault(word, gram_slots(word, N_SLOTS))
                at += [(row, len(self.index) + slot, unit / len(slots) ** 0.5) for slot in slots]
            named = distinct | {f"{a} {b}" for a, b in pairwise(said)}
            at += [(row, self.index[term], unit) for term in named if term in self.index]
        rows, columns, values = zip(*at, strict=True)
        return sparse.csr_matrix((values, (rows, columns)), shape=(len(texts), len(self.index) + N_SLOTS))

    def fit(self, texts: Sequence[str], target: Rows) -> bytes:
        """Return the packed table that repeats the target [n] best."""
        ridge = Ridge(alpha=PENALTY, solver="lsqr", max_iter=300, tol=1e-5)
        ridge.fit(self.features(texts), target)
        grams = ridge.coef_[len(self.index) :]
        values = dict(zip(self.index, ridge.coef_.tolist(), strict=False))
        for word in (term for term in values if " " not in term):
            slots = gram_slots(word, N_SLOTS)  # folded in: a known word needs one look-up
            values[word] += float(grams[slots].sum() / len(slots) ** 0.5)
        chinese = {word: value for value, words in CHINESE.items() for word in words.split()}
        return pack(values | FIXED | chinese, grams, float(ridge.intercept_))


def pack(values: dict[str, float], grams: Rows, offset: float) -> bytes:
    """Return the table as the bytes of an .npz: words, int16 values, int8 n-grams, scales."""
    word_step = max(map(abs, values.values())) / 32767
    gram_step = float(np.abs(grams).max()) / 127
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        words=np.frombuffer("\n".join(values).encode(), dtype=np.uint8),
        values=np.round(np.array(list(values.values())) / word_step).astype(np.int16),
        grams=np.round(grams / gram_step).astype(np.int8),
        scales=np.array([offset, word_step, gram_step]),
    )
    return stream.getvalue()
