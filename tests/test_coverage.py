"""What a dictionary lacks, with figures that can be added up by hand."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from al3spark.al3.building import Record, build_file
from al3spark.al3.coverage import Seen
from al3spark.al3.dictionary import Dictionary, header_length
from al3spark.al3.totals import FileTotals
from al3spark.cli import main
from al3spark.config import Options, Source
from al3spark.coverage import coverage_lines, describe_coverage, measure_source
from al3spark.reporting import Progress
from al3spark.sampling import sample_bytes
from tests.al3.samples import DICTIONARY, zipped
from tests.al3.test_coverage import NOTES, note
from tests.batches import put

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Of 5QQQ (30 bytes of header, 4 + 4 described, a gap of 5 between them) and of groups without a layout.
SEEN = Seen(
    records=Counter(
        {
            ("5QQQ", "", 43): 8,
            ("5QQQ", "", 47): 1,
            ("5QQQ", "7", 36): 2,
            ("6ARU", "7", 40): 3,
            ("2QQX", "", 12): 1,
        }
    ),
    extra=Counter({("5QQQ", "", 47): 4}),
    filled=Counter({("5QQQ", 34): 5}),
    misfits=Counter(
        {
            ("5QQQ", "number", "VALUE_INVALID"): 3,
            ("5QQQ", "note", "GROUP_TOO_SHORT"): 1,
            ("6ARU", "iteration", "VALUE_INVALID"): 1,
        }
    ),
    shapes={("5QQQ", "number", "VALUE_INVALID"): Counter({"AAAA": 1, "9 9 ": 2})},
    cut_off=2,
)
KNOWN = Dictionary(NOTES.layouts, (*NOTES.titles, ("6ARU", "Agriculture")), "1")
ELEMENTS = b"group,element,start,length,kind\n5QQQ,number,30,4,integer\n5QQQ,note,39,4,text\n"
FILES = (FileTotals("a", "a"), FileTotals("b", "b", failed="FILE_EMPTY"))


def test_coverage_is_what_can_be_added_up_by_hand() -> None:
    found = describe_coverage(SEEN, KNOWN, FILES)
    counts = ("records", "bytes", "gap_bytes", "extra_bytes", "unmapped_bytes", "layout_length", "described")
    assert [
        (each["group"], each["version"], *(each[name] for name in counts)) for each in found["groups"]
    ] == [
        ("5QQQ", "", 9, 391, 45, 4, 0, 43, 0.874680),
        ("6ARU", "7", 3, 120, 0, 0, 30, None, 0.75),
        ("5QQQ", "7", 2, 72, 4, 0, 0, 43, 0.944444),
        ("2QQX", "", 1, 12, 0, 0, 2, None, 0.833333),
    ]
    assert {name: found[name] for name in ("files", "failed", "records", "cut_off", "bytes")} == {
        "files": 2,
        "failed": 1,
        "records": 15,
        "cut_off": 2,
        "bytes": 595,
    }
    assert (found["described_bytes"], found["described"]) == (510, 0.857143)


def test_lengths_that_are_met_most_come_first() -> None:
    (group,) = (each for each in describe_coverage(SEEN, KNOWN, FILES)["groups"] if each["bytes"] == 391)
    assert group["lengths"] == [{"length": 43, "records": 8}, {"length": 47, "records": 1}]


def test_unmapped_groups_have_the_name_that_the_dictionary_knows() -> None:
    assert describe_coverage(SEEN, KNOWN, FILES)["unmapped"] == [
        {"group": "6ARU", "name": "Agriculture", "records": 3, "bytes": 120},
        {"group": "2QQX", "name": None, "records": 1, "bytes": 12},
    ]


def test_gaps_and_values_are_listed_by_how_often_they_are_met() -> None:
    found = describe_coverage(SEEN, KNOWN, FILES)
    assert found["gaps"] == [{"group": "5QQQ", "start": 34, "length": 5, "records": 11, "filled": 5}]
    assert [tuple(each.values()) for each in found["values"]] == [
        ("5QQQ", "number", "5QQQ01", "integer", "VALUE_INVALID", 3, ["9 9 ", "AAAA"]),
        ("5QQQ", "note", None, "text", "GROUP_TOO_SHORT", 1, []),
        ("6ARU", "iteration", None, "integer", "VALUE_INVALID", 1, []),
    ]


def test_lines_tell_what_lacks_first_and_the_sum_last() -> None:
    lines = coverage_lines(describe_coverage(SEEN, KNOWN, FILES))
    assert [" ".join(line.split()) for line in lines] == [
        "group version table records bytes described in gaps too long no layout layout lengths",
        "5QQQ - notes 9 391 87.5% 45 4 - 43 43 47",
        "6ARU 7 - 3 120 75.0% - - 30 - 40",
        "5QQQ 7 notes 2 72 94.4% 4 - - 43 36",
        "2QQX - - 1 12 83.3% - - 2 - 12",
        "",
        "gaps that hold something",
        "5QQQ 34-38 in 5 of 11 records",
        "",
        "values that do not fit",
        "5QQQ.number 5QQQ01 no integer 3 [9 9 ] [AAAA]",
        "5QQQ.note - records end inside it 1",
        "6ARU.iteration - no integer 1",
        "",
        "groups without a layout",
        "6ARU 3 records 120 bytes Agriculture",
        "2QQX 1 records 12 bytes name not known",
        "",
        "2 records that the end of their file cuts off are not counted",
        "",
        "2 files (1 failed, see `al3spark validate`), 15 records, 0.0 MB",
        "described: 85.7%",
    ]


def test_nothing_is_described_of_nothing() -> None:
    found = describe_coverage(Seen(), KNOWN, ())
    assert (found["described"], coverage_lines(found)) == (
        None,
        ["0 files, 0 records, 0.0 MB", "described: nothing"],
    )


@pytest.mark.parametrize(
    ("lengths", "share", "told"),
    [
        ({36: 1}, 0.833333, "described: 83.3%"),
        ({10**9: 1}, 1e-6, "described: < 0.1%"),
        ({30: 10**8, 39: 1}, 1 - 1e-6, "described: > 99.9%"),
        ({30: 1}, 1.0, "described: 100.0%"),
    ],
)
def test_what_is_not_all_or_nothing_is_not_told_so(lengths: dict[int, int], share: float, told: str) -> None:
    seen = Seen(records=Counter({("6ARU", "", length): count for length, count in lengths.items()}))
    found = describe_coverage(seen, KNOWN, ())
    assert found["described"] == pytest.approx(share, abs=1e-9)
    assert coverage_lines(found)[-1] == told


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A plain file, an archive with a damaged one, and what is no AL3."""
    head = Record("1MHG", raw=b" " * 151)
    good = [head, note(b"0001     text"), note(b"0001abcdetextmore", "7")]
    cut_off = build_file([head, note(b"00012")], NOTES)[:-2]
    return put(
        tmp_path / "in",
        {
            "a.al3": build_file(good, NOTES),
            "b.zip": zipped({"c.al3": build_file([head, note(b"SMIT")], NOTES), "d.al3": cut_off}),
            "letter.txt": b"Dear agent, nothing to see here.",
        },
    )


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return put(
        tmp_path / "own",
        {
            "groups.csv": b"group,table,name\n5QQQ,notes,Notes\n",
            "elements.csv": ELEMENTS,
        },
    )


@pytest.mark.spark
def test_corpus_is_measured_file_by_file_and_told_how_far(
    spark: "SparkSession", corpus: Path, own: Path
) -> None:
    told: list[Progress] = []
    found = measure_source(Source(str(corpus)), Options(dictionaries=(str(own),)), spark, told.append)
    assert (found["files"], found["failed"], found["records"], found["cut_off"]) == (4, 1, 6, 1)
    assert [(each["group"], each["version"], each["records"], each["bytes"]) for each in found["groups"]] == [
        ("5QQQ", "7", 1, 47),
        ("5QQQ", "", 2, 77),
        ("1MHG", "", 3, 483),
    ]
    assert (found["bytes"], found["described_bytes"]) == (607, 607 - 5 - 4 - 5)
    assert found["gaps"] == [{"group": "5QQQ", "start": 34, "length": 5, "records": 3, "filled": 1}]
    assert [(each["element"], each["count"], each["shapes"]) for each in found["values"]] == [
        ("number", 1, ["AAAA"])
    ]
    assert (told[-1].step, told[-1].files, told[-1].fraction) == ("parsing", 4, 1.0)


def walk(data: bytes) -> Iterator[tuple[str, str, int]]:
    """Group, version and length of every record, one after the other."""
    at = 0
    while at < len(data):
        if data[at] < 0x30:
            at += 1
            continue
        length = int(data[at + 4 : at + 7])
        yield data[at : at + 4].decode(), data[at + 8 : at + 9].decode().strip(), length
        at += length


def described_bytes(group: str, length: int) -> int:
    """Bytes of header and elements, as one adds them up by hand."""
    layout = DICTIONARY.layout(group)
    elements = [each for each in layout.elements if each.kind != "gap"] if layout else []
    return header_length(group) + sum(max(min(each.end, length) - each.start, 0) for each in elements)


@pytest.mark.spark
@pytest.mark.newest
def test_sample_is_described_as_a_plain_walk_adds_it_up(spark: "SparkSession", tmp_path: Path) -> None:
    data = sample_bytes(60_000, seed=1)
    records = list(walk(data))
    found = measure_source(
        Source(str(put(tmp_path / "in", {"a.al3": data}))), Options(), spark, lambda _: None
    )
    assert Counter(records) == {
        (each["group"], each["version"], length["length"]): length["records"]
        for each in found["groups"]
        for length in each["lengths"]
    }
    assert found["bytes"] == sum(length for *_, length in records)
    assert found["described_bytes"] == sum(described_bytes(group, length) for group, _, length in records)
    unknown = {group for group, *_ in records if DICTIONARY.layout(group) is None}
    assert {each["group"] for each in found["unmapped"]} == unknown
    lacking = [each["gap_bytes"] + each["extra_bytes"] + each["unmapped_bytes"] for each in found["groups"]]
    assert lacking == sorted(lacking, reverse=True)
    assert lacking[0] > 0
    assert found["values"] == []


@pytest.mark.spark
def test_command_tells_it_in_lines_and_takes_a_pattern(
    spark: "SparkSession", corpus: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", "coverage", str(corpus), "--dictionary", str(own), "--pattern", "*.al3"])
    shown = capsys.readouterr()
    assert ended.value.code == 0
    assert shown.out.splitlines()[-2:] == ["1 files, 3 records, 0.0 MB", "described: 94.4%"]
    assert "parsing" in shown.err
    with pytest.raises(SystemExit):
        main(["dictionary", "coverage", str(corpus), "--dictionary", str(own), "--json"])
    assert json.loads(capsys.readouterr().out)["cut_off"] == 1
