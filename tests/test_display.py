"""Text for people: what progress looks like on a terminal and in a log, and what lists and summaries say."""

import fcntl
import io
import os
import pty
import select
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from al3spark import display
from al3spark.al3.dictionary import load_dictionary
from al3spark.display import ProgressLine, dictionary_lines, findings_lines, group_lines
from al3spark.reporting import LogLines, Progress

LISTING = Progress("listing")
PARSING = [Progress("parsing", 1200, 64_000_000, part) for part in (0.0, 0.1, 0.2, 0.5, 0.5, 0.8, 1.0, 1.0)]
DONE = Progress("done", 1200, 64_000_000, 1.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as its only item."""
    now = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


@contextmanager
def terminal() -> Iterator[Callable[[], str]]:
    """Put a terminal of 80 columns in the place of standard error; give what reads its screen."""
    screen, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(line, "w") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", stream)

        def read() -> str:
            stream.flush()
            shown = b""
            while select.select([screen], [], [], 0.1)[0]:
                shown += os.read(screen, 100_000)
            return shown.decode()

        yield read
    os.close(screen)


def show_all(clock: list[float]) -> None:
    """Three steps; parsing takes 1 s from each report to the next."""
    with ProgressLine() as line:
        line.show(LISTING)
        for progress in PARSING:
            line.show(progress)
            clock[0] += 1
        line.show(DONE)


def test_a_log_gets_one_line_a_step_and_milestone(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    show_all(clock)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "listing",
        "parsing 1,200 files, 64.0 MB",
        "parsing 1,200 files, 64.0 MB: 50%, 10.7 MB/s, 3 s left",
        "parsing 1,200 files, 64.0 MB: 80%, 10.2 MB/s, 1 s left",
        "parsing 1,200 files, 64.0 MB: 100%, 10.7 MB/s",
        "done 1,200 files, 64.0 MB",
    ]


def test_a_log_gets_no_second_line_for_a_job_that_ends_before_the_first_look(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with ProgressLine() as line:
        line.show(LISTING)
        clock[0] += 2
        line.show(Progress("parsing", 1, 1_000_000, 1.0))
    assert capsys.readouterr().err.splitlines() == ["listing", "parsing 1 files, 1.0 MB: 100%, 0.5 MB/s"]


@pytest.mark.parametrize(
    ("seconds", "left"), [(33, "99 s left"), (40, "2 min left"), (1999, "100 min left"), (2400, "2.0 h left")]
)
def test_time_left_has_a_unit_that_fits(
    clock: list[float], capsys: pytest.CaptureFixture[str], seconds: int, left: str
) -> None:
    with ProgressLine() as line:
        line.show(Progress("parsing", 1, 1_000_000, 0.0))
        clock[0] += seconds
        line.show(Progress("parsing", 1, 1_000_000, 0.25))
    assert capsys.readouterr().err.endswith(f", {left}\n")


def test_a_terminal_gets_one_line_that_changes_and_goes(clock: list[float]) -> None:
    with terminal() as read:
        show_all(clock)
        shown = read()
    assert "\n" not in shown
    lines = shown.split("\r\x1b[K")
    assert lines[:5] == [
        "",
        "listing",
        "parsing 1,200 files, 64.0 MB",
        "parsing 1,200 files, 64.0 MB: 10%, 6.4 MB/s, 9 s left",
        "parsing 1,200 files, 64.0 MB: 20%, 6.4 MB/s, 8 s left",
    ]
    assert lines[-2:] == ["done 1,200 files, 64.0 MB", ""]


def test_a_line_never_wraps_on_a_narrow_terminal() -> None:
    with terminal() as read:
        with ProgressLine() as line:
            line.show(Progress("x" * 200))
        assert read() == f"\r\x1b[K{'x' * 79}\r\x1b[K"


def test_a_terminal_stays_untouched_without_progress() -> None:
    with terminal() as read:
        with ProgressLine():
            sys.stderr.write("!")
        assert read() == "!"


def test_a_list_of_groups_tells_which_have_a_layout() -> None:
    lines = dictionary_lines(load_dictionary())
    assert lines[0].split() == ["group", "table", "elements", "length", "name"]
    assert next(line for line in lines if line.startswith("5BPI")).split()[:2] == ["5BPI", "policies"]
    assert next(line for line in lines if line.startswith("2ACI")).split()[1:4] == ["-", "-", "-"]
    assert lines[-1] == f"version {load_dictionary().version}"


def test_a_group_shows_each_element_with_its_kind() -> None:
    layout = load_dictionary().layout("3MTG")
    assert layout is not None
    lines = group_lines(layout)
    assert lines[0] == f"3MTG {layout.title}: table message_trailers, {layout.length} bytes"
    assert len(lines) == 2 + len(layout.elements)
    assert lines[2].split()[:3] == ["10", "8", "integer"]
    assert lines[2].endswith("total_data_in_message")


def test_findings_tell_codes_places_and_totals() -> None:
    place = {
        "file_path": "/in/a.al3",
        "byte_offset": 7,
        "group_code": "5BPI",
        "element": "current_term_amount",
        "message": "is no amount",
        "raw": "999A",
    }
    whole = dict.fromkeys(place) | {"file_path": "/in/b.al3", "message": "the file is empty"}
    findings = {
        "files": 1200,
        "records": 5,
        "errors": 2,
        "faults": {
            "FILE_EMPTY": {"severity": "error", "count": 1, "places": [whole]},
            "VALUE_INVALID": {"severity": "error", "count": 1000, "places": [place]},
        },
    }
    assert findings_lines(findings) == [
        "error FILE_EMPTY: 1",
        "  /in/b.al3: the file is empty",
        "error VALUE_INVALID: 1,000",
        "  /in/a.al3 at 7: 5BPI.current_term_amount is no amount [999A]",
        "1,200 files, 5 records, 2 errors",
    ]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_batch_goes_on_when_nobody_reads_its_progress(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed(io.StringIO):
        def isatty(self) -> bool:
            return terminal

        def fileno(self) -> int:
            return 1

        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(os, "get_terminal_size", lambda _fd: os.terminal_size((80, 24)))
    monkeypatch.setattr(sys, "stderr", Closed())
    with ProgressLine() as line:
        line.show(Progress("parsing", 1, 10, 0.5))
    LogLines(emf=False, stream=Closed()).show(Progress("parsing", 1, 10, 0.5))
