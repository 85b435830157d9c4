"""`al3spark report`: where the page goes, and what is said of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from al3spark.cli import main
from al3spark.report.saving import save_page
from al3spark.store.places import Place, open_place
from tests.batches import ROOT
from tests.endings import FINE, JOB
from tests.report.jobs import Page, leave_job


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    leave_job(open_place(str(tmp_path / "out")), FINE)
    return tmp_path / "out"


def report(*arguments: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["report", *map(str, arguments)])
    return ended.value.code


def test_a_page_is_written_to_report_html(
    tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(tables) == 0
    assert capsys.readouterr() == (f"report.html: report of {JOB}\n", "")
    assert JOB in Page((tmp_path / "report.html").read_text()).text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "report.html"]


def test_a_page_on_standard_output_is_nothing_else(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(tables, JOB, "-o", "-") == 0
    out, err = capsys.readouterr()
    assert (out.startswith("<!DOCTYPE html>\n"), out.endswith("</html>\n"), err) == (True, True, "")


@pytest.mark.parametrize("arguments", [(), (JOB,)])
def test_a_destination_without_jobs_is_one_line_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    assert report(tmp_path / "empty", *arguments, "-o", tmp_path / "r.html") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"al3spark: {tmp_path}/empty: no job ")
    assert not (tmp_path / "r.html").exists()


def test_a_page_replaces_the_one_before_at_once(tmp_path: Path) -> None:
    target = tmp_path / "new" / "r.html"
    save_page(str(target), "first")
    with target.open() as reader:
        save_page(str(target), "second")
        assert (reader.read(), target.read_text()) == ("first", "second")
    assert [path.name for path in target.parent.iterdir()] == ["r.html"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.html").symlink_to(tmp_path / "r.html")
    save_page(str(tmp_path / "link.html"), "page")
    assert (tmp_path / "r.html").read_text() == "page"
    assert (tmp_path / "link.html").is_symlink()


def test_a_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    save_page(str(pipe), "page")
    assert reader.communicate(timeout=20)[0] == "page"
    assert pipe.is_fifo()


def test_a_folder_is_refused_in_one_line(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(tables, "-o", tables) == 1
    assert capsys.readouterr().err == f"al3spark: {tables}: Is a directory\n"


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["s3"], indirect=True)
def test_a_page_goes_into_a_bucket_too(place: Place, moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    leave_job(place, FINE)
    assert report(place.uri(""), "-o", place.uri("pages/r.html")) == 0
    page = place.read("pages/r.html")
    assert page is not None
    assert JOB in Page(page.decode()).text


def test_the_command_needs_no_spark(tables: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from al3spark.report import gathering, page;"
        "from al3spark.store.places import open_place;"
        f"page.make_page(gathering.gather_facts(open_place({str(tables)!r}), None));"
        "print({'pyspark', 'py4j'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
