from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from al3spark.config import Options, Source
from al3spark.reporting import Progress
from al3spark.validation import validate_source
from tests.batches import al3, ingest, put, read_rows

pytestmark = pytest.mark.spark


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return put(
        tmp_path / "in",
        {
            "a.al3": al3(1, 2),
            "b.al3": al3(3) + b"\x80 no record \x82" * 9 + al3(4),
            "c.al3": b"",
            **{f"{number}.txt": b"no AL3 %d" % number for number in range(5)},
        },
    )


def validate(spark: SparkSession, source: Path, report: Any = lambda _: None) -> dict[str, Any]:
    return validate_source(Source(str(source)), Options(), spark, report)


def test_validation_counts_files_records_and_errors(spark: SparkSession, source: Path) -> None:
    findings = validate(spark, source)
    assert {name: findings[name] for name in ("files", "records", "errors")} == {
        "files": 8,
        "records": 18 + 20,
        "errors": 7,
    }


def test_validation_names_the_first_places_of_each_fault(spark: SparkSession, source: Path) -> None:
    faults = validate(spark, source)["faults"]
    assert {
        code: (each["severity"], each["count"], len(each["places"])) for code, each in faults.items()
    } == {
        "BYTES_UNREADABLE": ("error", 1, 1),
        "FILE_EMPTY": ("error", 1, 1),
        "FILE_NOT_AL3": ("error", 5, 3),
    }
    (place,) = faults["BYTES_UNREADABLE"]["places"]
    assert (place["file_path"], place["byte_offset"], place["byte_length"]) == (f"{source}/b.al3", 1837, 117)
    assert [place["file_path"] for place in faults["FILE_NOT_AL3"]["places"]] == [
        f"{source}/{number}.txt" for number in range(3)
    ]


def test_validation_finds_what_a_batch_finds(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    ingest(source, tmp_path / "out")
    codes = [code for (code,) in read_rows(tmp_path / "out", "errors", "code")]
    faults = validate(spark, source)["faults"]
    assert {code: each["count"] for code, each in faults.items()} == {
        code: codes.count(code) for code in codes
    }


def test_validation_writes_nothing(spark: SparkSession, source: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    validate(spark, source)
    assert sorted(tmp_path.rglob("*")) == before


def test_validation_of_good_files_finds_nothing(spark: SparkSession, tmp_path: Path) -> None:
    put(tmp_path / "in", {"a.al3": al3(1)})
    assert validate(spark, tmp_path / "in") == {"files": 1, "records": 10, "errors": 0, "faults": {}}


def test_validation_tells_how_far_it_is(spark: SparkSession, source: Path) -> None:
    told: list[Progress] = []
    validate(spark, source, told.append)
    assert (told[-1].step, told[-1].files, told[-1].fraction) == ("parsing", 8, 1.0)
