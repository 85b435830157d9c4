"""Files to splits, splits to chunks, and large files into their parts."""

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest

from al3spark.al3.trails import Part, Trail
from al3spark.spark.splits import (
    InputFile,
    Sealed,
    Split,
    choose_split_bytes,
    cut_chunks,
    pack_splits,
    whole_files,
)

KIB, MIB = 1 << 10, 1 << 20


def files(*sizes: int) -> tuple[InputFile, ...]:
    return tuple(
        InputFile(f"/in/{number}", str(number), size, size, "v") for number, size in enumerate(sizes)
    )


def sizes(splits: tuple[Split, ...]) -> list[list[int]]:
    return [[file.size for file in split.files] for split in splits]


def cut_file(size: int, *offsets: int) -> InputFile:
    """A file that is cut at some offsets."""
    (file,) = files(size)
    bounds = [0, *offsets, size]
    parts = [Part(start, stop, size) for start, stop in pairwise(bounds)]
    return replace(file, path="/in/cut", parts=tuple(parts))


def splits(*sizes: int) -> tuple[Split, ...]:
    return tuple(Split(number, files(size)) for number, size in enumerate(sizes))


def test_files_are_packed_in_order_until_a_split_is_full() -> None:
    assert sizes(pack_splits(files(400 * KIB, 400 * KIB, 200 * KIB), MIB)) == [
        [400 * KIB, 400 * KIB],
        [200 * KIB],
    ]


def test_a_file_that_is_too_large_is_a_split_of_its_own() -> None:
    assert sizes(pack_splits(files(10, 5 * MIB, 10), MIB)) == [[10], [5 * MIB], [10]]


def test_opening_a_file_costs_as_much_as_64_kib() -> None:
    assert [len(split.files) for split in pack_splits(files(*[0] * 33), MIB)] == [16, 16, 1]


def test_splits_are_numbered_from_0() -> None:
    assert [split.split_id for split in pack_splits(files(MIB, MIB, MIB), MIB)] == [0, 1, 2]


def test_the_same_files_give_the_same_splits() -> None:
    given = files(3, 1, 4, 1, 5)
    assert pack_splits(given, 128 * KIB) == pack_splits(given, 128 * KIB)


def test_no_file_makes_no_split() -> None:
    assert pack_splits((), MIB) == ()


def test_the_size_of_a_split_is_that_of_its_files() -> None:
    assert Split(0, files(3, 4)).size == 7


@pytest.mark.parametrize(
    ("total", "cores", "expected"),
    [
        (10 * KIB, 2, MIB),  # never less than 1 MiB
        (60 * MIB, 2, 10 * MIB + 10923),  # three splits a core
        (60 * MIB, 10, 2 * MIB + 2185),
        (900 * MIB, 2, 32 * MIB),  # never more than the limit
    ],
)
def test_every_core_gets_several_splits_within_bounds(total: int, cores: int, expected: int) -> None:
    assert choose_split_bytes(files(total), cores, 32 * MIB) == expected


def test_splits_are_cut_into_chunks_of_about_a_size() -> None:
    chunks = cut_chunks(splits(6 * MIB, 4 * MIB, MIB, 9 * MIB, 3 * MIB), 10 * MIB + 128 * KIB)
    assert [[split.size // MIB for split in chunk] for chunk in chunks] == [[6, 4], [1, 9], [3]]


def test_chunks_of_small_files_are_cut_by_their_number() -> None:
    chunks = cut_chunks([Split(number, files(*[1] * 100)) for number in range(25)], 64 * MIB)
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]


def test_a_split_that_is_too_large_is_a_chunk_of_its_own() -> None:
    chunks = cut_chunks(splits(1, 50, 1), 10)
    assert [[split.size for split in chunk] for chunk in chunks] == [[1], [50], [1]]


def test_no_split_makes_no_chunk() -> None:
    assert cut_chunks((), 10) == ()


def test_sealed_splits_are_small_and_opened_one_by_one() -> None:
    paths = [f"s3://bucket/incoming/agency-{number % 97:03}/{number:06}.al3" for number in range(100_000)]
    inputs = [InputFile(path, path[12:], 2000, 2000, f"{number:032x}") for number, path in enumerate(paths)]
    splits = pack_splits(inputs, 32 * MIB)
    sent = pickle.dumps(Sealed.seal(splits))
    assert len(sent) < 5_000_000
    sealed = pickle.loads(sent)
    assert [sealed.open(number) for number in (0, 7, len(splits) - 1)] == [splits[0], splits[7], splits[-1]]


def test_parts_of_a_file_are_packed_like_files() -> None:
    packed = pack_splits((*files(10), cut_file(5 * MIB, 2 * MIB, 2 * MIB + 9), *files(10)), MIB)
    assert sizes(packed) == [[10], [2 * MIB], [9], [3 * MIB - 9], [10]]
    assert [file.part and file.part.start for split in packed for file in split.files] == [
        None,
        0,
        2 * MIB,
        2 * MIB + 9,
        None,
    ]


def test_a_file_that_failed_is_not_cut() -> None:
    failed = replace(cut_file(5 * MIB, 2 * MIB), failure=("FILE_UNREADABLE", "no", False))
    assert sizes(pack_splits((failed,), MIB)) == [[5 * MIB]]


def test_a_chunk_holds_all_of_a_file() -> None:
    packed = pack_splits((*files(MIB), cut_file(6 * MIB, 2 * MIB, 4 * MIB), *files(MIB)), MIB)
    assert [sizes(chunk) for chunk in cut_chunks(packed, 4 * MIB)] == [
        [[MIB], [2 * MIB], [2 * MIB], [2 * MIB]],
        [[MIB]],
    ]


def test_a_file_that_is_cut_counts_once() -> None:
    given = (*files(10, 20), cut_file(5 * MIB, 2 * MIB, 4 * MIB))
    assert whole_files(pack_splits(given, MIB)) == (*given[:2], replace(given[2], parts=()))


def test_parts_know_what_went_before() -> None:
    trail = Trail(message=0, start=0, records=7, size=900, met=((b"1MHG", 0, 161, 1),))
    (file,) = files(100)
    pieces = replace(file, parts=(Part(0, 60, 100), Part(60, 100, 100, trail))).pieces
    assert [(piece.size, piece.part and piece.part.before.records) for piece in pieces] == [(60, 0), (40, 7)]
