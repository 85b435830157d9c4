"""Request documents and flags: what they become, and every problem they can have."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from al3spark.config import Archive, BatchRequest, Destination, OnFinish, Options, S3Access, Source
from al3spark.errors import RequestError
from al3spark.options import describe
from al3spark.requests import load_request

ROOT = Path(__file__).parent.parent
PLACES = {"source": {"uri": "/in"}, "destination": {"uri": "/out"}}


def write(folder: Path, document: object) -> str:
    path = folder / "batch.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def refusal(folder: Path, document: object, **words: Any) -> list[str]:
    """The lines of the error, without the folder of the document."""
    with pytest.raises(RequestError) as caught:
        load_request(write(folder, document), **words)
    return str(caught.value).removeprefix(f"{folder}/").splitlines()


def options_of(folder: Path, options: object, **flags: object) -> Options:
    return load_request(write(folder, {**PLACES, "options": options}), flags=flags).options


def test_the_example_in_conf_is_a_request_that_names_every_option() -> None:
    request = load_request(str(ROOT / "conf/batch.json"))
    assert request == BatchRequest(
        Source("/data/incoming"),
        Destination("/data/tables"),
        Options(
            max_failed_files=10,
            max_failed_ratio=0.05,
            pii=("ssn=mask", "driver_license=mask", "bank_account=mask", "secret=mask", "untyped=keep"),
            on_finish=OnFinish(("logger", "-t", "al3spark", "the batch has ended")),
        ),
    )
    document = json.loads((ROOT / "conf/batch.json").read_text())
    assert list(document["options"]) == [option.name for option in describe(Options)]


def test_what_becomes_of_people_is_an_object_or_a_list(tmp_path: Path) -> None:
    assert options_of(tmp_path, {"pii": {"ssn": "hash", "untyped": "drop"}}).pii == (
        "ssn=hash",
        "untyped=drop",
    )
    assert options_of(tmp_path, {}, pii=("ssn=keep",)).pii == ("ssn=keep",)


@pytest.mark.parametrize(
    "pii", ["ssn", {"ssn": "hide"}, {"untyped": "mask"}, {"ssn": None}, [1], 7, {"": "keep"}]
)
def test_what_cannot_become_of_people_is_refused(tmp_path: Path, pii: object) -> None:
    assert refusal(tmp_path, {**PLACES, "options": {"pii": pii}}) == [
        f"batch.json: options.pii is {json.dumps(pii)}; valid: an object of keep, mask, hash or drop by tag, "
        "and of keep or drop for untyped"
    ]


def test_only_what_transactions_say_can_make_folders(tmp_path: Path) -> None:
    assert options_of(tmp_path, {"partition_by": ["line_of_business"]}).partition_by == ("line_of_business",)
    assert refusal(tmp_path, {**PLACES, "options": {"partition_by": ["policy_number"]}}) == [
        "batch.json: options.partition_by is 'policy_number'; valid: line_of_business, transaction_kind, "
        "transaction_function, business_purpose, transaction_effective_month, transaction_effective_year"
    ]


def test_a_document_in_s3_form_is_accepted(tmp_path: Path) -> None:
    document = {
        "source": {
            "type": "s3",
            "bucket": "my-al3-files",
            "prefix": "incoming/",
            "pattern": "*.al3",
            "region": "us-east-1",
        },
        "destination": {"type": "s3", "bucket": "parsed-data", "prefix": "parquet/", "format": "parquet"},
        "options": {"parallelism": 10, "on_error": "continue"},
    }
    assert load_request(write(tmp_path, document)) == BatchRequest(
        Source("s3://my-al3-files/incoming/", "*.al3", s3=S3Access("us-east-1")),
        Destination("s3://parsed-data/parquet/", s3=S3Access()),
        Options(parallelism=10, on_error="continue"),
    )


def test_a_request_can_be_words_of_a_command_line_only() -> None:
    flags = {"pattern": "*.al3", "dictionaries": ("own",), "split_mib": 8, "ingest_date": "2026-01-02"}
    assert load_request(None, "in", "file:///out", flags) == BatchRequest(
        Source("in", "*.al3"),
        Destination("file:///out"),
        Options(dictionaries=("own",), split_mib=8, ingest_date=date(2026, 1, 2)),
    )


# Options


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Options()),
        (None, Options()),
        ({"chunk_mib": None, "split_mib": None}, Options()),
        ({"max_failed_ratio": 1, "retry_delay_s": 2}, Options(max_failed_ratio=1.0, retry_delay_s=2.0)),
        ({"reprocess": "batch-20260102-abc123"}, Options(reprocess="batch-20260102-abc123")),
        ({"ingest_date": "2026-01-02"}, Options(ingest_date=date(2026, 1, 2))),
        ({"archive": "/done"}, Options(archive=Archive("/done"))),
        ({"archive": {"failed": "/bad"}}, Options(archive=Archive(None, "/bad"))),
        ({"on_finish": ["notify", "a b"]}, Options(on_finish=OnFinish(("notify", "a b")))),
        ({"on_changed": "replace", "log_format": "emf"}, Options(on_changed="replace", log_format="emf")),
    ],
)
def test_options_are_read(tmp_path: Path, options: object, expected: Options) -> None:
    assert options_of(tmp_path, options) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "options is []; valid: an object"),
        ({"split-mib": 8}, "options.split-mib is unknown; did you mean split_mib?"),
        ({"Parallelism": 8}, "options.Parallelism is unknown; did you mean parallelism?"),
        ({"split_mib": 0}, "options.split_mib is 0; valid: 1 to 128"),
        ({"split_mib": "8"}, 'options.split_mib is "8"; valid: a whole number, 1 to 128'),
        ({"split_mib": 8.0}, "options.split_mib is 8.0; valid: a whole number, 1 to 128"),
        ({"split_mib": True}, "options.split_mib is true; valid: a whole number, 1 to 128"),
        ({"max_failed_ratio": "5%"}, 'options.max_failed_ratio is "5%"; valid: a number, 0 to 1'),
        ({"max_failed_ratio": False}, "options.max_failed_ratio is false; valid: a number, 0 to 1"),
        ({"retry_delay_s": 10**400}, f"options.retry_delay_s is 1{'0' * 56}...; valid: a number, 0 to 60"),
        ({"on_error": "stop"}, "options.on_error is 'stop'; valid: continue, fail"),
        ({"glue_database": "my db"}, "options.glue_database is 'my db'; valid: a name of a database"),
        ({"log_format": ["json"]}, 'options.log_format is ["json"]; valid: text, json, emf'),
        ({"ingest_date": "2026-02-30"}, 'options.ingest_date is "2026-02-30"; valid: a day like 2026-01-02'),
        ({"ingest_date": "20260102"}, 'options.ingest_date is "20260102"; valid: a day like 2026-01-02'),
        ({"dictionaries": "own"}, 'options.dictionaries is "own"; valid: a list of texts'),
        ({"dictionaries": [1]}, "options.dictionaries is [1]; valid: a list of texts"),
        (
            {"reprocess": "all"},
            "options.reprocess is 'all'; valid: failed, or a job like batch-20260102-abc123",
        ),
        (
            {"on_finish": "notify x"},
            'options.on_finish is "notify x"; valid: a command as a list of words, or an object with command '
            "and sns_topic_arn",
        ),
        (
            {"on_finish": {"sns_topic_arn": "arn:aws:sns:x"}},
            "options.on_finish.sns_topic_arn is 'arn:aws:sns:x'; valid: the ARN of a topic",
        ),
        (
            {"archive": 7},
            "options.archive is 7; valid: a path or URI, or an object with succeeded and failed",
        ),
        (
            {"archive": {}},
            "options.archive is {}; valid: a path or URI, or an object with succeeded and failed",
        ),
        ({"archive": ""}, "options.archive.succeeded is ''; valid: a path or URI"),
        ({"archive": {"succeded": "/a"}}, "options.archive.succeded is unknown; did you mean succeeded?"),
        (
            {"pattern": "*"},
            "options.pattern is unknown; valid: dictionaries, century_pivot, split_mib, chunk_mib, window_kib"
            ", master, parallelism, min_age_s, ingest_date, partition_by, max_partitions, reprocess"
            ", on_changed, on_error, max_failed_files, max_failed_ratio, max_attempts, retry_delay_s, pii"
            ", pii_key, archive, on_finish, glue_database, no_lock, log_format",
        ),
    ],
)
def test_what_is_wrong_with_an_option_is_told_with_what_is_valid(
    tmp_path: Path, options: object, expected: str
) -> None:
    assert refusal(tmp_path, {**PLACES, "options": options}) == [f"batch.json: {expected}"]


def test_all_problems_of_a_document_are_told_at_once(tmp_path: Path) -> None:
    document = {
        "sorce": {"uri": "/in"},
        "source": {"type": "s3", "bucket": "B"},
        "destination": {"uri": "/out", "format": "orc"},
        "options": {"split_mib": 0, "spilt_mib": 1, "on_error": 3},
    }
    assert refusal(tmp_path, document) == [
        "batch.json has 6 problems:",
        "  sorce is unknown; did you mean source?",
        "  source.bucket is 'B'; valid: a name of a bucket",
        "  destination.format is 'orc'; valid: parquet, csv",
        "  options.spilt_mib is unknown; did you mean split_mib?",
        "  options.split_mib is 0; valid: 1 to 128",
        "  options.on_error is 3; valid: continue, fail",
    ]


# JSON


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{\n  "source": {,\n}',
            "batch.json line 2, column 14: Expecting property name enclosed in double quotes",
        ),
        ("", "batch.json line 1, column 1: Expecting value"),
        ("[]", "batch.json: not a JSON object; valid: source, destination, options"),
        ('{"options": {"split_mib": 1, "split_mib": 2}}', "batch.json: split_mib is there twice"),
        ('{"options": {"max_failed_ratio": NaN}}', "batch.json: NaN is not JSON"),
        ('{"a": ' + "[" * 100_000, "batch.json: maximum recursion depth exceeded"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(tmp_path: Path, text: str, expected: str) -> None:
    [line] = refusal(tmp_path, text)
    assert line.startswith(expected)


def test_a_document_that_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"none\.json: No such file or directory$"):
        load_request(f"{tmp_path}/none.json")


# Flags over documents


def test_flags_override_a_document(tmp_path: Path) -> None:
    options = {"split_mib": 8, "window_kib": 64, "dictionaries": ["a"]}
    assert options_of(tmp_path, options, split_mib=16, dictionaries=("b", "c")) == Options(
        split_mib=16, window_kib=64, dictionaries=("b", "c")
    )


def test_a_flag_is_enough_to_mend_a_document(tmp_path: Path) -> None:
    assert options_of(tmp_path, {"split_mib": 0}, split_mib=16) == Options(split_mib=16)


def test_a_source_on_the_command_line_replaces_where_the_one_of_the_document_is(tmp_path: Path) -> None:
    document = {
        "source": {"type": "s3", "bucket": "my-files", "pattern": "*.al3"},
        "destination": {"uri": "/out", "format": "parquet"},
    }
    path = write(tmp_path, document)
    assert load_request(path, "/in").source == Source("/in", "*.al3")
    assert load_request(path, "/in", flags={"pattern": "*"}).source == Source("/in", "*")
    assert load_request(path, None, "/other").destination == Destination("/other")
    assert load_request(path, None, "/other", {"format": "csv"}).destination == Destination("/other", "csv")


def test_a_problem_of_a_flag_names_the_flag(tmp_path: Path) -> None:
    flags = {"split_mib": 0, "pattern": "", "dictionaries": ("",), "format": "orc"}
    document = {**PLACES, "options": {"window_kib": 1}}
    assert refusal(tmp_path, document, flags=flags) == [
        "batch.json has 5 problems:",
        "  --pattern is ''; valid: a glob; * takes every file",
        "  --format is 'orc'; valid: parquet, csv",
        '  --dictionary is [""]; valid: a list of texts',
        "  --split-mib is 0; valid: 1 to 128",
        "  options.window_kib is 1; valid: 4 to 65536",
    ]


def test_flags_do_not_hide_that_the_document_is_wrong(tmp_path: Path) -> None:
    document = {"source": ["/in"], "destination": {"uri": "/out"}, "options": 7}
    assert refusal(tmp_path, document, flags={"pattern": "*", "split_mib": 8}) == [
        "batch.json has 2 problems:",
        '  source is ["/in"]; valid: an object with a type (local, nfs, efs, s3) or a uri',
        "  options is 7; valid: an object",
    ]


def test_without_a_document_the_request_itself_has_the_problem() -> None:
    with pytest.raises(RequestError, match=r"^the request: --max-attempts is 0; valid: 1 to 100$"):
        load_request(None, "/in", "/out", {"max_attempts": 0})
