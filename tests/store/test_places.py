import pickle
from pathlib import Path

import pytest

from al3spark.errors import RequestError
from al3spark.store.places import Place, open_place


@pytest.mark.parametrize("uri", ["hdfs://host/x", "file://host/x", "http://host/x"])
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(
        RequestError, match=f"^{uri}: only paths, file:///path and s3://bucket/prefix are supported$"
    ):
        open_place(uri)


@pytest.mark.parametrize("uri", ["", "a\0b", "file://"])
def test_what_is_no_path_is_refused(uri: str) -> None:
    with pytest.raises(RequestError, match="not a path"):
        open_place(uri)


@pytest.mark.parametrize("form", ["{}", "file://{}", "file:{}", "file://localhost{}", "{}/", "{}/x/.."])
def test_ways_to_name_a_folder(tmp_path: Path, form: str) -> None:
    assert open_place(form.format(tmp_path)) == open_place(str(tmp_path))


def test_file_uri_is_unquoted(tmp_path: Path) -> None:
    assert open_place("file:///in/a%20b").uri("x") == "/in/a b/x"


def test_relative_path_counts_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_place("in").uri("x") == str(tmp_path / "in/x")


def test_place_is_pickled(tmp_path: Path) -> None:
    place = open_place(str(tmp_path))
    assert pickle.loads(pickle.dumps(place)) == place


def test_a_version_is_removed_and_no_other(place: Place) -> None:
    """On a disk and in a bucket."""
    place.write_document("a", b"old")
    old = place.find("a")
    place.write_document("a", b"new")
    new = place.find("a")
    assert old
    assert new
    place.remove_version("a", old.version)
    assert place.find("a") == new
    place.remove_version("a", new.version)
    place.remove_version("a", new.version)
    assert place.find("a") is None
