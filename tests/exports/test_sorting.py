"""Sorting in bounded memory: what comes out is what went in, in order, in however many runs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from al3spark.exports import sorting
from al3spark.exports.sorting import sort_rows

KEYS = ("name", "offset")


def batches(rows: int, each: int, seed: int = 1) -> Iterator[pa.RecordBatch]:
    """Rows in a random order, a few with a null, with a payload that tells them apart."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(rows)
    for start in range(0, rows, each):
        part = numbers[start : start + each]
        names = pa.array([None if number % 97 == 0 else f"f{number % 7}" for number in part])
        yield pa.record_batch({"payload": part, "name": names, "offset": pa.array(part // 7)})


def expected(rows: int) -> list[int]:
    key = [
        (number % 97 == 0, "" if number % 97 == 0 else f"f{number % 7}", number // 7)
        for number in range(rows)
    ]
    return sorted(range(rows), key=lambda number: (*key[number], number))


def sorted_rows(rows: int, each: int = 50) -> list[int]:
    return [
        row
        for batch in sort_rows(batches(rows, each), (*KEYS, "payload"))
        for row in batch["payload"].to_pylist()
    ]


@pytest.mark.parametrize("rows", [0, 1, 40, 2000])
def test_few_rows_are_sorted_in_memory(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    assert sorted_rows(rows) == expected(rows)


@pytest.mark.parametrize("most_runs", [64, 3])
@pytest.mark.parametrize("block_bytes", [1, 100, 5000])
def test_many_rows_are_sorted_by_runs_in_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, most_runs: int, block_bytes: int
) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 800)
    monkeypatch.setattr(sorting, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(sorting, "MOST_RUNS", most_runs)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert sorted_rows(600) == expected(600)


@pytest.mark.parametrize("rows", [0, 600])
def test_batches_without_rows_change_nothing(
    rows: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each run is full when they come, the last one too."""
    monkeypatch.setattr(sorting, "RUN_BYTES", 800)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    empty = next(batches(1, 1)).slice(1)
    some = [each for batch in batches(rows, 50) for each in (empty, batch, empty, empty)]
    found = sort_rows(some, (*KEYS, "payload"))
    assert [row for batch in found for row in batch["payload"].to_pylist()] == expected(rows)


def test_nothing_has_a_name_while_it_is_sorted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sorting, "RUN_BYTES", 800)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = sort_rows(batches(600, 50), KEYS)
    next(rows)
    assert list(tmp_path.iterdir()) == []
    rows.close()
