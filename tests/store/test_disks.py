import errno
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from al3spark.errors import FileChangedError, StoreError
from al3spark.store import disks
from al3spark.store.disks import (
    WatchedFile,
    create_document,
    disk_errors,
    remove_file,
    replace_document,
    shown,
    version_of,
)

Fork = Callable[..., Any]  # see conftest.py


@pytest.mark.parametrize(
    ("number", "retryable"),
    [
        (errno.EIO, True),
        (errno.ETIMEDOUT, True),
        (errno.ESTALE, True),
        (errno.EAGAIN, True),
        (errno.EACCES, False),
        (errno.ENOENT, False),
        (errno.ENOSPC, False),
        (errno.EROFS, False),
    ],
)
def test_error_tells_path_reason_and_whether_waiting_helps(number: int, retryable: bool) -> None:
    with pytest.raises(StoreError) as caught, disk_errors("/data/x.al3"):
        raise OSError(number, os.strerror(number), "/some/temporary")
    assert str(caught.value) == f"/data/x.al3: {os.strerror(number)}"
    assert caught.value.retryable is retryable


def test_name_that_is_not_utf8_is_shown_as_text() -> None:
    assert shown(os.fsdecode(b"/in/caf\xe9.al3")) == r"/in/caf\xe9.al3"


def test_document_is_replaced(tmp_path: Path) -> None:
    replace_document(tmp_path / "a/b/status.json", b"one", tmp_path / "t")
    replace_document(tmp_path / "a/b/status.json", b"two", tmp_path / "t")
    assert (tmp_path / "a/b/status.json").read_bytes() == b"two"
    assert list((tmp_path / "t").iterdir()) == []


def test_document_is_created_once(tmp_path: Path) -> None:
    assert create_document(tmp_path / "a/lock.json", b"one", tmp_path / "t") is True
    assert create_document(tmp_path / "a/lock.json", b"two", tmp_path / "t") is False
    assert (tmp_path / "a/lock.json").read_bytes() == b"one"
    assert list((tmp_path / "t").iterdir()) == []


def test_document_is_created_once_on_a_disk_without_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(disks.os, "link", refuse)
    assert create_document(tmp_path / "lock.json", b"one", tmp_path / "t") is True
    assert create_document(tmp_path / "lock.json", b"two", tmp_path / "t") is False
    assert (tmp_path / "lock.json").read_bytes() == b"one"


def test_link_that_worked_although_its_answer_says_it_exists_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def link_twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(disks.os, "link", link_twice)
    assert create_document(tmp_path / "lock.json", b"one", tmp_path / "t") is True


def test_of_two_processes_exactly_one_creates(tmp_path: Path, fork: Fork) -> None:
    def create() -> int:
        return sum(
            create_document(tmp_path / f"{n}", str(os.getpid()).encode(), tmp_path / "t") for n in range(200)
        )

    children = [fork(create), fork(create)]
    assert sum(int(child.wait()) for child in children) == 200
    assert len(list(tmp_path.glob("[0-9]*"))) == 200


def test_reader_of_a_document_that_is_replaced_sees_one_version(tmp_path: Path, fork: Fork) -> None:
    target = tmp_path / "status.json"
    replace_document(target, b"a" * 100_000, tmp_path / "t")

    def write() -> None:
        for letter in "abcdefghij" * 10:
            replace_document(target, letter.encode() * 100_000, tmp_path / "t")

    child = fork(write)
    for _ in range(200):
        data = target.read_bytes()
        assert data == data[:1] * 100_000
    child.wait()


def test_full_disk_leaves_no_temporary_file(tmp_path: Path, fork: Fork) -> None:
    def write() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        with disk_errors("status.json"):
            replace_document(tmp_path / "status.json", b"x" * 1001, tmp_path / "t")

    assert fork(write).wait() == "StoreError: status.json: File too large"
    assert list((tmp_path / "t").iterdir()) == []


def test_temporary_file_that_a_recovery_discards_is_written_again(tmp_path: Path, fork: Fork) -> None:
    target, temporaries = tmp_path / "status.json", tmp_path / "t"
    writer = fork(lambda: replace_document(target, b"data", temporaries), stop_at=2)
    assert writer.wait_until_stopped()  # before the rename
    (left,) = temporaries.iterdir()
    left.unlink()
    temporaries.rmdir()
    writer.wake()
    assert writer.wait() == "None"
    assert target.read_bytes() == b"data"


def test_removing_takes_empty_folders_along_but_not_the_root(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/x").touch()
    (tmp_path / "a/b/c/y").touch()
    remove_file(tmp_path / "a/b/c/y", tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "x"]
    remove_file(tmp_path / "a/x", tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_file(tmp_path / "a/x", tmp_path)


@pytest.fixture
def listed(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "x.al3"
    path.write_bytes(b"0123456789")
    return path, version_of(path.stat())


def test_watched_file_is_read(listed: tuple[Path, str]) -> None:
    with WatchedFile(*listed) as file:
        assert (file.read(4), file.seek(8), file.read(), file.read()) == (b"0123", 8, b"89", b"")


def test_watched_file_of_another_time_is_not_opened(listed: tuple[Path, str]) -> None:
    path, version = listed
    os.utime(path, ns=(1, 1))
    with pytest.raises(FileChangedError, match=r"x\.al3: changed since it was listed"):
        WatchedFile(path, version)


def test_change_between_two_reads_is_noticed(listed: tuple[Path, str]) -> None:
    path, version = listed
    with WatchedFile(path, version) as file:
        assert file.read(2) == b"01"
        with path.open("ab") as other:
            other.write(b"more")
        with pytest.raises(FileChangedError):
            file.read(2)
        with pytest.raises(FileChangedError):
            file.read(2)


def test_file_that_is_gone_is_a_changed_file(listed: tuple[Path, str]) -> None:
    path, version = listed
    path.unlink()
    with pytest.raises(FileChangedError, match=r"x\.al3: gone since it was listed") as caught:
        WatchedFile(path, version)
    assert caught.value.retryable is False
    with pytest.raises(StoreError, match="No such file"):
        WatchedFile(path, None)


def test_changed_file_error_is_pickled() -> None:
    error = pickle.loads(pickle.dumps(FileChangedError("x: changed")))
    assert (type(error), str(error), error.retryable) == (FileChangedError, "x: changed", False)
