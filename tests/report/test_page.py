"""The page as a browser reads it: whole, by itself, and harmless."""

from pathlib import Path

import pytest

from al3spark.monitoring import Counts
from al3spark.planning import TOO_YOUNG, Skipped
from al3spark.report.gathering import gather_facts
from al3spark.report.page import make_page
from al3spark.spark.slowest import FileTime
from al3spark.store.places import Place, open_place
from tests.endings import BAD, FAULTY, FINE, JOB, ended, file
from tests.report.jobs import Page, fault, leave_job, leave_status

NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\nb\u202ec",
    "</style><script>alert(1)</script>",
    "x" * 3000,
)
KNOWN = {
    "aria-hidden",
    "aria-label",
    "charset",
    "class",
    "content",
    "http-equiv",
    "lang",
    "name",
    "open",
    "role",
    "scope",
    "style",
    "tabindex",
    "title",
    # of shapes
    "height",
    "preserveaspectratio",
    "viewbox",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path / "out"))


def show(place: Place) -> Page:
    return Page(make_page(gather_facts(place, JOB)))


@pytest.fixture
def full(place: Place) -> Page:
    """The page of a job with all there is to tell."""
    faults = [
        fault(
            "/in/faulty",
            "VALUE_INVALID",
            group_code="5BPI",
            element="amount",
            record_offset=12300,
            byte_offset=12345,
            raw="99A",
        ),
        fault("/in/faulty", "GROUP_UNMAPPED", group_code="5ZZZ", record_offset=98765),
    ]
    points = [(float(second), second * 1_000_000) for second in range(11)]
    slow = (FileTime("/in/faulty", 1234.5, 5_000_000, 3, shared=True),)
    young = [Skipped(file("young"), TOO_YOUNG, known=True)]
    leave_job(
        place, FINE, FAULTY, BAD, faults=faults, skipped=young, slowest=slow, rows=1234567, points=points
    )
    return show(place)


def test_a_page_is_whole_and_needs_nothing_but_itself(full: Page) -> None:
    assert full.attributes() <= KNOWN
    assert full.names() & {"script", "link", "iframe", "img", "object", "embed", "form", "a", "base"} == set()
    policy = [attributes for _, attributes in full.elements if attributes.get("http-equiv")]
    assert policy[0]["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_the_style_fetches_nothing(place: Place) -> None:
    leave_job(place, FINE)
    html = make_page(gather_facts(place, JOB))
    assert ("url(" in html, "@import" in html, "http://" in html, "https://" in html) == (False,) * 4


@pytest.mark.parametrize(
    "said",
    [
        f"{JOB} partial success 1 of 3 files failed; the others are in the tables.",
        "Source / in Tables",
        "dictionary 0123456789abcdef, spark 4.3.0 ",
        "files read 2 file failed 1",
        "What to do next Keep other files out of the source FILE_NOT_AL3 1 file held no AL3 record.",
        "1 value did not fit, mostly in 5BPI.amount (1)",
        "read without faults 1 25 % read, with faults 1 25 % failed 1 25 % skipped 1 25 %",
        "Skipped: 1 too young.",
        "bad FILE_NOT_AL3 no AL3 record in it",
        "GROUP_UNMAPPED 1 mostly in 5ZZZ 1",
        "VALUE_INVALID 1 mostly in 5BPI.amount 1",
        "12,345 record 12,300 VALUE_INVALID 5BPI.amount it is so 99A",
        "98,765 GROUP_UNMAPPED 5ZZZ it is so",
        "policies 1,234,567",
        "faulty 20 min 34 s 5 MB, 0 MB/s, in 3 tasks, shared",
        "the dashed line is their average, 0.9 MB/s",
    ],
)
def test_a_page_says_what_there_is_to_say(full: Page, said: str) -> None:
    assert said in full.text


def test_names_of_files_are_text_whatever_they_are(place: Place) -> None:
    nasty = [ended(name, fault_counts=(("VALUE_INVALID", 1),)) for name in NASTY]
    bad = [ended(f"bad{name}", failed="FILE_EMPTY", reason=f"no bytes in {name}") for name in NASTY]
    faults = [fault(f"/in/{name}", "VALUE_INVALID", message=name, raw=name) for name in NASTY]
    slow = tuple(FileTime(f"/in/{name}", 1.0, 1, 1, shared=False) for name in NASTY)
    leave_job(place, *nasty, *bad, faults=faults, slowest=slow)
    page = show(place)
    assert page.attributes() <= KNOWN
    assert page.names() & {"script", "img"} == set()
    titles = [attributes.get("title") for _, attributes in page.elements]
    assert "/in/<script>alert(1)</script>" in titles
    assert r"/in/a\nb\u202ec" in titles
    assert f"/in/{'x' * 3000}" in titles
    assert f"{'x' * 60}…{'x' * 60}" in page.text


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            "processing",
            ["running", "40 % of 1 kB", "last sign of life", "Too little is done yet to draw it."],
        ),
        (
            "failed",
            [
                "failed",
                "It broke off: the disk is full.",
                "A job tells them by table when it comes to its end.",
            ],
        ),
        ("cancelled", ["cancelled", "It was cancelled: the disk is full.", "not reached"]),
    ],
)
def test_a_job_without_a_manifest_has_a_page(place: Place, status: str, said: list[str]) -> None:
    leave_status(
        place, status, Counts(5, total_bytes=1000, chunk_bytes=400, part=1.0), reason="the disk is full"
    )
    page = show(place)
    assert [each for each in said if each not in page.text] == []
    assert page.attributes() <= KNOWN


def test_a_job_that_broke_off_after_its_manifest_says_so(place: Place) -> None:
    leave_job(place, FINE)
    leave_status(place, "failed", reason="the disk is full")
    text = show(place).text
    assert f"{JOB} failed All rows are published, but then it broke off: the disk is full." in text
    assert ("Nothing to mend" in text, "all without a fault" in text) == (False, False)


def test_empty_sections_say_why(place: Place) -> None:
    leave_job(place, FINE)
    text = show(place).text
    assert "None: all that was read fits." in text
    assert "It was over too soon to draw it." in text
    assert "No file was read." in text
    assert ("Files that failed" in text, "Faults by file" in text) == (False, False)


def test_connect_and_earlier_jobs_say_that_nobody_knows_what_is_slow(place: Place) -> None:
    leave_job(place, FINE, slowest=None)
    assert "Nobody knows: Spark does not tell over Spark Connect" in show(place).text


def test_a_batch_of_nothing_has_a_page(place: Place) -> None:
    leave_job(place)
    text = show(place).text
    assert "There was no file to read." in text
    assert "There was nothing new to read." in text
