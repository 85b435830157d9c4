"""Moving source files away when their rows are published."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from al3spark.archiving import Archiver, Move
from al3spark.config import Archive
from al3spark.errors import FileChangedError
from al3spark.spark.splits import InputFile
from al3spark.store.places import open_place
from tests.batches import al3, ingest, put, read_rows, statuses


@pytest.fixture(params=["same disk", "other disk"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "same disk":
        yield tmp_path / "archive"
        return
    if Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is the disk of the temporary files")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def files_below(folder: Path) -> dict[str, bytes]:
    """Data files, without the folder of our own documents."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "_al3spark" not in path.parts
    }


def archived_to(destination: Path) -> dict[str, str | None]:
    """By base name, of the last row of each path."""
    rows = sorted(read_rows(destination, "files", "finished_at", "file_path", "archived_to"))
    return {Path(path).name: to for _, path, to in rows}


# One file


def as_input(source: Path, name: str) -> InputFile:
    found = open_place(str(source)).find(name)
    assert found
    return InputFile(f"{source}/{name}", name, found.size, found.size, found.version)


def test_a_file_moves_with_its_name_and_faults_beside_it(source: Path, archive: Path) -> None:
    put(source, {"deep/a.al3": b"some bytes"})
    place = open_place(str(archive))
    archiver = Archiver(open_place(str(source)), None, place, "job-1")
    file = as_input(source, "deep/a.al3")
    assert archiver.target(file, failed=False) is None
    target = archiver.target(file, failed=True)
    assert target == f"{archive}/job-1/deep/a.al3"
    moved = archiver.move([Move(file, target, "FILE_NOT_AL3: no AL3 record in it")])
    assert (moved.files, moved.left, files_below(source)) == (1, (), {})
    found = files_below(archive)
    assert found.pop("job-1/deep/a.al3") == b"some bytes"
    assert json.loads(found.pop("job-1/deep/a.al3.faults.json")) == {
        "job_id": "job-1",
        "file": f"{source}/deep/a.al3",
        "code": "FILE_NOT_AL3",
        "message": "no AL3 record in it",
    }
    assert found == {}


def test_a_file_that_changed_stays_where_it_is(source: Path, archive: Path) -> None:
    put(source, {"a.al3": b"some bytes"})
    file = as_input(source, "a.al3")
    put(source, {"a.al3": b"other bytes than before"})
    place = open_place(str(archive))
    archiver = Archiver(open_place(str(source)), place, None, "job-1")
    moved = archiver.move([Move(file, f"{archive}/job-1/a.al3")])
    assert moved.files == 0
    assert "changed since it was listed" in moved.left[0][1]
    assert files_below(source) == {"a.al3": b"other bytes than before"}
    assert files_below(archive) == {}
    with pytest.raises(FileChangedError):
        place.adopt("a.al3", open_place(str(source)), "gone.al3", "1-1")


def test_a_move_that_was_cut_off_is_done_again(source: Path, archive: Path) -> None:
    put(source, {"a.al3": b"some bytes"})
    put(archive, {"job-1/a.al3": b"some bytes"})  # copied, but not removed yet
    archiver = Archiver(open_place(str(source)), open_place(str(archive)), None, "job-2")
    assert archiver.move([Move(as_input(source, "a.al3"), f"{archive}/job-1/a.al3")]).files == 1
    assert (files_below(source), files_below(archive)) == ({}, {"job-1/a.al3": b"some bytes"})


def test_a_link_moves_as_the_file_that_it_leads_to(source: Path, archive: Path) -> None:
    put(source, {"real/a.al3": b"some bytes"})
    (source / "link.al3").symlink_to("real/a.al3")
    archiver = Archiver(open_place(str(source)), open_place(str(archive)), None, "job-1")
    assert archiver.move([Move(as_input(source, "link.al3"), f"{archive}/job-1/link.al3")]).left == ()
    assert files_below(source) == {"real/a.al3": b"some bytes"}
    assert not (archive / "job-1/link.al3").is_symlink()


def test_a_file_that_cannot_be_moved_is_told(source: Path, tmp_path: Path) -> None:
    put(source, {"a.al3": b"some bytes"})
    put(tmp_path / "archive", {"job-1": b"a file where a folder has to be"})
    archiver = Archiver(open_place(str(source)), open_place(str(tmp_path / "archive")), None, "job-1")
    moved = archiver.move([Move(as_input(source, "a.al3"), f"{tmp_path}/archive/job-1/a.al3")])
    assert moved.files == 0
    assert moved.left == ((f"{source}/a.al3", f"{tmp_path}/archive/job-1/a.al3: File exists"),)
    assert list(files_below(source)) == ["a.al3"]


# Batches


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_what_was_ingested_goes_here_and_what_failed_there(
    source: Path, destination: Path, archive: Path
) -> None:
    put(
        source,
        {"a.al3": al3(1), "deep/b.al3": al3(2), "copy.al3": al3(1), "text.al3": b"Dear agent, no.\r\n"},
    )
    with zipfile.ZipFile(source / "d.zip", "w") as zipped:
        zipped.writestr("inner.al3", al3(3))
    before = files_below(source)
    where = Archive(str(archive / "good"), str(archive / "bad"))
    manifest = ingest(source, destination, archive=where)
    job = manifest["job_id"]
    assert (manifest["summary"]["archived"], manifest["not_archived"]) == (5, [])
    assert files_below(source) == {}
    assert files_below(archive / "good") == {
        f"{job}/{name}": data for name, data in before.items() if name != "text.al3"
    }
    assert list(files_below(archive / "bad")) == [f"{job}/text.al3", f"{job}/text.al3.faults.json"]
    assert archived_to(destination) == {
        "a.al3": f"{archive}/good/{job}/a.al3",
        "b.al3": f"{archive}/good/{job}/deep/b.al3",
        "copy.al3": f"{archive}/good/{job}/copy.al3",
        "text.al3": f"{archive}/bad/{job}/text.al3",
        "d.zip": f"{archive}/good/{job}/d.zip",
        "d.zip!inner.al3": None,
    }


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_files_that_were_ingested_before_are_moved_by_the_next_run(
    source: Path, destination: Path, tmp_path: Path
) -> None:
    put(source, {"a.al3": al3(1), "text.al3": b"Dear agent, no.\r\n"})
    ingest(source, destination)
    archive = tmp_path / "archive"
    manifest = ingest(source, destination, archive=Archive(str(archive)))
    assert (manifest["status"], manifest["summary"]["archived"]) == ("completed", 1)
    assert list(files_below(archive)) == [f"{manifest['job_id']}/a.al3"]
    assert list(files_below(source)) == ["text.al3"]
    assert archived_to(destination)["a.al3"] == f"{archive}/{manifest['job_id']}/a.al3"


@pytest.mark.spark
@pytest.mark.usefixtures("spark")
def test_a_run_that_could_not_move_files_is_finished_by_the_next(
    source: Path, destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between publish and move: the target is on record, the file is still there."""
    put(source, {"a.al3": al3(1), "b.al3": al3(2)})
    archive = Archive(str(tmp_path / "archive"))

    def crash(self: Archiver, move: Move) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Archiver, "_move", crash)
        with pytest.raises(KeyboardInterrupt):
            ingest(source, destination, archive=archive)
    assert sorted(files_below(source)) == ["a.al3", "b.al3"]
    recorded = archived_to(destination)
    rows = len(read_rows(destination, "files", "file_path"))

    manifest = ingest(source, destination, archive=archive)
    assert (manifest["summary"]["archived"], files_below(source)) == (2, {})
    assert archived_to(destination) == recorded
    assert len(read_rows(destination, "files", "file_path")) == rows
    assert all(Path(str(target)).is_file() for target in recorded.values())
    assert statuses(destination, source) == {"a.al3": "succeeded", "b.al3": "succeeded"}
