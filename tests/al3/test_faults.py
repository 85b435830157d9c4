import numpy as np
import pyarrow as pa
import pytest

from al3spark.al3.faults import ERRORS_SCHEMA, KINDS, FaultLog, Faults, nullable, shape

IDS, PATHS = pa.array(["id0", "id1"]), pa.array(["path0", "path1"])


def faults(code: str = "VALUE_INVALID", files: tuple[int, ...] = (0,), **scalars: str) -> Faults:
    numbers = np.arange(len(files)) * 10
    return Faults(code, "text", np.array(files, np.int64), numbers, numbers + 3, numbers + 1, **scalars)


@pytest.mark.parametrize(
    ("code", "severity", "category", "retryable"),
    [
        ("FILE_UNREADABLE", "error", "file", False),
        ("FILE_EMPTY", "error", "file", False),
        ("FILE_NOT_AL3", "error", "file", False),
        ("FILE_CHANGED", "error", "file", True),
        ("FILE_CRASHED_WORKER", "error", "file", False),
        ("BYTES_UNREADABLE", "error", "structure", False),
        ("LENGTH_INVALID", "error", "structure", False),
        ("RECORD_TRUNCATED", "error", "structure", False),
        ("GROUP_TOO_SHORT", "error", "structure", False),
        ("GROUP_UNMAPPED", "warning", "structure", False),
        ("RECORD_OUTSIDE_TRANSACTION", "error", "hierarchy", False),
        ("TRANSACTION_UNCERTAIN", "error", "hierarchy", False),
        ("TRAILER_MISSING", "warning", "hierarchy", False),
        ("TRAILER_COUNT_MISMATCH", "warning", "hierarchy", False),
        ("POLICY_NOT_FOUND", "warning", "hierarchy", False),
        ("PARENT_MISSING", "error", "hierarchy", False),
        ("PARENT_ITERATION_MISMATCH", "warning", "hierarchy", False),
        ("VALUE_INVALID", "error", "value", False),
    ],
)
def test_code_always_means_the_same(code: str, severity: str, category: str, retryable: bool) -> None:
    kind = KINDS[code]
    assert (kind.code, kind.severity, kind.category, kind.retryable) == (code, severity, category, retryable)


def test_there_are_no_other_codes() -> None:
    assert len(KINDS) == 18


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"0123456789", "9999999999"),
        (b"AbZz", "AAAA"),
        (b"M\xdcLLER \xe9", "AAAAAA A"),
        (b"12.50-+/?", "99.99-+/?"),
        (b"\0\r\n\x7f\xa0\x80", "??????"),
    ],
)
def test_shape_shows_no_digit_and_no_letter(raw: bytes, expected: str) -> None:
    assert shape(raw) == expected


def test_shape_of_any_byte_is_a_printable_character_that_tells_nothing() -> None:
    shown = shape(bytes(range(256)))
    assert len(shown) == 256
    assert shown.isascii()
    assert shown.isprintable()
    assert {each for each in shown if each.isalnum()} == {"9", "A"}


def test_faults_become_rows_with_the_id_and_path_of_their_file() -> None:
    log = FaultLog()
    log.add(faults(files=(1, 0), group="5BPI", element="amount", element_id="5BPI11", raws=("9A", "A9")))
    log.note("FILE_EMPTY", "the file has no bytes", 1)
    batch = log.take(IDS, PATHS)
    assert batch is not None
    assert batch.schema == ERRORS_SCHEMA
    value = {
        "severity": "error",
        "category": "value",
        "code": "VALUE_INVALID",
        "message": "text",
        "group_code": "5BPI",
        "element": "amount",
        "element_id": "5BPI11",
        "retryable": False,
    }
    nothing = dict.fromkeys(
        ("group_code", "element", "element_id", "record_offset", "byte_offset", "byte_length", "raw")
    )
    first = {"record_offset": 0, "byte_offset": 3, "byte_length": 1, "raw": "9A"}
    second = {"record_offset": 10, "byte_offset": 13, "byte_length": 11, "raw": "A9"}
    of_file = {
        "severity": "error",
        "category": "file",
        "code": "FILE_EMPTY",
        "message": "the file has no bytes",
    }
    assert batch.to_pylist() == [
        {"file_id": "id1", "file_path": "path1"} | value | first,
        {"file_id": "id0", "file_path": "path0"} | value | second,
        {"file_id": "id1", "file_path": "path1"} | of_file | nothing | {"retryable": False},
    ]


def test_rows_are_given_out_once_and_counts_are_kept() -> None:
    log = FaultLog()
    log.add(faults(files=(0, 1, 1)))
    log.note("RECORD_TRUNCATED", "text", 1, record=5, offset=6, length=7, group="5BPI")
    assert log.pending == 4
    assert log.take(IDS, PATHS) is not None
    assert log.pending == 0
    assert log.take(IDS, PATHS) is None
    log.add(faults(files=(1,)))
    assert log.counts == {(0, "VALUE_INVALID"): 1, (1, "VALUE_INVALID"): 3, (1, "RECORD_TRUNCATED"): 1}


def test_no_faults_cost_nothing() -> None:
    log = FaultLog()
    log.add(faults(files=()))
    assert (log.pending, dict(log.counts), log.take(IDS, PATHS)) == (0, {}, None)


@pytest.mark.parametrize(("said", "expected"), [(None, True), (False, False), (True, True)])
def test_single_fault_may_say_whether_waiting_helps(said: bool | None, expected: bool) -> None:
    log = FaultLog()
    log.note("FILE_CHANGED", "text", 0, retryable=said)
    batch = log.take(IDS, PATHS)
    assert batch is not None
    assert batch["retryable"].to_pylist() == [expected]


def test_minus_one_is_null() -> None:
    assert nullable(np.array([3, -1, 0])).to_pylist() == [3, None, 0]
