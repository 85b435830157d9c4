from al3spark.importing.telling import report_lines
from tests.importing.exports import convert_licensee, convert_rows


def test_report_tells_what_a_newcomer_wants_to_know() -> None:
    lines = report_lines({**convert_licensee().report, "written": "mine"})
    assert lines[0] == "licensee.csv: 4 groups, 25 elements"
    assert lines[1].startswith("rows left out: 2 above the head, ")
    assert "2PTC Pet Control: table pet_control, 3 elements, 42 bytes; new group" in lines
    assert "5DRV Driver Information: table drivers, 12 elements, 195 bytes; 1 new, 7 gone" in lines
    assert "  gap   146-159" in lines
    assert next(line for line in lines if line.startswith("  new ")).split() == [
        "new",
        "points",
        "193-194,",
        "integer",
        "line",
        "21",
    ]
    assert "named, without elements: 6ARU" in lines
    assert "  5PET.vet_bill_5pet05 (Vet Bill)" in lines
    assert lines[-1] == "written: mine/groups.csv, mine/elements.csv"


def test_report_of_what_is_not_written_says_so_and_warns() -> None:
    report = convert_rows("5QQQ,one,30,4,N").report
    lines = report_lines({**report, "written": None, "warning": "count"})
    assert lines[-2:] == [
        "LOOK AT THIS: count",
        "nothing is written; -o DIRECTORY writes groups.csv and elements.csv",
    ]


def test_long_lists_are_cut() -> None:
    rows = [f"5QQQ,a{number},{30 + number},1,9" for number in range(5)]
    report = convert_rows(
        *rows, "5QQQ,a,40,1,AN", "5QQQ,a,41,1,AN", "5QQQ,a,42,1,AN", "5QQQ,a,43,1,AN", "5QQQ,a,44,1,AN"
    ).report
    lines = report_lines({**report, "written": None})
    assert "  5QQQ.a_2 (a), 5QQQ.a_3 (a), 5QQQ.a_4 (a) and 1 more" in lines
