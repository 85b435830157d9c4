"""Files identified by Spark jobs: ids in order, and large files cut into parts that give what they give."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from al3spark.al3.building import squeeze, transcode
from al3spark.al3.trails import Part
from al3spark.spark import identifying, reading
from al3spark.spark.identifying import Fingerprint, identify_files
from al3spark.spark.reading import identify
from al3spark.spark.session import open_session
from al3spark.spark.splits import InputFile
from tests.al3.samples import parse
from tests.al3.test_cutting import assert_same
from tests.batches import al3, append, put
from tests.spark.inputs import parse_task, split_of

KIB = 1 << 10
RANGE = 16 * KIB


@pytest.fixture
def session(spark: SparkSession) -> Iterator[SparkSession]:
    """The session of the tests, with the settings of the job."""
    with open_session() as session:
        yield session


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of over 20 KiB are large, and read in ranges of 16 KiB."""
    monkeypatch.setattr(identifying, "WHOLE_BYTES", 20 * KIB)
    monkeypatch.setattr(identifying, "SEGMENT_BYTES", RANGE)
    monkeypatch.setattr(reading, "SEGMENT_BYTES", RANGE)  # `identify` must give the same id


def found(session: SparkSession, source: Path, part_bytes: int = 5 * KIB) -> list[Fingerprint]:
    files: Sequence[InputFile] = split_of(source).files
    return list(identify_files(session, parse_task(source, 4 * KIB), files, part_bytes))


@pytest.mark.spark
def test_fingerprints_come_in_the_order_of_the_files(
    session: SparkSession, tmp_path: Path, small_ranges: None
) -> None:
    contents = [al3(number) if number % 2 else al3(*range(number + 9)) for number in range(6)]
    put(tmp_path, {f"{number}.al3": data for number, data in enumerate(contents)})
    files = split_of(tmp_path).files
    append(tmp_path / "2.al3")
    append(tmp_path / "3.al3")
    prints = identify_files(session, parse_task(tmp_path), files, 5 * KIB)
    assert [print_.number for print_ in prints] == [0, 1, 2, 3, 4, 5]
    assert [print_.file_id for print_ in prints] == [
        "" if number in (2, 3) else identify(data) for number, data in enumerate(contents)
    ]
    assert [(print_.code, print_.retryable) for print_ in prints] == [
        ("FILE_CHANGED", True) if number in (2, 3) else ("", False) for number in range(6)
    ]
    assert [bool(print_.parts) for print_ in prints] == [len(data) > 20 * KIB for data in contents[:2]] + [
        False,
        False,
    ] + [len(data) > 20 * KIB for data in contents[4:]]


LARGE = al3(*range(20)) + al3(*range(20, 40))
ONCE = LARGE.index(b"5BPI", len(LARGE) // 2)
DAMAGED = {
    "not": LARGE,
    "once": LARGE[:ONCE] + b"####" + LARGE[ONCE + 4 :],
    "often": LARGE.replace(b"9BIS177", b"9BIS~~~"),
    "at the beginning": b"~" * (RANGE // 2) + LARGE,
    "at the end": LARGE[:-700],
}


@pytest.mark.spark
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_large_file_is_cut_into_parts_that_give_what_it_gives(
    session: SparkSession, tmp_path: Path, small_ranges: None, damage: str
) -> None:
    data = DAMAGED[damage]
    put(tmp_path, {"a.al3": data})
    (print_,) = found(session, tmp_path)
    assert print_.file_id == identify(data)
    assert len(data) // (8 * KIB) <= len(print_.parts) <= len(data) // (5 * KIB) + 1
    assert_same(data, print_.parts, parse(data))


@pytest.mark.spark
def test_a_large_file_that_does_not_begin_with_al3_is_not_cut(
    session: SparkSession, tmp_path: Path, small_ranges: None
) -> None:
    data = b"~" * (RANGE + 10) + LARGE
    put(tmp_path, {"a.al3": data})
    (print_,) = found(session, tmp_path)
    assert (print_.file_id, print_.parts) == (identify(data), ())


@pytest.mark.spark
def test_squeezed_and_transcoded_files_are_not_cut_and_those_with_letters_are(
    session: SparkSession, tmp_path: Path, small_ranges: None
) -> None:
    squeezed = squeeze(al3(*range(70)))
    letters = al3(*range(30)).replace(b"SPRINGFIELD", b"M\xdcNCHEN 12X")
    transcoded = transcode(letters)
    late = al3(*range(60)) + squeeze(al3(1))
    put(tmp_path, {"a": squeezed, "b": transcoded, "c": letters, "d": late})
    prints = found(session, tmp_path)
    assert len(squeezed) > 20 * KIB
    assert [bool(print_.parts) for print_ in prints] == [False, False, True, False]
    assert [print_.transcoded for print_ in prints] == [False, True, False, False]
    assert [print_.file_id for print_ in prints] == [
        identify(data) for data in (squeezed, transcoded, letters, late)
    ]


@pytest.mark.spark
def test_a_file_that_is_no_larger_than_a_part_is_not_cut(
    session: SparkSession, tmp_path: Path, small_ranges: None
) -> None:
    put(tmp_path, {"a.al3": LARGE})
    (print_,) = found(session, tmp_path, len(LARGE))
    assert print_.parts == ()
    assert print_.file_id == identify(LARGE)


def test_a_part_is_read_with_what_it_looks_ahead_to() -> None:
    assert Part(0, 100, 100_000).end == 100 + (16 << 10)
    assert Part(0, 99_000, 100_000).end == 100_000
    assert not Part(0, 99_000, 100_000).is_last
