from pathlib import Path

import pytest

from al3spark.al3.dictionary import load_dictionary
from al3spark.errors import RequestError
from al3spark.importing.files import check_target, write_dictionary
from tests.importing.exports import convert_licensee, convert_rows


def test_what_is_written_loads_and_says_the_same(tmp_path: Path) -> None:
    converted = convert_licensee()
    write_dictionary(converted, tmp_path / "new" / "mine", ())
    assert sorted(path.name for path in (tmp_path / "new" / "mine").iterdir()) == [
        "elements.csv",
        "groups.csv",
    ]
    loaded = load_dictionary(tmp_path / "new" / "mine")
    elements = [each for layout in loaded.layouts for each in layout.elements if each.kind != "gap"]
    assert set(converted.elements) <= set(elements)
    assert dict(loaded.titles)["5PET"] == "Pets of the Household"


def test_it_can_be_laid_over_another_dictionary(tmp_path: Path) -> None:
    write_dictionary(convert_rows("5QQQ,one,30,4,N,1"), tmp_path / "first", ())
    first = load_dictionary(tmp_path / "first")
    second = convert_rows("5QQR,two,30,4,N,1,5QQQ01", loaded=first)
    write_dictionary(second, tmp_path / "second", (str(tmp_path / "first"),))
    layout = load_dictionary(tmp_path / "first", tmp_path / "second").layout("5QQR")
    assert layout is not None
    assert layout.elements[0].superseded_by == "5QQQ01"


def test_what_is_there_is_not_written_over_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "elements.csv").touch()
    with pytest.raises(RequestError, match=r"has elements.csv already: name another, or add --replace"):
        check_target(tmp_path, replace=False)
    check_target(tmp_path, replace=True)
    check_target(tmp_path / "new", replace=False)


def test_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="is no directory"):
        check_target(tmp_path / "file", replace=True)
