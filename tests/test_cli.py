"""The command as people use it: what each does, where its words go, how it ends if something is wrong."""

import csv
import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from pyspark.sql import SparkSession

from al3spark.al3.building import build_file
from al3spark.cli import cli, main
from tests.al3.samples import DICTIONARY, message
from tests.batches import al3, put, read_rows, read_table

ROOT = Path(__file__).parent.parent
LONG_AGO = 1_700_000_000
ELEMENTS_HEAD = (
    b"group,element,start,length,kind,scale,ref_id,element_id,superseded_by,pii,confidence,sources\n"
)
TEXT = b"Dear agent, please find enclosed the download of today.\r\n"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: object
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The only line on standard error; fails if there are more, or any on standard output."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


Command = Callable[..., Ended]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process, in the session of the tests if there is one."""

    def run(*arguments: object) -> Ended:
        with pytest.raises(SystemExit) as stopped:
            main([str(each) for each in arguments])
        return Ended(stopped.value.code, *capsys.readouterr())

    return run


def process(*arguments: object, **environment: str) -> Ended:
    """The command in a process and, if it needs one, a session of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "al3spark.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def put_old(folder: Path, **files: bytes) -> Path:
    """Write files (`a_al3` is `a.al3`) that nobody has touched for a while."""
    put(folder, {name.replace("_", "."): data for name, data in files.items()})
    for path in folder.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))
    return folder


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Two files without a fault: 3 policies."""
    return put_old(tmp_path / "in", a_al3=al3(1, 2), b_al3=al3(3))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A good file and one that fails."""
    return put_old(tmp_path / "in", a_al3=al3(1, 2), letter_txt=TEXT)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# ingest


@pytest.mark.spark
def test_ingest_writes_tables_and_ends_with_a_summary(
    spark: SparkSession, command: Command, good: Path, out: Path
) -> None:
    ended = command("ingest", good, out)
    assert ended.code == 0
    assert sorted(read_rows(out, "policies", "policy_number")) == [
        ("P0000001",),
        ("P0000002",),
        ("P0000003",),
    ]
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[0][1] == "completed"
    assert ["succeeded", "2"] in lines
    assert ["policies", "3"] in lines
    assert [line.partition(" ")[0] for line in ended.err.splitlines()][:2] == ["listing", "identifying"]


@pytest.mark.spark
def test_ingest_again_skips_what_it_has(spark: SparkSession, command: Command, good: Path, out: Path) -> None:
    assert command("ingest", good, out).code == 0
    before = files_below(out / "policies")
    ended = command("ingest", good, out, "--json")
    assert ended.code == 0
    assert json.loads(ended.out)["summary"]["skipped"] == 2
    assert files_below(out / "policies") == before


@pytest.mark.newest
@pytest.mark.spark
@pytest.mark.slow
def test_ingest_in_its_own_process_prints_json_and_nothing_else(mixed: Path, out: Path) -> None:
    ended = process("ingest", mixed, out, "--json", "--master", "local[2]")
    assert ended.code == 0
    manifest = json.loads(ended.out)
    assert manifest["status"] == "partial_success"
    assert manifest["summary"] == manifest["summary"] | {"total": 2, "succeeded": 1, "failed": 1}
    assert manifest["tables"]["policies"]["rows"] == 2
    assert manifest["failed_files"][0]["file"] == str(mixed / "letter.txt")
    (left,) = out.glob("_al3spark/jobs/*/manifest.json")
    assert json.loads(left.read_text()) == manifest
    steps = [line.partition(" ")[0] for line in ended.err.splitlines()]
    assert steps[:3] == ["listing", "identifying", "parsing"]
    assert set(steps) <= {"listing", "identifying", "parsing", "done"}, "Spark's own words are not for users"
    assert len(set(ended.err.splitlines())) == len(steps), "nothing is told twice"


@pytest.mark.spark
def test_strict_turns_a_failed_file_into_exit_code_3(
    spark: SparkSession, command: Command, mixed: Path, out: Path
) -> None:
    ended = command("ingest", mixed, out, "--strict")
    assert ended.code == 3
    assert f"  {mixed}/letter.txt: FILE_NOT_AL3" in ended.out
    assert len(read_rows(out, "policies", "policy_number")) == 2


@pytest.mark.spark
def test_ingest_fails_if_all_files_fail(
    spark: SparkSession, command: Command, tmp_path: Path, out: Path
) -> None:
    source = put_old(tmp_path / "in", a_txt=TEXT, b_al3=b"")
    ended = command("ingest", source, out)
    assert ended.code == 1
    assert ended.out.splitlines()[0].endswith(": failed")


@pytest.mark.spark
def test_ingest_of_nothing_is_complete(
    spark: SparkSession, command: Command, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "in").mkdir()
    ended = command("ingest", tmp_path / "in", out)
    assert (ended.code, ended.out.splitlines()[0].partition(": ")[2]) == (0, "completed")


@pytest.mark.spark
def test_options_reach_the_batch(spark: SparkSession, command: Command, mixed: Path, out: Path) -> None:
    options = ("--pattern", "*.al3", "--ingest-date", "2026-01-02", "--century-pivot", "10")
    assert command("ingest", mixed, out, *options, "--strict").code == 0
    assert [path.name for path in (out / "policies").iterdir()] == ["ingest_date=2026-01-02"]
    dates = read_rows(out, "policies", "policy_effective_date_superseded")
    assert {str(day) for (day,) in dates} == {"1924-02-29"}


def test_a_dry_run_lists_what_would_be_read_and_writes_nothing(
    command: Command, good: Path, out: Path
) -> None:
    ended = command("ingest", good, out, "--dry-run")
    assert (ended.code, ended.err) == (0, "")
    sizes = [(good / name).stat().st_size for name in ("a.al3", "b.al3")]
    assert ended.out.splitlines() == [
        f"{good}/a.al3  {sizes[0]}",
        f"{good}/b.al3  {sizes[1]}",
        f"2 files to read, {sum(sizes) / 1e6:.1f} MB; 0 skipped",
    ]
    assert not out.exists()


@pytest.mark.spark
def test_a_dictionary_of_ones_own_adds_a_table(
    spark: SparkSession, command: Command, tmp_path: Path, out: Path
) -> None:
    source = put_old(tmp_path / "in", a_al3=build_file(message([1]), DICTIONARY))
    own = put(
        tmp_path / "own",
        {
            "groups.csv": b"group,table,name,lengths_seen\n5ZZZ,carrier_notes,Notes of the carrier,\n",
            "elements.csv": ELEMENTS_HEAD + b"5ZZZ,note,30,12,text,,,5ZZZ01,,,,\n",
        },
    )
    assert command("ingest", source, out, "--dictionary", own).code == 0
    notes = read_table(out, "carrier_notes")
    assert notes is not None
    assert notes["note"].to_pylist() == ["nobody knows"]
    assert notes["parent_group"].to_pylist() == ["5VEH"]
    assert not (out / "unmapped_groups").exists()
    assert not (out / "errors").exists()


# validate


@pytest.mark.spark
def test_validate_finds_nothing_in_good_files_and_writes_nothing(
    spark: SparkSession, command: Command, good: Path
) -> None:
    before = files_below(good.parent)
    ended = command("validate", good)
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == "2 files, 28 records, 0 errors"
    assert files_below(good.parent) == before


@pytest.mark.spark
def test_validate_names_the_places_of_errors_and_exits_with_1(
    spark: SparkSession, command: Command, mixed: Path
) -> None:
    broken = al3(4).replace(b"00000011500+", b"00SMITH1500+")
    put_old(mixed, broken_al3=broken)
    ended = command("validate", mixed)
    at = broken.index(b"00SMITH1500+")
    assert ended.code == 1
    assert ended.out.splitlines()[0] == "error FILE_NOT_AL3: 1"
    place = f"  {mixed}/broken.al3 at {at}: 5BPI.current_term_amount "
    assert any(line.startswith(place) and line.endswith("[99AAAAA9999+]") for line in ended.out.splitlines())
    assert "SMITH" not in ended.out
    assert ended.out.splitlines()[-1].endswith(", 2 errors")


@pytest.mark.spark
def test_validate_prints_json_and_nothing_else(spark: SparkSession, command: Command, mixed: Path) -> None:
    ended = command("validate", mixed, "--json")
    findings = json.loads(ended.out)
    assert (ended.code, findings["files"], findings["errors"]) == (1, 2, 1)
    assert findings["faults"]["FILE_NOT_AL3"]["places"][0]["file_path"] == f"{mixed}/letter.txt"


# inspect


def test_inspect_shows_a_tree_and_hides_people(command: Command, good: Path) -> None:
    ended = command("inspect", good / "b.al3")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[:2] == [str(good / "b.al3"), "  1MHG messages at 0"]
    assert "            policy_number: P0000003" in lines
    assert "          insureds_name_last: ***" in lines
    assert "SMITH" not in ended.out


def test_inspect_shows_people_on_demand(command: Command, good: Path) -> None:
    ended = command("inspect", good / "b.al3", "--show-pii")
    assert "          insureds_name_last: SMITH" in ended.out.splitlines()


def test_inspect_prints_json(command: Command, good: Path) -> None:
    ended = command("inspect", good / "b.al3", "--json")
    (tree,) = json.loads(ended.out)
    assert (ended.code, tree["file"]) == (0, str(good / "b.al3"))
    assert tree["groups"][0]["group"] == "1MHG"


def test_inspect_opens_an_archive(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "one.al3.gz"
    path.write_bytes(gzip.compress(al3(1)))
    assert "            policy_number: P0000001" in command("inspect", path).out.splitlines()


def test_inspect_of_a_text_file_says_so(command: Command, mixed: Path) -> None:
    ended = command("inspect", mixed / "letter.txt")
    assert ended.code == 0
    assert ended.out.splitlines()[1].startswith("  FILE_NOT_AL3")


# dictionary


def test_dictionary_list_names_every_group(command: Command) -> None:
    ended = command("dictionary", "list")
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 1 + len(DICTIONARY.titles) + 1
    assert ended.out.splitlines()[-1] == f"version {DICTIONARY.version}"


def test_dictionary_show_lists_the_elements_of_a_group(command: Command) -> None:
    ended = command("dictionary", "show", "5bpi")
    layout = DICTIONARY.layout("5BPI")
    assert layout is not None
    assert (ended.code, len(ended.out.splitlines())) == (0, 2 + len(layout.elements))
    assert ended.out.startswith("5BPI ")


def test_dictionary_check_says_what_is_fine(command: Command, tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "groups.csv": b"group,table,name,lengths_seen\n5ZZZ,notes,Notes,\n",
            "elements.csv": ELEMENTS_HEAD + b"5ZZZ,note,30,12,text,,,,,,,\n",
        },
    )
    ended = command("dictionary", "check", tmp_path)
    count = len(DICTIONARY.layouts) + 1
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{tmp_path} is fine: {count} groups with elements, version ")


BAD = {
    "groups.csv": b"group,table,name,lengths_seen\n5ZZZ,policies,Notes,\n",
    "elements.csv": ELEMENTS_HEAD + b"5ZZZ,note,7,12,text,,,,,,,\n5ZZZ,more,40,1,wish,,,,,,,\n",
}


def test_dictionary_check_lists_all_problems(command: Command, tmp_path: Path) -> None:
    ended = command("dictionary", "check", put(tmp_path, BAD))
    assert (ended.code, ended.out) == (2, "")
    assert "groups.csv line 2: 5ZZZ has table policies, as 5BPI has" in ended.err
    assert "elements.csv line 2: 5ZZZ.note starts at 7, inside its header (0-29)" in ended.err
    assert "elements.csv line 3: 5ZZZ.more has kind 'wish'; known are " in ended.err


@pytest.mark.parametrize(
    "arguments",
    [("ingest", "in", "out"), ("validate", "in"), ("inspect", "in/a.al3"), ("dictionary", "show", "5BPI")],
    ids=lambda arguments: arguments[0],
)
def test_a_bad_dictionary_ends_every_command_before_spark_starts(
    command: Command,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "own", BAD)
    began = time.monotonic()
    ended = command(*arguments, "--dictionary", "own")
    assert time.monotonic() - began < 3
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("al3spark: ")
    assert "Traceback" not in ended.err
    assert not (tmp_path / "out").exists()


# sample


def test_sample_writes_files_and_says_how_many(command: Command, tmp_path: Path) -> None:
    ended = command("sample", tmp_path / "new", "--files", 5, "--size", 20, "--damage", 0.5, "--seed", 3)
    assert (ended.code, ended.err) == (0, "")
    found = [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    files = [path for path in found if path.name != "_broken.csv"]
    with (tmp_path / "new" / "_broken.csv").open() as stream:
        broken = len(list(csv.DictReader(stream)))
    size = sum(path.stat().st_size for path in files) / 1e6
    assert (len(files), broken > 0) == (5, True)
    assert ended.out == f"5 files, {size:.1f} MB, {broken} broken, in {tmp_path}/new\n"


@pytest.mark.spark
def test_a_sample_without_damage_is_read_without_an_error(
    spark: SparkSession, command: Command, tmp_path: Path
) -> None:
    assert command("sample", tmp_path / "in", "--files", 12, "--size", 10).code == 0
    ended = command("validate", tmp_path / "in", "--json")
    findings = json.loads(ended.out)
    assert (ended.code, findings["errors"]) == (0, 0)
    assert findings["files"] >= 12


# what is wrong is told in one line


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("ingest", "none", "out"), 1, "{here}/none: No such file or directory"),
        (("validate", "none"), 1, "{here}/none: No such file or directory"),
        (("inspect", "none"), 2, "Invalid value for 'FILE': File 'none' does not exist."),
        (("ingest", "in", "in"), 2, "source and destination overlap: in, in"),
        (("ingest", "in", "in/out"), 2, "source and destination overlap: in, in/out"),
        (("ingest", "in", "."), 2, "source and destination overlap: in, ."),
        (("ingest", "in", "link/out"), 2, "source and destination overlap: in, link/out"),
        (("ingest", "link", "in/out"), 2, "source and destination overlap: link, in/out"),
        (("ingest", "in", "in/a.al3"), 2, "source and destination overlap: in, in/a.al3"),
        (("ingest", "in", "file/out"), 1, "{here}/file/out/_al3spark/probe-"),
        (("ingest", "in", "/proc/out"), 1, "/proc/out/_al3spark/probe-"),
        (("ingest", "in", "out", "--dictionary", "none"), 2, "none: is not a directory"),
        (("dictionary", "check", "in"), 2, "in: holds neither groups.csv nor elements.csv"),
        (("dictionary", "show", "5XYZ"), 2, "no layout of group 5XYZ; "),
        (("sample", "in"), 2, "in exists and is no empty directory: name another"),
        (("sample", "new", "--files", "0"), 2, "files is 0, it must be at least 1"),
        (("sample", "file/new"), 1, "file/new: Not a directory"),
        (("inspect", "in/a.al3", "--century-pivot", "100"), 2, "century_pivot is 100; valid: 0 to 99"),
        (("ingest", "in", "out", "--split-mib", "0"), 2, "the request: --split-mib is 0; valid: 1 to 128"),
        (("ingest", "in", "out", "--split-mib", "x"), 2, "Invalid value for '--split-mib': "),
        (("ingest", "in", "out", "--ingest-date", "2026-02-30"), 2, "the request: --ingest-date is "),
        (("ingest", "in", "out", "--sploit-mib", "1"), 2, "No such option '--sploit-mib'"),
        (("ingest", "in"), 2, "SOURCE and DESTINATION are missing"),
        (("validate",), 2, "Missing argument 'SOURCE'."),
        (("digest", "in", "out"), 2, "No such command 'digest'."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_told_in_one_line(
    command: Command,
    good: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(good)
    before = files_below(good)
    ended = command(*arguments)
    assert ended.code == code
    assert ended.complaint.startswith(f"al3spark: {complaint.format(here=tmp_path)}")
    assert files_below(good) == before


def test_several_problems_of_a_request_are_told_at_once(command: Command, good: Path, out: Path) -> None:
    ended = command("ingest", good, out, "--split-mib", 0, "--window-kib", 1)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        "al3spark: the request has 2 problems:",
        "  --split-mib is 0; valid: 1 to 128",
        "  --window-kib is 1; valid: 4 to 65536",
    ]


@pytest.mark.parametrize("place", ["hdfs://host/in", "gs://bucket/in", "s3://x/in"])
def test_a_place_that_is_not_supported_is_told_in_one_line(
    command: Command, good: Path, out: Path, place: str
) -> None:
    for ended in (command("ingest", place, out), command("ingest", good, place)):
        assert ended.code == 2
        assert place in ended.complaint


def test_no_java_is_told_in_one_line(good: Path, out: Path, tmp_path: Path) -> None:
    ended = process("ingest", good, out, PATH=str(tmp_path), JAVA_HOME="")
    assert ended.code == 2
    expected = "Spark needs Java and there is none: install Java 17 or newer, or set JAVA_HOME"
    assert ended.complaint == f"al3spark: {expected}"


@pytest.mark.parametrize("variable", ["PATH", "JAVA_HOME"])
def test_a_java_too_old_is_told_in_one_line(good: Path, out: Path, tmp_path: Path, variable: str) -> None:
    java = tmp_path / "bin" / "java"
    put(tmp_path, {"bin/java": b"#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n"})
    java.chmod(0o755)
    found = {"PATH": str(java.parent), "JAVA_HOME": str(tmp_path) if variable == "JAVA_HOME" else ""}
    ended = process("ingest", good, out, **found)
    assert ended.code == 2
    assert ended.complaint.startswith(f"al3spark: Spark needs Java 17, {java} is 11: ")


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.parametrize(
    ("master", "reason"),
    [
        ("hive", "Master must either be yarn or start with spark, "),
        ("local[x]", "Could not parse Master URL"),
    ],
)
def test_a_master_that_spark_does_not_know_is_told_in_one_line(
    good: Path, out: Path, master: str, reason: str
) -> None:
    ended = process("ingest", good, out, "--master", master)
    assert ended.code == 2
    assert ended.complaint.startswith(f"al3spark: Spark does not start: {reason}")


# pipes and help


def test_a_reader_that_goes_away_is_no_error() -> None:
    line = f"{sys.executable} -m al3spark.cli dictionary list | head -n 1"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout.split()[0], done.stdout.count("\n"), done.stderr) == ("group", 1, "")


def test_a_reader_that_was_never_there_leaves_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing) as nobody:
        arguments = [sys.executable, "-m", "al3spark.cli", "dictionary", "list"]
        done = subprocess.run(
            arguments, stdout=nobody, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False
        )
    assert (done.returncode, done.stderr) == (1, "")


def all_commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from all_commands(below, f"{path} {name}")


COMMANDS = dict(all_commands(cli, "al3spark"))


def test_every_command_is_here() -> None:
    expected = {"ingest", "validate", "inspect", "sample", "dictionary list", "dictionary show"}
    assert {f"al3spark {name}" for name in (*expected, "dictionary check", "dictionary")} <= set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_every_option_has_a_help_text(path: str) -> None:
    command = COMMANDS[path]
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert command.help
    assert [each.name for each in options if not each.help] == []


@pytest.mark.parametrize("path", COMMANDS)
def test_help_goes_to_standard_output(command: Command, path: str) -> None:
    ended = command(*path.split()[1:], "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: {path} ")


def test_help_starts_within_a_second() -> None:
    def measure() -> float:
        began = time.monotonic()
        assert process("--help").code == 0
        return time.monotonic() - began

    assert min(measure() for _ in range(3)) < 1


def test_no_command_is_help_and_wrong_usage(command: Command) -> None:
    ended = command()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: al3spark ")


def test_the_version_is_told(command: Command) -> None:
    ended = command("--version")
    assert ended.code == 0
    assert ended.out.startswith("al3spark, version ")


@pytest.mark.parametrize(
    "arguments", [("--help",), ("ingest", "--help"), ("inspect", "{file}"), ("dictionary", "list")]
)
def test_a_command_without_spark_does_not_import_it(good: Path, arguments: tuple[str, ...]) -> None:
    words: list[Any] = [each.format(file=good / "a.al3") for each in arguments]
    code = (
        "import sys\nfrom al3spark.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    assert not end.code\nsys.exit(repr({'pyspark', 'py4j'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stderr == "set()\n"
