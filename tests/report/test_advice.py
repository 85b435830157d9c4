"""What is advised for which signs, and that its commands are commands."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import click
import pytest

from al3spark.al3.faults import KINDS
from al3spark.archiving import Moved
from al3spark.cli import cli
from al3spark.config import BatchRequest, Destination, Options, S3Access, Source
from al3spark.manifest import Stop
from al3spark.planning import TOO_YOUNG, Skipped
from al3spark.report.advice import Advice, find_advice
from al3spark.report.again import NEEDS_DOCUMENT, NOT_ON_RECORD
from al3spark.report.facts import CodeFacts, Facts
from al3spark.report.gathering import gather_facts
from al3spark.report.rules import RULES
from al3spark.store.places import Place, open_place
from tests.endings import BAD, FAULTY, FINE, GONE, JOB, ended, file
from tests.report.jobs import fault, leave_job, leave_status

HERE = re.compile(r"\{(\w+)\}")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path / "out"))


def advise(facts: Facts) -> dict[str, Advice]:
    return {sign: each for each in find_advice(facts) for sign in each.signs}


def test_every_fault_code_has_a_rule_and_no_sign_has_two() -> None:
    signs = [sign for rule in RULES for sign in rule.signs]
    assert set(KINDS) <= set(signs)
    assert len(signs) == len(set(signs))


@pytest.mark.parametrize("command", sorted({command for rule in RULES for command in rule.commands}))
def test_a_command_that_is_advised_exists_with_its_options(command: str) -> None:
    program, name, *rest = shlex.split(HERE.sub("x", command))
    found = cli.commands[name]
    if isinstance(found, click.Group):
        found = found.commands[rest.pop(0)]
    options = {option for each in found.params for option in each.opts}
    assert program == "al3spark"
    assert {word for word in rest if word.startswith("-")} <= options


def test_a_good_job_needs_nothing(place: Place) -> None:
    leave_job(place, FINE)
    (nothing,) = find_advice(gather_facts(place, JOB))
    assert nothing.title == "Nothing to mend"
    assert nothing.commands == (f"al3spark views {place.uri('')}",)


def test_faults_are_told_with_counts_places_and_a_file_to_look_at(place: Place) -> None:
    faults = [
        fault("/in/faulty", "VALUE_INVALID", group_code="5BPI", element="amount"),
        fault("/in/faulty", "VALUE_INVALID", group_code="5VEH", element="vin"),
        fault("/in/faulty", "VALUE_INVALID", group_code="5BPI", element="amount"),
        fault("/in/faulty", "GROUP_UNMAPPED", group_code="5ZZZ"),
    ]
    leave_job(place, FAULTY, faults=faults)
    told = advise(gather_facts(place, JOB))
    assert told["VALUE_INVALID"].text.startswith(
        "3 values did not fit, mostly in 5BPI.amount (2), 5VEH.vin (1); null stands in the tables instead."
    )
    assert told["VALUE_INVALID"].commands == (
        "al3spark inspect /in/faulty",
        f"al3spark errors {place.uri('')} {JOB} --code VALUE_INVALID",
    )
    assert "5ZZZ (1)" in told["GROUP_UNMAPPED"].text
    assert told["GROUP_UNMAPPED"].commands == (
        "al3spark dictionary coverage /in",
        f"al3spark ingest /in {place.uri('')} --dictionary my-dictionary --reprocess {JOB}",
    )


def test_codes_with_one_cause_are_one_piece_of_advice(place: Place) -> None:
    faults = [fault("/in/faulty", "BYTES_UNREADABLE"), fault("/in/faulty", "TRANSACTION_UNCERTAIN")]
    leave_job(place, FAULTY, faults=faults)
    (damaged,) = find_advice(gather_facts(place, JOB))
    assert damaged.signs == ("BYTES_UNREADABLE", "TRANSACTION_UNCERTAIN")
    assert damaged.text.startswith("In 2 places ")


def test_files_that_changed_are_read_by_the_next_run(place: Place) -> None:
    leave_job(place, FINE, GONE, faults=[fault("/in/gone", "FILE_CHANGED")])
    (again,) = find_advice(gather_facts(place, JOB))
    assert again.text.startswith("1 file changed while being read.")
    assert again.commands == (f"al3spark ingest /in {place.uri('')}",)


def test_a_job_that_was_stopped_says_why_and_names_the_fault_of_its_files(place: Place) -> None:
    stop = Stop(
        3, "2 files failed, and max_failed_files is 1", (("/in/x", "FILE_EMPTY: the file has no bytes"),)
    )
    leave_job(place, FINE, stop=stop)
    told = advise(gather_facts(place, JOB))
    assert list(told) == ["stopped", "FILE_EMPTY"]
    assert told["stopped"].text.startswith(
        "The job stopped because 2 files failed, and max_failed_files is 1. Nothing of chunk 3 is published."
    )
    assert told["FILE_EMPTY"].text.startswith("1 file had no bytes")


@pytest.mark.parametrize(
    ("status", "reason"), [("failed", "the disk is full."), ("cancelled", "by an operator")]
)
def test_a_job_that_broke_off_after_all_was_published_can_be_made_up_for(
    place: Place, status: str, reason: str
) -> None:
    leave_job(place, FINE)
    leave_status(place, status, reason=reason)
    (unfinished,) = find_advice(gather_facts(place, JOB))
    assert unfinished.text.startswith(f"All rows are published, but then: {reason.rstrip('.')}. ")
    assert unfinished.commands == (f"al3spark export {place.uri('')} --format csv --job {JOB}",)


def test_a_job_whose_files_all_failed_is_not_taken_for_one_that_broke_off(place: Place) -> None:
    leave_job(place, BAD)
    assert list(advise(gather_facts(place, JOB))) == ["FILE_NOT_AL3"]


def test_files_that_wait_are_told(place: Place) -> None:
    young = [Skipped(file("young"), TOO_YOUNG, known=True)]
    moved = Moved(0, (("/in/fine", "no permission"),))
    leave_job(place, FINE, skipped=young, moved=moved)
    told = advise(gather_facts(place, JOB))
    assert told["too young"].text.startswith("1 file changed less than 60 s before the run.")
    assert told["not archived"].text.endswith("The first: no permission.")


@pytest.mark.parametrize(
    ("status", "sign", "command"),
    [
        ("processing", "processing", "al3spark status {} {} --watch"),
        ("cancelled", "cancelled", ""),
        ("failed", "broken off", ""),
    ],
)
def test_a_job_without_a_manifest_is_advised_by_its_status(
    place: Place, status: str, sign: str, command: str
) -> None:
    leave_status(place, status, reason="the disk is full")
    told = advise(gather_facts(place, JOB))
    assert list(told) == [sign]
    assert "".join(told[sign].commands[:1]) == command.format(place.uri(""), JOB)


def test_a_request_that_nobody_knows_is_not_made_up(place: Place) -> None:
    leave_status(place, "cancelled")
    (again,) = find_advice(gather_facts(place, JOB))
    assert again.text.endswith(f"goes on where this one stopped. {NOT_ON_RECORD}")


def test_a_command_that_reads_again_keeps_the_options_of_the_job(place: Place) -> None:
    options = Options(pii=("name=hash",), pii_key="env:KEY", dictionaries=("my own",), min_age_s=5)
    request = BatchRequest(Source("/in", "*.{al3}"), Destination("/out"), options)
    young = [Skipped(file("young"), TOO_YOUNG, known=True)]
    leave_job(place, GONE, ended("x", failed="FILE_NOT_AL3"), request=request, skipped=young)
    told = advise(gather_facts(place, JOB))
    start = f"al3spark ingest /in {place.uri('')}"
    pattern, rest = "--pattern '*.{al3}'", "--dictionary 'my own'"
    pii = "--pii name=hash --pii-key env:KEY"
    assert told["FILE_CHANGED"].commands == (f"{start} {pattern} {rest} --min-age-s 5 {pii}",)
    assert told["FILE_NOT_AL3"].commands == (f"{start} {rest} --min-age-s 5 {pii} --pattern '*.al3'",)
    assert told["too young"].commands[1] == f"{start} {pattern} {rest} {pii} --min-age-s 0"


def test_a_request_that_needs_its_document_has_no_command(place: Place) -> None:
    source = Source("s3://b/in", s3=S3Access(endpoint_url="http://localhost:1", path_style=True))
    leave_job(place, GONE, request=BatchRequest(source, Destination("/out")))
    (again,) = find_advice(gather_facts(place, JOB))
    assert again.text.endswith(NEEDS_DOCUMENT)
    assert again.commands == ()


def test_a_job_without_a_sign_of_life_is_to_be_recovered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_status(place, "processing")
    monkeypatch.setattr("al3spark.operations.STALE_AFTER_S", -1.0)
    (recover,) = find_advice(gather_facts(place, JOB))
    assert recover.commands == (f"al3spark recover {place.uri('')}",)


def test_codes_of_a_newer_version_are_told_together(place: Place) -> None:
    leave_job(place, FINE)
    facts = gather_facts(place, JOB)
    codes = (CodeFacts("X_NEW", "value", "error", 2), CodeFacts("Y_NEW", "value", "error", 1))
    (other,) = find_advice(replace(facts, codes=codes))
    assert other.text == "3 faults: X_NEW (2), Y_NEW (1)."


def test_paths_in_commands_are_single_words_and_what_cannot_be_typed_is_left_out(place: Place) -> None:
    path = "/in/it's $(rm -rf ~).al3"
    nasty = ended(path.removeprefix("/in/"), fault_counts=(("VALUE_INVALID", 1),))
    leave_job(place, nasty, faults=[fault(path, "VALUE_INVALID")])
    facts = gather_facts(place, JOB)
    inspect, _ = advise(facts)["VALUE_INVALID"].commands
    assert shlex.split(inspect) == ["al3spark", "inspect", path]
    for unseen in ("/in/a\nb", "/in/\x1b[2J", "s3://bucket/a.al3"):
        (faulty,) = facts.faulty
        other = replace(facts, faulty=(replace(faulty, path=unseen),))
        assert len(advise(other)["VALUE_INVALID"].commands) == 1


def test_a_file_in_the_archive_is_looked_at_there(place: Place) -> None:
    leave_job(place, FAULTY, faults=[fault("/in/faulty", "VALUE_INVALID")])
    facts = gather_facts(place, JOB)
    (faulty,) = facts.faulty
    moved = replace(facts, faulty=(replace(faulty, archived_to="/done/x.zip"),))
    assert advise(moved)["VALUE_INVALID"].commands[0] == "al3spark inspect /done/x.zip"
    inside = replace(facts, faulty=(replace(faulty, path="/in/x.zip!a.al3"),))
    assert advise(inside)["VALUE_INVALID"].commands[0] == "al3spark inspect /in/x.zip"


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("/in/sale!2024.al3", "/in/sale!2024.al3"),
        ("/in/sale!2024.zip!a.zip!b.al3", "/in/sale!2024.zip"),
        ("/in/x.al3.gz", "/in/x.al3.gz"),
    ],
)
def test_a_file_in_an_archive_is_looked_at_in_it_and_no_other_name_is_cut(
    place: Place, path: str, file: str
) -> None:
    leave_job(place, FAULTY, faults=[fault("/in/faulty", "VALUE_INVALID")])
    facts = gather_facts(place, JOB)
    (faulty,) = facts.faulty
    other = replace(facts, faulty=(replace(faulty, path=path),))
    assert advise(other)["VALUE_INVALID"].commands[0] == f"al3spark inspect {shlex.quote(file)}"


def test_more_files_than_are_named_are_told_as_at_least_so_many(place: Place) -> None:
    stop = Stop(0, "too many", tuple((f"/in/{at}", "FILE_EMPTY: no bytes") for at in range(150)))
    leave_job(place, stop=stop)
    told = advise(gather_facts(place, JOB))
    assert told["FILE_EMPTY"].text.startswith("At least 100 files had no bytes")


def test_failed_files_are_counted_where_no_table_has_their_faults(place: Place) -> None:
    leave_job(place, FINE, BAD)
    assert advise(gather_facts(place, JOB))["FILE_NOT_AL3"].text.startswith("1 file held no AL3 record.")
