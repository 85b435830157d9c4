"""Fingerprints, made as a task would make them; without Spark."""

from pathlib import Path

import pytest

from al3spark.al3.building import squeeze, transcode
from al3spark.spark import fingerprints, reading
from al3spark.spark.fingerprints import make_fingerprint
from al3spark.spark.reading import identify
from tests.al3.samples import zipped
from tests.batches import al3, append, put
from tests.spark.inputs import ids, parse_task, rows, split_of


def told(number: int, data: bytes, transcoded: bool = False, member: str = "") -> dict[str, object]:
    return {
        "number": number,
        "member": member,
        "file_id": identify(data),
        "size": len(data),
        "transcoded": transcoded,
        "code": "",
        "message": "",
        "retryable": False,
    }


@pytest.mark.parametrize("whole", [reading.WHOLE_BYTES, 1], ids=["read whole", "as streams"])
def test_a_fingerprint_has_id_size_and_form(
    source: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(reading, "WHOLE_BYTES", whole)
    plain, coded = al3(1), transcode(squeeze(al3(2)))
    put(source, {"a": plain, "b": coded})
    found = rows(make_fingerprint(parse_task(source), (split_of(source),))(ids(0)))
    assert found == [told(0, plain), told(1, coded, transcoded=True)]


def test_files_are_numbered_over_all_splits_and_members_have_that_of_their_archive(source: Path) -> None:
    members = {"x.al3": al3(1), "y.al3": al3(2)}
    put(source, {"a": al3(3), "b.zip": zipped(members), "c": al3(4), "d": al3(5)})
    splits = (split_of(source, "a"), split_of(source, "b.zip", "c"), split_of(source, "d"))
    found = rows(make_fingerprint(parse_task(source), splits)(ids(2, 1, 0)))
    archive = f"{source}/b.zip"
    assert sorted(found, key=lambda row: (row["number"], row["member"])) == [
        told(0, al3(3)),
        told(1, al3(1), member=f"{archive}!x.al3"),
        told(1, al3(2), member=f"{archive}!y.al3"),
        told(2, al3(4)),
        told(3, al3(5)),
    ]


def test_many_rows_come_in_several_batches(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_ROWS", 2)
    put(source, {f"{number}": al3(number) for number in range(5)})
    batches = list(make_fingerprint(parse_task(source), (split_of(source),))(ids(0)))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("whole", [reading.WHOLE_BYTES, 1], ids=["read whole", "as streams"])
def test_a_fingerprint_of_a_file_that_changed_says_that_waiting_can_help(
    source: Path, monkeypatch: pytest.MonkeyPatch, whole: int
) -> None:
    monkeypatch.setattr(reading, "WHOLE_BYTES", whole)
    put(source, {"a": al3(1), "b": al3(2)})
    splits = (split_of(source),)
    append(source / "a")
    changed, found = rows(make_fingerprint(parse_task(source), splits)(ids(0)))
    assert (changed["code"], changed["retryable"], changed["file_id"]) == ("FILE_CHANGED", True, "")
    assert found == told(1, al3(2))
