import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from al3spark.errors import FileChangedError, StoreError
from al3spark.store.naming import StoredFile, matches
from al3spark.store.places import Place, open_place

Fork = Callable[..., Any]  # see conftest.py


def fill(root: Path, *names: str) -> Place:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return open_place(str(root))


def names(place: Place, **options: Any) -> list[str]:
    return [file.name for file in place.list_files(**options)]


def version(place: Place, name: str) -> str:
    found = place.find(name)
    assert found is not None
    return found.version


def test_listing_is_sorted_by_whole_name(tmp_path: Path) -> None:
    place = fill(tmp_path, "b.al3", "a/z.al3", "a.al3", "a-b/x.al3", "a/b/y.al3")
    assert names(place) == ["a-b/x.al3", "a.al3", "a/b/y.al3", "a/z.al3", "b.al3"]


def test_listing_tells_size_and_version(tmp_path: Path) -> None:
    place = fill(tmp_path, "a.al3")
    os.utime(tmp_path / "a.al3", ns=(5, 1_700_000_000_123_456_789))
    assert list(place.list_files()) == [StoredFile("a.al3", 5, "1700000000123456789-5")]


def test_hidden_files_and_folders_are_not_data(tmp_path: Path) -> None:
    place = fill(tmp_path, "_al3spark/lock", "a/.x", "a/_SUCCESS", ".snapshot/b", "a/c_d.e")
    assert names(place) == ["a/c_d.e"]


def test_listing_can_stay_in_the_root(tmp_path: Path) -> None:
    assert names(fill(tmp_path, "a/b", "c"), recursive=False) == ["c"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", True),
        ("*.al3", True),
        ("*.AL3", False),
        ("2026/*.al3", False),
        ("2026/*/*.al3", True),
        ("2026/**/*.al3", True),
        ("**/x.al3", True),
        ("2026/01/**", True),
        ("x.al3", True),
        ("**/2026/**/01/**/x.al3", True),
        ("01/x.al3", False),
    ],
)
def test_pattern(pattern: str, expected: bool) -> None:
    assert matches(pattern, "2026/01/x.al3") is expected


def test_pattern_selects(tmp_path: Path) -> None:
    assert names(fill(tmp_path, "a/x.al3", "a/x.txt", "y.al3"), pattern="*.al3") == ["a/x.al3", "y.al3"]


def test_root_that_is_a_file_lists_itself(tmp_path: Path) -> None:
    fill(tmp_path, "_a.txt", "b.al3")
    place = open_place(str(tmp_path / "_a.txt"))
    assert names(place, pattern="*.al3") == ["_a.txt"]
    assert place.uri("_a.txt") == str(tmp_path / "_a.txt")
    assert place.read_range("_a.txt", 0, 10, version(place, "_a.txt")) == b"_a.txt"


def test_root_that_is_a_link_to_a_file_lists_the_file(tmp_path: Path) -> None:
    fill(tmp_path, "in/a.al3")
    (tmp_path / "link").symlink_to("in/a.al3")
    place = open_place(str(tmp_path / "link"))
    assert [place.uri(name) for name in names(place)] == [str(tmp_path / "in/a.al3")]


def test_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"^{tmp_path}/none: No such file or directory$"):
        names(open_place(f"{tmp_path}/none"))


def test_links_do_not_loop_and_each_folder_is_listed_once(tmp_path: Path) -> None:
    place = fill(tmp_path, "a/x", "b/y")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "b/other").symlink_to("../a")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "nothing").symlink_to("missing")
    assert names(place) == ["a/x", "b/y"]


def test_link_to_a_file_in_the_root_is_listed(tmp_path: Path) -> None:
    place = fill(tmp_path, ".store/1")
    (tmp_path / "x.al3").symlink_to(".store/1")
    assert [(file.name, file.size) for file in place.list_files()] == [("x.al3", 8)]


@pytest.mark.parametrize("target", ["out", "out/secret"])
def test_link_that_leads_out_of_the_root_is_refused(tmp_path: Path, target: str) -> None:
    fill(tmp_path, "out/secret", "in/a")
    (tmp_path / "in/link").symlink_to(tmp_path / target)
    place = open_place(f"{tmp_path}/in")
    with pytest.raises(StoreError, match="in/link: is reached by a link that leads out of"):
        names(place)
    with pytest.raises(StoreError, match="leads out of"):
        place.read("link")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "", "a/", "a\0b"])
def test_name_never_leads_out_of_the_root(tmp_path: Path, name: str) -> None:
    place = fill(tmp_path, "in/a")
    for action in (place.read, place.find, place.remove, lambda name: place.write_document(name, b"")):
        with pytest.raises(StoreError, match="not a name below it"):
            action(name)


def test_pipes_and_devices_are_not_listed(tmp_path: Path) -> None:
    place = fill(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    assert names(place) == ["a"]
    assert place.find("pipe") is None


def test_name_that_is_not_utf8_can_be_read_and_shown(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.al3")).write_bytes(b"data")
    place = open_place(str(tmp_path))
    (file,) = pickle.loads(pickle.dumps(list(place.list_files())))
    assert place.read_range(file.name, 0, 4, file.version) == b"data"
    assert place.uri(file.name) == rf"{tmp_path}/caf\xe9.al3"


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_unreadable_folder_is_an_error(readable_by_all: Path, fork: Fork) -> None:
    place = fill(readable_by_all, "a/x", "locked/y")
    (readable_by_all / "locked").chmod(0)

    def list_as_nobody() -> list[str]:
        if os.geteuid() == 0:
            os.seteuid(65534)
        return names(place)

    assert fork(list_as_nobody).wait() == f"StoreError: {readable_by_all}/locked: Permission denied"


def test_names_by_prefix(tmp_path: Path) -> None:
    place = fill(tmp_path, "_x/lock-2", "_x/lock-1", "_x/jobs/a/plan", "_x/.hidden", "y")
    assert list(place.list_names("_x/lock-")) == ["_x/lock-1", "_x/lock-2"]
    assert list(place.list_names("_x/jobs/")) == ["_x/jobs/a/plan"]
    assert list(place.list_names("_x/jo")) == ["_x/jobs/a/plan"]
    assert list(place.list_names("")) == ["_x/.hidden", "_x/jobs/a/plan", "_x/lock-1", "_x/lock-2", "y"]
    assert list(place.list_names("none/")) == []


def test_names_in_a_place_that_is_not_there_yet(tmp_path: Path) -> None:
    assert list(open_place(f"{tmp_path}/none").list_names("a/")) == []


def test_find_tells_a_file_from_nothing_and_from_a_folder(tmp_path: Path) -> None:
    place = fill(tmp_path, "a/b")
    assert place.find("a/b") == next(place.list_files())
    assert (place.find("a"), place.find("c"), place.find("a/b/c")) == (None, None, None)


def test_read_whole_or_nothing(tmp_path: Path) -> None:
    place = fill(tmp_path, "a/b")
    assert (place.read("a/b"), place.read("c")) == (b"a/b", None)


@pytest.mark.parametrize(
    ("offset", "length", "expected"), [(0, 3, b"abc"), (2, 2, b"cd"), (4, 9, b"ef"), (6, 1, b""), (1, 0, b"")]
)
def test_ranges(tmp_path: Path, offset: int, length: int, expected: bytes) -> None:
    place = fill(tmp_path, "abcdef")
    assert place.read_range("abcdef", offset, length, version(place, "abcdef")) == expected


def test_range_of_a_changed_file_is_refused(tmp_path: Path) -> None:
    place = fill(tmp_path, "a")
    listed = version(place, "a")
    (tmp_path / "a").write_bytes(b"longer")
    with pytest.raises(FileChangedError):
        place.read_range("a", 0, 1, listed)


def test_archive_is_read_from_a_stream(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x.al3", "1MHG")
    place = open_place(str(tmp_path))
    with place.open_stream("a.zip", version(place, "a.zip")) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("x.al3") == b"1MHG"


def test_stream_of_a_file_that_changes_meanwhile_stops(tmp_path: Path) -> None:
    place = open_place(str(tmp_path))
    (tmp_path / "a").write_bytes(bytes(3 << 20))
    with place.open_stream("a", version(place, "a")) as stream:
        assert stream.read(10) == bytes(10)
        (tmp_path / "a").write_bytes(bytes(4 << 20))
        with pytest.raises(FileChangedError):
            stream.read()


def test_documents(tmp_path: Path) -> None:
    place = open_place(f"{tmp_path}/new")
    place.write_document("_al3spark/a.json", b"1")
    assert place.create_document("_al3spark/a.json", b"2") is False
    assert place.create_document("_al3spark/b.json", b"2") is True
    assert (place.read("_al3spark/a.json"), place.read("_al3spark/b.json")) == (b"1", b"2")
    place.remove("_al3spark/a.json")
    place.remove("_al3spark/a.json")
    assert list(place.list_names("")) == ["_al3spark/b.json"]


def test_document_below_a_file_is_one_line(tmp_path: Path) -> None:
    place = fill(tmp_path, "a")
    with pytest.raises(StoreError, match=f"^{tmp_path}/a/b: (Not a directory|File exists)$"):
        place.write_document("a/b", b"")
