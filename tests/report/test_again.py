"""What a request asked, as flags; read back, it is the same request."""

import json
import shlex
from dataclasses import asdict
from datetime import date
from typing import Any

import pytest
from click.core import ParameterSource

from al3spark.cli import cli
from al3spark.config import Archive, BatchRequest, Destination, OnFinish, Options, S3Access, Source
from al3spark.report.again import NEEDS_DOCUMENT, NOT_ON_RECORD, Asked, find_asked
from al3spark.requests import load_request

IN, OUT = Source("/in"), Destination("/out")


def asked(request: BatchRequest) -> Asked:
    """As a manifest has it."""
    return find_asked(json.loads(json.dumps(asdict(request), default=str)))


def options_of(command: str) -> dict[str, Any]:
    """What the command line understands, without its defaults."""
    context = cli.commands["ingest"].make_context("ingest", shlex.split(command))
    said = [
        name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    return {name: context.params[name] for name in said}


@pytest.mark.parametrize(
    "request_asked",
    [
        BatchRequest(Source("/in", "*.{a b}"), Destination("/out", "csv")),
        BatchRequest(IN, OUT, Options(pii=("name=hash", "untyped=drop"), pii_key="env:K")),
        BatchRequest(IN, OUT, Options(dictionaries=("a b", "c"), partition_by=("line_of_business",))),
        BatchRequest(IN, OUT, Options(max_failed_files=0, max_failed_ratio=0.25, no_lock=True)),
        BatchRequest(IN, OUT, Options(ingest_date=date(2026, 1, 2), on_changed="replace", century_pivot=0)),
        BatchRequest(IN, OUT, Options(archive=Archive("/done"), on_finish=OnFinish(("say", "it's over")))),
        BatchRequest(Source("s3://b/in", s3=S3Access()), OUT, Options(glue_database="al3")),
    ],
    ids=["places", "people", "several", "numbers", "words", "nested", "bucket"],
)
def test_flags_ask_for_the_same(request_asked: BatchRequest) -> None:
    again = options_of(f"{request_asked.source.uri} /out{asked(request_asked).words('')}")
    source, destination = again.pop("source"), again.pop("destination")
    assert load_request(None, source, destination, again) == request_asked


def test_a_request_without_options_has_no_flags() -> None:
    assert asked(BatchRequest(IN, OUT)) == Asked()


@pytest.mark.parametrize(
    "request_asked",
    [
        BatchRequest(Source("/in", files=("a",)), OUT),
        BatchRequest(IN, Destination("/out", mount_point="/out")),
        BatchRequest(IN, Destination("s3://b/out", s3=S3Access(sse="AES256"))),
        BatchRequest(IN, OUT, Options(archive=Archive("/done", "/bad"))),
        BatchRequest(IN, OUT, Options(on_finish=OnFinish(sns_topic_arn="arn:aws:sns:eu-west-1:1:x"))),
    ],
)
def test_what_only_a_document_can_say_is_not_told_by_flags(request_asked: BatchRequest) -> None:
    assert asked(request_asked) == Asked(untold=NEEDS_DOCUMENT)


def test_options_that_are_not_known_and_requests_that_are_not_there_are_not_told() -> None:
    assert find_asked({"options": {"newer": 1}}) == Asked(untold=NEEDS_DOCUMENT)
    assert find_asked(None) == Asked(untold=NOT_ON_RECORD)


def test_a_flag_that_a_command_has_already_is_not_told_twice_unless_it_can_be() -> None:
    flags = Asked((("--pattern", "*"), ("--dictionary", "mine")))
    assert flags.words("al3spark ingest --pattern '*.al3' --dictionary yours") == " --dictionary mine"
