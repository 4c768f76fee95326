"""Metrics against loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unitlens.dissection import metrics
from unitlens.dissection.metrics import best_information, best_iou, information_table, precision_table, recall_table
from unitlens.dissection.tails import TailTable
from unitlens.errors import OptionError

U, J, C, G, N = 5, 4, 7, 2, 900
CATEGORY = np.array([0, 1, 0, 0, 1, 1, 0])


def pixels() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """activations (U, N), labels (C, N), known (G, N): the second category is annotated on two thirds."""
    random = np.random.default_rng(4)
    values = random.normal(size=(U, N)).astype(np.float32)
    known = np.stack([np.ones(N, dtype=bool), np.arange(N) < 600])
    labels = (random.uniform(size=(C, N)) < 0.2) & known[CATEGORY]
    labels[2] = values[1] > 1.3
    labels[3] = False  # never seen
    labels[6] = values[3] < -0.5  # seen where unit 3 does not fire
    return values, labels, known


def tables() -> tuple[TailTable, np.ndarray, np.ndarray]:
    values, labels, known = pixels()
    edges = np.sort(np.random.default_rng(5).uniform(-0.4, 2, (U, J)).astype(np.float32), axis=1)
    edges[4] = 9  # never fires
    fires = values[:, None, :] > edges[:, :, None]
    above = np.array([[[(f & c).sum() for c in labels] for f in unit] for unit in fires])
    area = np.array([[[(f & k).sum() for k in known] for f in unit] for unit in fires])
    table = TailTable(edges, fires.sum(2), above.astype(np.int32), area, values.min(1))
    return table, labels.sum(1), known.sum(1)


def naive_information(fires: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """The ratio from the four cells, and the share in agreement."""
    joint = mutual = 0.0
    for a in (False, True):
        for b in (False, True):
            both, pa, pb = ((fires == a) & (seen == b)).mean(), (fires == a).mean(), (seen == b).mean()
            if both > 0:
                joint -= both * math.log(both)
                mutual += both * math.log(both / (pa * pb))
    return (mutual / joint if joint else 0.0), float((fires == seen).mean())


def each_pair(j: int):
    values, labels, known = pixels()
    table = tables()[0]
    for u in range(U):
        for c in range(C):
            there = known[CATEGORY[c]]
            yield u, c, (values[u] > table.edges[u, j])[there], labels[c][there]


def test_precision_and_recall_are_shares_of_pixels() -> None:
    table, area, _ = tables()
    precision = precision_table(table.above[:, 2], table.area[:, 2], CATEGORY)
    recall = recall_table(table.above[:, 2], area)
    for u, c, fires, seen in each_pair(2):
        assert precision[u, c] == pytest.approx(seen[fires].mean() if fires.any() else 0)
        assert recall[u, c] == pytest.approx(fires[seen].mean() if seen.any() else 0)


@pytest.mark.parametrize(("agreement", "share"), [(0, 0), (0.75, 0), (0, 0.2), (0.8, 1e-3)])
def test_information_ratio_is_that_of_the_four_cells(agreement: float, share: float) -> None:
    table, area, size = tables()
    options = {"min_agreement": agreement, "min_share": share}
    found = information_table(table.above[:, 1], table.area[:, 1], area, size, CATEGORY, **options)
    allowed = 0
    for u, c, fires, seen in each_pair(1):
        ratio, agree = naive_information(fires, seen)
        fits = (agree > agreement or not agreement) and seen.mean() >= share
        allowed += fits
        assert found[u, c] == pytest.approx(ratio if fits else 0, abs=1e-9)
    assert allowed > 0 and found.min() == 0 and found.max() <= 1


def test_information_is_zero_where_nothing_varies_or_nothing_is_annotated() -> None:
    cells = np.array([[0, 3, 0]]), np.array([[3, 0]]), np.array([0, 10, 0]), np.array([10, 0]), np.array([0, 0, 1])
    assert information_table(*cells).tolist() == [[0, 0, 0]]
    with pytest.raises(OptionError, match="min_agreement"):
        information_table(*cells, min_agreement=1.5)


@pytest.mark.parametrize("cells", [2**19, 30])
def test_best_threshold_is_the_best_of_all_edges(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CELLS", cells)  # one chunk, and a chunk for each unit
    table, area, size = tables()
    found = best_iou(table, area, CATEGORY, N)
    told = best_information(table, area, size, CATEGORY, N, min_agreement=0.6, min_share=0.15)
    ious, ratios = np.zeros((J, U, C)), np.zeros((J, U, C))
    for j in range(J):
        for u, c, fires, seen in each_pair(j):
            union = (fires | seen).sum()
            ious[j, u, c] = (fires & seen).sum() / union if union else 0
            ratio, agree = naive_information(fires, seen)
            ratios[j, u, c] = ratio * (agree > 0.6 and seen.mean() >= 0.15 and table.edges[u, j] > 0)
    for best, every in ((found, ious), (told, ratios)):
        np.testing.assert_allclose(best.value, every.max(0), atol=1e-6)
        picked = np.take_along_axis(every, best.edge[None].astype(int), 0)[0]
        np.testing.assert_allclose(picked, every.max(0), atol=1e-6)
        level = 1 - table.tail[np.arange(U)[:, None], best.edge] / N
        np.testing.assert_allclose(best.quantile, level, rtol=1e-6)
    assert len(np.unique(found.edge)) > 1
