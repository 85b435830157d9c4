"""Values are planted wherever they can stand in a file, and looked for in everything that a run leaves."""

import io
import os
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.al3.building import Record, build_file, squeeze
from al3spark.al3.privacy import protect
from al3spark.config import Options
from al3spark.errors import RequestError, StoreError
from al3spark.protection import protect_as_asked
from tests.al3.samples import DICTIONARY, parse
from tests.batches import al3spark, put, read_rows

KEY = "a key of the tests: 31 bytes   "

OTHERS = ("name", "address", "phone", "birth_date", "account", "vehicle")  # tags that are kept by themselves

# What must be nowhere, by where it is planted. No part of it that identifies anybody is in any other.
PLANTED = {
    "ssn": "987651234",
    "license": "K77665544332",
    "account": "550077998866",
    "password": "OPENSESAME",
    "name": "ZEBEDEE",
    "street": "QUINCE LANE",
    "phone": "5559876123",
    "birth date": "19790314",
    "remark": "XANTHIPPE",
    "unmapped": "YGGDRASIL",
    "tail": "WOLPERTING",
    "gap": "VINGTZWEI",
    "shifted": "876543219",
    "shifted policy": "MELCHIOR",
    "header": "QZXJ",
    "vehicle": "1HGCM82633A004352",
    "loan": "LN4455667788",
    "garbage": "UNDERHILLS",
    "truncated": "THEOPHRAST",
    "invalid": "98765X234",
}


def driver(number: str = PLANTED["ssn"]) -> Record:
    values = {
        "drivers_name": {"format": "P", "first": PLANTED["name"], "last": PLANTED["name"]},
        "social_security_number": int(number),
        "drivers_license_number": PLANTED["license"],
    }
    return Record("5DRV", values, "F2", 1)


def planted_files() -> dict[str, bytes]:
    """Files in which each value stands where it should, and where it should not."""
    head = [
        Record("1MHG", {"password_user": PLANTED["password"], "count_unit_code": "1"}, length=161),
        Record("2TRG", {"transaction_function": "FMG", "cycle_business_purpose": "RWL"}, length=212),
    ]
    policy = Record(
        "5BPI",
        {"policy_number": "P1", "line_of_business_code": "AUTOP", "unnamed_297": PLANTED["gap"]},
        "F1",
        1,
        tail=PLANTED["tail"].encode(),
    )
    people = [
        driver(),
        Record("5PMI", {"account_number": PLANTED["account"]}, "F2", 1),
        Record("5RMK", {"remarks_text": f"CALL {PLANTED['remark']} AT {PLANTED['phone']}"}, "F2", 1),
        Record("5VEH", {"vin": PLANTED["vehicle"]}, "R1", 1),
        Record("5AOI", {"interest_holder_account_number": PLANTED["loan"]}, "F2", 1),
        Record("6SDV", {"driver_name": {"format": "P", "last": PLANTED["name"]}}, "W1", 1),
        Record("5ZZZ", level="F2", iteration=1, raw=PLANTED["unmapped"].encode()),
        Record(
            "9BIS",
            {"street_address_line1": PLANTED["street"], "insureds_telephone_number": PLANTED["phone"]},
            "B1",
            1,
        ),
    ]
    whole = build_file([*head, policy, *people, Record("3MTG", length=20)], DICTIONARY)
    born = build_file([driver()], DICTIONARY)
    born = born[:160] + PLANTED["birth date"].encode() + born[168:]
    spouse = {
        "coinsureds_social_security_number": int(PLANTED["shifted"]),
        "insureds_date_of_birth": date(1980, 5, 17),
    }
    shifted = build_file([Record("5ISI", spouse, "B2", 1)], DICTIONARY)
    shifted = shifted[:53] + shifted[76:] + b" " * 23  # the number now stands in an occupation
    invalid = born[:98] + PLANTED["invalid"].encode() + born[107:]
    start = build_file(head, DICTIONARY)
    lone = build_file([policy], DICTIONARY)
    moved = (lone[:30] + f"{PLANTED['shifted policy']:50}PAUL  ".encode() + lone[86:])[: len(lone)]
    header = b"ZX  91" + PLANTED["header"].encode()
    headers = [born[:10] + header + born[20:], b"5ZZX060   " + header + b" " * 40]
    return {
        "whole.al3": whole,
        "squeezed.al3": squeeze(whole),
        "born.al3": start + born,
        "shifted.al3": start + shifted,
        "invalid.al3": start + invalid,
        "moved.al3": start + moved + build_file(people[2:3], DICTIONARY),
        "headers.al3": start + b"".join(headers),
        "garbage.al3": start + b"~" + PLANTED["garbage"].encode() + b"~" + lone,
        "truncated.al3": start + b"5RMK195   F2".ljust(30) + PLANTED["truncated"].encode(),
    }


def every_text(destination: Path) -> Iterator[tuple[str, bytes]]:
    """All that a destination holds, by file: its bytes, and what is packed in them."""
    for path in sorted(path for path in destination.rglob("*") if path.is_file()):
        name = str(path.relative_to(destination))
        yield f"name {name}", name.encode()
        yield name, path.read_bytes()
        if path.suffix == ".parquet":
            yield from ((f"{name}:{column}", text) for column, text in _columns(path))
            yield f"{name}:metadata", str(pq.ParquetFile(path).metadata.metadata).encode()
        if path.suffix == ".zip":
            with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
                yield from ((f"{name}:{each}", archive.read(each)) for each in archive.namelist())


def _columns(path: Path) -> Iterator[tuple[str, bytes]]:
    parquet = pq.ParquetFile(path)
    table = parquet.read()
    for name in table.column_names:
        column = table[name]
        if pa.types.is_binary(column.type):
            yield name, b"\n".join(each for each in column.to_pylist() if each)
        else:
            yield name, "\n".join(str(each) for each in column.to_pylist()).encode()
            yield name, "\n".join(str(each).replace("-", "") for each in column.to_pylist()).encode()
    for group in range(parquet.metadata.num_row_groups):
        for column in range(parquet.metadata.num_columns):
            told = parquet.metadata.row_group(group).column(column).statistics
            if told and told.has_min_max:
                yield f"statistics {column}", f"{told.min} {told.max}".replace("-", "").encode()


def found_in(places: dict[str, bytes]) -> dict[str, list[str]]:
    """Where the planted values are, by value."""
    found = {
        what: [place for place, text in places.items() if value.encode() in text]
        for what, value in PLANTED.items()
    }
    return {what: sorted(places) for what, places in found.items() if places}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return put(tmp_path_factory.mktemp("planted"), planted_files())


def run(source: Path, folder: Path, *flags: str, **environment: str) -> dict[str, bytes]:
    """Everything that a run of the command leaves anywhere: its output, the destination, temporary files."""
    for name in ("tables", "tmp"):
        (folder / name).mkdir()
    settings = {"SPARK_LOCAL_DIRS": str(folder / "tmp"), "TMPDIR": str(folder / "tmp"), **environment}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        forms = ("--log-format", "json", "--format", "csv")
        command = ("ingest", source, folder / "tables", "--min-age-s", 0, *forms, *flags)
        done = al3spark(*command)
        shown = [al3spark("errors", folder / "tables"), al3spark("report", folder / "tables", "-o", "-")]
    assert done.returncode == 0, done.stderr
    told = "".join(f"{each.stdout}{each.stderr}" for each in (done, *shown)).encode()
    return {"output": told, **dict(every_text(folder / "tables")), **dict(every_text(folder / "tmp"))}


def test_the_search_finds_all_that_is_planted_where_all_is_kept(tmp_path: Path) -> None:
    found = parse(*planted_files().values(), dictionary=protect(DICTIONARY, {}))
    for name, table in found.tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    places = found_in(dict(every_text(tmp_path)))
    assert PLANTED.keys() - places.keys() == {"garbage", "invalid"}  # of these only the shape is told
    assert [place for place in places["birth date"] if ":statistics" in place] != []


@pytest.mark.spark
@pytest.mark.newest
@pytest.mark.slow
def test_nothing_that_was_planted_is_anywhere_when_all_is_to_be_hidden(planted: Path, tmp_path: Path) -> None:
    asked = ["ssn=hash", *(f"{tag}=mask" for tag in OTHERS), "untyped=drop"]
    flags = [word for rule in asked for word in ("--pii", rule)]
    flags += ["--partition-by", "line_of_business"]
    places = run(planted, tmp_path, *flags, "--pii-key", "env:AL3_TEST_KEY", AL3_TEST_KEY=KEY)
    assert found_in(places) == {}
    assert [place for place in places if place.endswith(".zip:drivers.csv")] != []
    assert [place for place, text in places.items() if KEY.encode() in text] == []
    tables = tmp_path / "tables"
    numbers = [number for (number,) in read_rows(tables, "drivers", "social_security_number")]
    assert (len(numbers), len({number for number in numbers if number})) == (5, 1)
    codes = {code for (code,) in read_rows(tables, "errors", "code")}
    assert {"BYTES_UNREADABLE", "GROUP_UNMAPPED", "RECORD_TRUNCATED", "VALUE_INVALID"} <= codes


@pytest.mark.spark
@pytest.mark.newest
@pytest.mark.slow
def test_the_default_hides_what_opens_doors_where_it_belongs(planted: Path, tmp_path: Path) -> None:
    places = run(planted, tmp_path)
    found = found_in(places)
    assert {"ssn", "license", "account", "password"} & found.keys() == set()
    assert {"name", "remark", "unmapped", "tail", "shifted"} <= found.keys()  # so the search does find


# What a request can ask


def protected(**options: Any) -> Any:
    return protect_as_asked(DICTIONARY, Options(**options))


def test_the_later_rule_for_a_tag_counts() -> None:
    layout = protected(pii=("ssn=drop", "ssn=keep")).layout("5DRV")
    assert {each.protection for each in layout.elements if each.pii == "ssn"} == {"keep"}


def test_a_tag_that_no_element_has_is_refused_with_those_that_are_there() -> None:
    with pytest.raises(RequestError) as caught:
        protected(pii=("social=mask",))
    assert str(caught.value) == (
        "pii: no element has the tag social; valid: account, address, bank_account, birth_date, "
        "driver_license, name, phone, secret, ssn, vehicle, untyped"
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, "pii: hash needs a key; pii_key says where it is: env:NAME or secretsmanager:ID"),
        ("env:AL3_NO_KEY", "pii_key env:AL3_NO_KEY: is not set; a key has at least 16 bytes"),
        ("env:AL3_SHORT_KEY", "pii_key env:AL3_SHORT_KEY: holds 5 bytes; a key has at least 16 bytes"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused(
    key: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL3_SHORT_KEY", "12345")
    with pytest.raises(RequestError) as caught:
        protected(pii=("ssn=hash",), pii_key=key)
    assert str(caught.value) == expected


def test_a_key_of_any_bytes_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"AL3_TEST_KEY", b"\xff" * 20)
    assert protected(pii=("ssn=hash",), pii_key="env:AL3_TEST_KEY").hash_key == b"\xff" * 20


def test_the_key_is_in_no_text_of_the_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AL3_TEST_KEY", KEY)
    found = protected(pii=("ssn=hash",), pii_key="env:AL3_TEST_KEY")
    assert found.hash_key == KEY.encode()
    assert KEY not in repr(found)


@pytest.mark.s3
def test_the_key_can_be_a_secret_of_aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto)
    boto3.client("secretsmanager").create_secret(Name="al3", SecretString=KEY)
    assert protected(pii=("ssn=hash",), pii_key="secretsmanager:al3").hash_key == KEY.encode()
    with pytest.raises(StoreError, match=r"^secret none: .*ResourceNotFoundException"):
        protected(pii=("ssn=hash",), pii_key="secretsmanager:none")
    with pytest.raises(StoreError, match=r"^secret arn:none: "):
        protected(pii=("ssn=hash",), pii_key="secretsmanager:arn:none")
