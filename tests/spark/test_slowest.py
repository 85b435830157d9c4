"""Whose time the tasks' was, without Spark: splits and seconds are made up."""

import pytest

from al3spark.spark.slowest import MOST_SLOW, FileTime, find_slowest, keep_slowest
from al3spark.spark.splits import InputFile, Split


def file(name: str, size: int) -> InputFile:
    return InputFile(f"/in/{name}", name, size, size, "v")


def test_files_of_one_task_share_its_time_by_their_bytes() -> None:
    splits = [Split(0, (file("a", 300), file("b", 100))), Split(1, (file("c", 50),))]
    assert find_slowest(splits, {0: 8.0, 1: 4.0}) == (
        FileTime("/in/a", 6.0, 300, 1, shared=True),
        FileTime("/in/c", 4.0, 50, 1, shared=False),
        FileTime("/in/b", 2.0, 100, 1, shared=True),
    )


def test_a_file_that_is_cut_gets_the_time_of_all_its_parts() -> None:
    splits = [
        Split(0, (file("large", 600),)),
        Split(1, (file("large", 600),)),
        Split(2, (file("large", 100), file("small", 100))),
    ]
    slowest, other = find_slowest(splits, {0: 3.0, 1: 4.0, 2: 2.0})
    assert slowest == FileTime("/in/large", 8.0, 1300, 3, shared=True)
    assert other.path == "/in/small"


def test_files_without_bytes_share_evenly_and_what_is_not_told_is_left_out() -> None:
    splits = [Split(0, (file("a", 0), file("b", 0))), Split(1, (file("c", 5),))]
    times = {time.path: time.seconds for time in find_slowest(splits, {0: 1.0})}
    assert times == {"/in/a": 0.5, "/in/b": 0.5}


def test_only_the_slowest_few_are_kept_and_no_time_is_lost_before() -> None:
    splits = [Split(number, (file(f"{number:03}", 10),)) for number in range(100)]
    kept = find_slowest(splits, {number: float(number) for number in range(100)})
    assert len(kept) == MOST_SLOW
    assert [time.seconds for time in kept[:2]] == [99.0, 98.0]
    assert keep_slowest([*kept, FileTime("/in/x", 98.5, 1, 1, shared=False)])[1].path == "/in/x"


def test_the_times_of_all_files_are_those_of_all_tasks() -> None:
    splits = [Split(0, (file("a", 3), file("b", 0), file("c", 11))), Split(1, (file("c", 7), file("d", 1)))]
    assert sum(time.seconds for time in find_slowest(splits, {0: 1.25, 1: 2.5})) == pytest.approx(3.75)
