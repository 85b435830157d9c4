import pickle
from datetime import date

import pytest

from al3spark.config import Archive, BatchRequest, Destination, Options, Source
from al3spark.errors import RequestError


def test_a_request_has_defaults_for_all_options() -> None:
    options = BatchRequest(Source("/in"), Destination("/out")).options
    assert options == Options(
        dictionaries=(),
        century_pivot=50,
        split_mib=64,
        chunk_mib=None,
        window_kib=4096,
        ingest_date=None,
        reprocess=None,
        master=None,
        parallelism=None,
        min_age_s=60,
        on_changed="add",
        on_error="continue",
        max_failed_files=None,
        max_failed_ratio=None,
        max_attempts=5,
        retry_delay_s=0.5,
        archive=None,
        on_finish=None,
        log_format="text",
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"century_pivot": -1}, "century_pivot is -1; valid: 0 to 99"),
        ({"century_pivot": 100}, "century_pivot is 100; valid: 0 to 99"),
        ({"split_mib": 0}, "split_mib is 0; valid: 1 to 128"),
        ({"split_mib": 129}, "split_mib is 129; valid: 1 to 128"),
        ({"chunk_mib": 0}, "chunk_mib is 0; valid: 1 and up"),
        ({"window_kib": 3}, "window_kib is 3; valid: 4 to 65536"),
        ({"window_kib": 65537}, "window_kib is 65537; valid: 4 to 65536"),
        ({"reprocess": "all"}, "reprocess is 'all'; valid: failed, or a job like batch-20260102-abc123"),
        (
            {"reprocess": "failed "},
            "reprocess is 'failed '; valid: failed, or a job like batch-20260102-abc123",
        ),
        ({"parallelism": 0}, "parallelism is 0; valid: 1 and up"),
        ({"min_age_s": -1}, "min_age_s is -1; valid: 0 and up"),
        ({"on_changed": "keep"}, "on_changed is 'keep'; valid: add, replace"),
        ({"on_error": "stop"}, "on_error is 'stop'; valid: continue, fail"),
        ({"max_failed_files": -1}, "max_failed_files is -1; valid: 0 and up"),
        ({"max_failed_ratio": 1.1}, "max_failed_ratio is 1.1; valid: 0 to 1"),
        ({"max_failed_ratio": float("nan")}, "max_failed_ratio is nan; valid: 0 to 1"),
        ({"max_attempts": 0}, "max_attempts is 0; valid: 1 to 100"),
        ({"retry_delay_s": -0.1}, "retry_delay_s is -0.1; valid: 0 to 60"),
        ({"log_format": "xml"}, "log_format is 'xml'; valid: text, json, emf"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_valid(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError) as caught:
        Options(**wrong)  # type: ignore[arg-type]
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "right",
    [
        {"century_pivot": 0},
        {"century_pivot": 99},
        {"split_mib": 1},
        {"split_mib": 128},
        {"chunk_mib": 1},
        {"window_kib": 4},
        {"window_kib": 65536},
        {"reprocess": "failed"},
        {"reprocess": "batch-20260102-abc123"},
        {"min_age_s": 0},
        {"max_failed_files": 0},
        {"max_failed_ratio": 0.0},
        {"max_failed_ratio": 1.0},
        {"max_attempts": 1},
        {"retry_delay_s": 0.0},
        {"ingest_date": date(2026, 1, 2)},
    ],
)
def test_an_option_at_its_bound_is_fine(right: dict[str, object]) -> None:
    assert [(name, getattr(Options(**right), name)) for name in right] == list(right.items())  # type: ignore[arg-type]


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        Options(century_pivot=100, split_mib=0)
    assert str(caught.value) == ("century_pivot is 100; valid: 0 to 99; split_mib is 0; valid: 1 to 128")


def test_a_source_needs_a_pattern() -> None:
    with pytest.raises(RequestError, match=r"^pattern is ''; valid: a glob; \* takes every file$"):
        Source("/in", pattern="")


def test_tables_are_written_as_parquet_and_csv_only() -> None:
    with pytest.raises(RequestError, match=r"^format is .orc.; valid: parquet, csv$"):
        Destination("/out", format="orc")


def test_a_request_can_be_pickled() -> None:
    options = Options(ingest_date=date(2026, 1, 2), dictionaries=("/own",), archive=Archive("/done"))
    request = BatchRequest(Source("/in", files=("a.al3",)), Destination("/out"), options)
    assert pickle.loads(pickle.dumps(request)) == request
