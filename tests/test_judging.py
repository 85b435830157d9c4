"""What of a chunk must not be published as it is."""

from dataclasses import replace

from al3spark.al3.totals import FileTotals
from al3spark.al3.trails import Part
from al3spark.judging import find_failed, without
from al3spark.spark.pipeline import ChunkResult
from al3spark.spark.splits import InputFile, Split
from al3spark.spark.tasks import SplitTotals

FAULT = ("FILE_CHANGED", "the file changed", True)


def ended(path: str, rows: int, failed: bool = False) -> FileTotals:
    code, reason, retryable = FAULT if failed else ("", "", False)
    return FileTotals(path, path, rows=rows, failed=code, reason=reason, retryable=retryable)


def result(*splits: tuple[FileTotals, ...]) -> ChunkResult:
    return ChunkResult((), tuple(SplitTotals(number, (), files) for number, files in enumerate(splits)))


def test_a_file_that_failed_without_a_row_is_published_as_failed() -> None:
    assert find_failed(result((ended("a", 0, failed=True), ended("b", 3)))) == {}


def test_rows_of_a_file_that_failed_are_not_published() -> None:
    assert find_failed(result((ended("a", 2, failed=True), ended("b", 3)))) == {"a": FAULT}


def test_a_file_that_is_cut_fails_as_a_whole() -> None:
    assert find_failed(result((ended("a", 2),), (ended("a", 0, failed=True),))) == {"a": FAULT}
    both = result((ended("a", 0, failed=True),), (ended("a", 0, failed=True),))
    assert find_failed(both) == {"a": FAULT}


def test_the_totals_of_parts_add_up() -> None:
    first = replace(ended("a", 2), size=7, fault_counts=(("VALUE_INVALID", 2),))
    second = replace(ended("a", 3), size=5, fault_counts=(("VALUE_INVALID", 1), ("GROUP_UNMAPPED", 1)))
    (file,) = result((first,), (second,)).files
    assert (file.rows, file.size, file.faults, file.failed) == (5, 12, 4, "")
    assert file.fault_counts == (("GROUP_UNMAPPED", 1), ("VALUE_INVALID", 3))


def test_of_a_cut_file_that_failed_the_fault_is_told_once() -> None:
    file = InputFile("a", "a", 10, 10, "v")
    parts = [replace(file, part=Part(0, 6, 10), size=6), replace(file, part=Part(6, 10, 10), size=4)]
    other = InputFile("b", "b", 3, 3, "v")
    splits = (Split(0, (parts[0],)), Split(1, (parts[1], other)))
    left = without(splits, {"a": FAULT}, ())
    assert [split.files for split in left] == [(replace(parts[0], failure=FAULT),), (other,)]
    assert [split.files for split in without(splits, {}, {"a"})] == [(), (other,)]
