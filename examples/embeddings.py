"""Rows of numbers: learn eight digits, meet two more, ask, answer, learn on, and go back.

Run: python examples/embeddings.py        the digits come with scikit-learn: pip install 'jamais[sklearn]'
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import jamais

images, digits = load_digits(return_X_y=True)
images = images.astype(np.float32)
known = digits < 8
fitted, rest = images[known][:900], images[known][900:]
new = images[~known][:200]  # 8 and 9: nothing like them was ever seen

watcher = jamais.fit(fitted, kind="embeddings", alarm_rate=0.01, labels=digits[known][:900])
print(f"fitted: {watcher.recipe.clusters.n_clusters} clusters; {watcher.recipe.meaning_of_rate()}")

# Every row gets a p-value, a cluster (-1: none) and, where it alarms, a reason.
today = np.concatenate([rest[:300], new])
verdicts = watcher.score(today)
is_new = np.arange(len(today)) >= 300
alarms = verdicts["abnormal"].to_numpy()
print(f"alarms: {alarms[~is_new].sum()} of 300 known digits, {alarms[is_new].sum()} of 200 new ones")
right = (verdicts["cluster"].to_numpy()[:300] == digits[known][900:1200]).mean()
print(f"known digits in the cluster of their kind: {right:.1%}")
print("why:", verdicts.filter(verdicts["abnormal"])["why"][0])

# Alarms of one cause share it: one answer speaks for all of them.
questions = watcher.questions(verdicts)
print(f"questions: {len(questions)} about {alarms.sum()} alarms; the first speaks for {questions['alarms'][0]}")

# Nobody vouches for these rows: what looks abnormal waits, and no cluster is born.
report = watcher.learn(today, trust="unknown")
print(f"unknown: {report.counts['rows held back']} rows held back, {len(watcher.recipe.clusters.ids)} clusters")

with tempfile.TemporaryDirectory() as folder:
    watcher.save(Path(folder) / "digits")
    before = watcher.score(rest)
    # Now somebody does. What is remembered keeps its cluster, and new ones are born.
    report = watcher.learn(today, trust="normal")
    print(report)
    watcher.save()
    after = watcher.score(rest)
    moved = (after["cluster"] != before["cluster"]) & (before["cluster"] >= 0)
    print(f"known digits that changed their cluster: {moved.sum()} of {len(rest)}, 243 of them never learned")
    later = watcher.score(images[~known][200:])
    born = later["cluster"].to_numpy() >= 8
    print(f"later images of 8 and 9: {born.mean():.0%} in born clusters, {later['abnormal'].mean():.1%} alarm")

    # The version before is still there, and gives the very scores it gave.
    watcher.rollback(1)
    assert watcher.score(rest).equals(before)
    print("rolled back: every score as before, bit for bit")
