"""Places of a request: every type, mounts that hold, and files that are named.

/proc is a mount on every Linux; `self/cwd` in it is a link that leads out.
"""

from pathlib import Path

import pytest

from al3spark.config import Destination, S3Access, Source
from al3spark.errors import RequestError
from al3spark.locations import read_destination, read_source, read_text
from al3spark.options import Problems

ACCESS = {
    "region": "eu-west-1",
    "endpoint_url": "http://localhost:5000",
    "path_style": True,
    "anonymous": True,
    "request_payer": True,
}


def source_of(document: object) -> Source:
    problems = Problems()
    source = read_source(document, problems)
    assert problems.found == []
    assert source is not None
    return source


def problems_of(document: object) -> list[str]:
    problems = Problems()
    assert read_source(document, problems) is None
    return problems.found


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"type": "local", "path": "/data/in"}, Source("/data/in")),
        ({"type": "local", "path": "/data/x/../in/", "pattern": "*.al3"}, Source("/data/in", "*.al3")),
        ({"type": "nfs", "mount_point": "/proc", "path": "sys"}, Source("/proc/sys", mount_point="/proc")),
        ({"type": "nfs", "mount_point": "/proc/", "path": "/sys/"}, Source("/proc/sys", mount_point="/proc")),
        (
            {"type": "nfs", "mount_point": "/proc", "path": "a/../sys"},
            Source("/proc/sys", mount_point="/proc"),
        ),
        ({"type": "nfs", "mount_point": "/proc", "path": "/"}, Source("/proc", mount_point="/proc")),
        (
            {"type": "efs", "file_system_id": "fs-0a1b", "mount_point": "/proc", "path": "sys"},
            Source("/proc/sys", mount_point="/proc"),
        ),
        ({"type": "s3", "bucket": "my-files"}, Source("s3://my-files/", s3=S3Access())),
        (
            {"type": "s3", "bucket": "my-files", "prefix": "incoming/", "pattern": "*.al3", **ACCESS},
            Source(
                "s3://my-files/incoming/",
                "*.al3",
                s3=S3Access("eu-west-1", "http://localhost:5000", True, True, True),
            ),
        ),
        ({"uri": "/data/in"}, Source("/data/in")),
        ({"uri": "file:///data/in", "type": None}, Source("file:///data/in")),
        ({"uri": "s3a://my-files/in/"}, Source("s3a://my-files/in/", s3=S3Access())),
        ({"uri": "s3://my-files", "region": "eu-west-1"}, Source("s3://my-files", s3=S3Access("eu-west-1"))),
    ],
)
def test_every_type_of_place_becomes_a_source(document: object, expected: Source) -> None:
    assert source_of(document) == expected


def test_a_relative_local_path_counts_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_of({"type": "local", "path": "in"}) == Source(f"{tmp_path}/in")


def test_a_destination_has_the_same_types_and_a_format() -> None:
    document = {"type": "s3", "bucket": "parsed-data", "prefix": "parquet/", "format": "parquet"}
    expected = Destination("s3://parsed-data/parquet/", "parquet", s3=S3Access())
    assert read_destination(document, Problems()) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "source is missing; valid: an object with a type (local, nfs, efs, s3) or a uri"),
        ("/data", 'source is "/data"; valid: an object with a type (local, nfs, efs, s3) or a uri'),
        ({}, "source.uri is missing; valid: a path or URI"),
        ({"uri": ""}, "source.uri is ''; valid: a path or URI"),
        ({"uri": 7}, "source.uri is 7; valid: a path or URI"),
        ({"type": "ftp"}, 'source.type is "ftp"; valid: local, nfs, efs, s3'),
        ({"type": "S3"}, 'source.type is "S3"; did you mean s3?'),
        ({"type": ["s3"]}, 'source.type is ["s3"]; valid: local, nfs, efs, s3'),
        ({"type": "local"}, "source.path is missing; valid: a path"),
        ({"type": "local", "path": "/a\0b"}, 'source.path is "/a\\u0000b"; valid: a path'),
        ({"type": "local", "path": "/a\ud800"}, 'source.path is "/a\\ud800"; valid: a path'),
        (
            {"type": "local", "path": "/data", "patern": "*"},
            "source.patern is unknown; did you mean pattern?",
        ),
        (
            {"type": "local", "path": "/data", "uri": "/"},
            "source.uri is unknown; valid: type, path, pattern, files",
        ),
        ({"type": "s3", "prefix": "a/"}, "source.bucket is missing; valid: a name of a bucket"),
        ({"type": "s3", "bucket": "a/b"}, "source.bucket is 'a/b'; valid: a name of a bucket"),
        (
            {"type": "s3", "bucket": "abc", "anonymous": "yes"},
            'source.anonymous is "yes"; valid: true or false',
        ),
        (
            {"type": "efs", "file_system_id": "fs-../..", "path": "x"},
            "source.file_system_id is 'fs-../..'; valid: an id like fs-0a1b2c",
        ),
        (
            {"type": "nfs", "mount_point": "proc", "path": "x"},
            "source.mount_point is 'proc'; valid: an absolute path",
        ),
        (
            {"uri": "/data", "region": "eu-west-1"},
            "source.region is unknown; valid: type, uri, pattern, files",
        ),
        ({"uri": "/data", "pattern": ""}, "source.pattern is ''; valid: a glob; * takes every file"),
        ({"files": []}, "source.files names no file"),
        ({"files": ["/a", ""]}, 'source.files is ["/a", ""]; valid: a list of texts'),
        ({"files": ["/a"], "pattern": "*"}, "source.pattern is for folders; source.files names what is read"),
    ],
)
def test_what_is_wrong_with_a_source_is_told(document: object, expected: str) -> None:
    assert problems_of(document) == [expected]


def test_a_destination_knows_no_files_and_no_pattern() -> None:
    problems = Problems()
    assert (
        read_destination({"uri": "/out", "files": ["/a"], "pattern": "*", "format": "xml"}, problems) is None
    )
    assert problems.found == [
        "destination.files is unknown; valid: type, uri, format",
        "destination.pattern is unknown; valid: type, uri, format",
        "destination.format is 'xml'; valid: parquet, csv",
    ]


# Mounts


@pytest.mark.parametrize(
    "path", ["..", "../etc", "sys/../../etc", "self/cwd", "self/root/etc", "/../etc", "self/cwd/deeper/new"]
)
def test_a_path_does_not_leave_its_mount_point(path: str) -> None:
    assert problems_of({"type": "nfs", "mount_point": "/proc", "path": path}) == [
        f'source.path is "{path}", which leads out of /proc'
    ]


def test_a_mount_point_that_is_a_plain_folder_is_one_problem(tmp_path: Path) -> None:
    assert problems_of({"type": "nfs", "mount_point": str(tmp_path), "path": "../x"}) == [
        f"source.mount_point {tmp_path} is not a mount; mount the file system there, on all nodes"
    ]


def test_efs_is_looked_for_under_its_id() -> None:
    assert problems_of({"type": "efs", "file_system_id": "fs-0a1b2c3d", "path": "in"}) == [
        "source.mount_point /mnt/efs/fs-0a1b2c3d does not exist; mount the file system there, on all nodes"
    ]


def test_a_link_to_a_mount_point_is_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    mount = f"{tmp_path}/link"
    assert source_of({"type": "nfs", "mount_point": mount, "path": "sys"}) == Source(
        f"{mount}/sys", mount_point=mount
    )


# Named files


@pytest.mark.parametrize(
    ("document", "uri", "files"),
    [
        ({"files": ["/data/b/x.al3", "/data/a/y.al3"]}, "/data", ("b/x.al3", "a/y.al3")),
        ({"files": ["/data/x.al3"]}, "/data", ("x.al3",)),
        ({"files": ["/data/x.al3", "/mnt/y.al3"]}, "/", ("data/x.al3", "mnt/y.al3")),
        ({"files": ["file:///data/a%20b.al3", "/data/c"]}, "/data", ("a b.al3", "c")),
        ({"files": ["/data/x.al3", "/data/x.al3", "/data/./x.al3"]}, "/data", ("x.al3",)),
        ({"uri": "/data", "files": ["b/x.al3", "/data/y.al3"]}, "/data", ("b/x.al3", "y.al3")),
        ({"type": "local", "path": "/data", "files": ["y.al3"]}, "/data", ("y.al3",)),
        ({"files": ["s3://abc/in/x", "s3a://abc/in//y"]}, "s3://abc/", ("in/x", "in//y")),
        ({"uri": "s3://abc/in/", "files": ["s3://abc/in/x", "y"]}, "s3://abc/in/", ("x", "y")),
    ],
)
def test_named_files_are_below_their_folder(document: object, uri: str, files: tuple[str, ...]) -> None:
    source = source_of(document)
    assert (source.uri, source.files) == (uri, files)


def test_relative_files_count_from_the_current_folder_if_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert source_of({"files": ["in/x", "in/y"]}) == Source(f"{tmp_path}/in", files=("x", "y"))


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"uri": "/data", "files": ["/data/x", "../etc/y", "/z"]}, "names 2 not below /data, as /etc/y"),
        ({"uri": "/data", "files": ["/data-2/x"]}, "names 1 not below /data, as /data-2/x"),
        ({"uri": "/data", "files": ["s3://abc/x"]}, "names 1 not below /data, as s3://abc/x"),
        ({"files": ["s3://abc/x", "s3://xyz/y"]}, "names 1 not below s3://abc/, as s3://xyz/y"),
    ],
)
def test_a_file_that_is_not_below_the_source_is_refused(document: object, expected: str) -> None:
    assert problems_of(document) == [f"source.files {expected}"]


def test_files_can_be_the_lines_of_a_document(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes("\ufeff/data/ä b.al3\r\n\n/data/#2.al3 \n".encode())
    assert source_of({"files": str(listed)}) == Source("/data", files=("ä b.al3", "#2.al3 "))


def test_a_document_of_files_that_is_not_there_or_empty_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n \n")
    assert problems_of({"files": f"{tmp_path}/empty"}) == ["source.files names no file"]
    assert problems_of({"files": f"{tmp_path}/none"}) == [
        f"source.files cannot be read: {tmp_path}/none: No such file or directory"
    ]


# Documents


def test_a_document_is_one_file_in_utf8(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    (tmp_path / "link").symlink_to("/proc/version")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"latin: not UTF-8 at byte 3$"):
        read_text(f"{tmp_path}/latin")
    with pytest.raises(RequestError, match=r": not one file$"):
        read_text(f"{tmp_path}/empty")
    assert "Linux" in read_text(f"{tmp_path}/link")
