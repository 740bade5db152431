"""Slow, obvious twins of the figures for series: loops over rows, thresholds, widths and segments."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def segments(labels: Sequence[int]) -> list[tuple[int, int]]:
    """Walk through the labels; a stretch is (first row, row after the last)."""
    found, start = [], None
    for row, label in enumerate([*labels, 0]):
        if label and start is None:
            start = row
        if not label and start is not None:
            found.append((start, row))
            start = None
    return found


def vus(labels: Sequence[int], score: Sequence[float], window: int, thresholds: int) -> tuple[float, float]:
    """Draw one curve per width, row by row (Paparrizos et al. 2022, as TSB-AD writes it down): ROC, PR."""
    n, ranked = len(labels), sorted(score, reverse=True)
    cuts = [ranked[int(k * ((n - 1) / (thresholds - 1)))] for k in range(thresholds - 1)] + [ranked[-1]]
    rocs, prs = [], []
    for width in range(window + 1):
        points, precisions = [(0.0, 0.0)], []
        for cut in cuts:
            recall, false_rate, precision = _point(labels, [value >= cut for value in score], width)
            points.append((false_rate, recall))
            precisions.append(precision)
        prs.append(sum((points[i + 1][1] - points[i][1]) * precisions[i] for i in range(thresholds)))
        points.append((1.0, 1.0))
        rocs.append(sum((b[0] - a[0]) * (b[1] + a[1]) / 2 for a, b in itertools.pairwise(points)))
    return sum(rocs) / len(rocs), sum(prs) / len(prs)


def _point(labels: Sequence[int], alarms: Sequence[bool], width: int) -> tuple[float, float, float]:
    n, half, spans = len(labels), width // 2, segments(labels)
    soft = [float(label) for label in labels]
    for first, after in spans:
        for row in range(n):
            distance = first - row if row < first else row - after + 1
            if 1 <= distance <= half:
                soft[row] += math.sqrt(1 - distance / width)
    soft = [min(1.0, label) for label in soft]
    groups: list[list[int]] = []
    for first, after in spans:
        rows = list(range(max(first - half, 0), min(after + half, n)))
        if groups and rows[0] <= groups[-1][-1]:
            groups[-1] += rows
        else:
            groups.append(rows)
    existence = sum(any(alarms[row] for row in group) for group in groups) / len(groups)
    hits = sum(label for label, alarm in zip(soft, alarms, strict=True) if alarm)
    kept = sum(1.0 if label else soft[row] * alarms[row] for row, label in enumerate(labels))
    positives = (sum(labels) + kept) / 2
    raised = sum(alarms)
    return min(hits / positives, 1) * existence, (raised - hits) / (n - positives), hits / raised


def affiliation(labels: Sequence[int], alarms: Sequence[int]) -> tuple[float, float]:
    """Walk in quarters of a row, where all that is integrated is straight (Huet et al. 2022): precision, recall."""
    spans, n = segments(labels), len(labels)
    edges = [0.0, *((a[1] + b[0]) / 2 for a, b in itertools.pairwise(spans)), float(n)]
    precisions, recalls = [], []
    for (low, high), (left, right) in zip(spans, itertools.pairwise(edges), strict=True):
        steps = [(quarter + 0.5) / 4 for quarter in range(int(4 * left), int(4 * right))]
        alarmed = [step for step in steps if alarms[int(step)]]
        near = [max(low - step, step - high, 0.0) for step in alarmed]
        chances = [_outside(low - far, high + far, left, right) if far else 1.0 for far in near]
        precisions += [sum(chances) / len(chances)] if chances else []
        rows = [step for step in steps if low <= step < high]
        gaps = [max(0.0, min((abs(step - other) - 0.125 for other in alarmed), default=math.inf)) for step in rows]
        chances = [_outside(step - gap, step + gap, left, right) for step, gap in zip(rows, gaps, strict=True)]
        recalls.append(sum(chances) / len(chances))
    precision = sum(precisions) / len(precisions) if precisions else math.nan
    return precision, sum(recalls) / len(recalls)


def _outside(low: float, high: float, left: float, right: float) -> float:
    """Give the share of [left, right] that is not in [low, high]."""
    return 1 - (min(high, right) - max(low, left)) / (right - left)


def percent_adjusted(labels: Sequence[int], alarms: Sequence[int], percent: int) -> float:
    """Fill in the stretches of which more than `percent` % are alarmed, and take F1 (Kim et al. 2022)."""
    filled = [bool(alarm) for alarm in alarms]
    for first, after in segments(labels):
        if 100 * sum(filled[first:after]) > percent * (after - first):
            filled[first:after] = [True] * (after - first)
    found = sum(1 for label, alarm in zip(labels, filled, strict=True) if label and alarm)
    return 2 * found / (sum(filled) + sum(labels))
