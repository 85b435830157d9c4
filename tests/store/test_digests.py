"""Digests: sorted by both halves and by rank, whatever is equal."""

from __future__ import annotations

import numpy as np
import pytest

from al3spark.store.digests import build_index, sort_digests


@pytest.mark.parametrize("values", [1, 2, 5, 1 << 62])
def test_digests_are_sorted_by_both_halves_then_by_rank(values: int) -> None:
    random = np.random.default_rng(values)
    digests = random.integers(0, values, (300, 2)).astype(np.uint64)
    rank = random.permutation(300)
    order, last = sort_digests(digests, rank)
    expected = sorted(range(300), key=lambda row: (*digests[row].tolist(), rank[row]))
    assert order.tolist() == expected
    keys = [tuple(digests[row].tolist()) for row in expected]
    assert last.tolist() == [key != after for key, after in zip(keys, [*keys[1:], None], strict=True)]


@pytest.mark.parametrize("count", [0, 1])
def test_an_index_of_hardly_anything_finds_what_is_there(count: int) -> None:
    digests = np.full((count, 2), 7, np.uint64)
    index = build_index(digests, np.full(count, 3), np.zeros(count, np.int64))
    assert index.find(np.array([[7, 7], [7, 8]], np.uint64)).tolist() == [3 if count else -1, -1]
