"""The commands of licensees as people use them."""

import json
import os
import tomllib
from pathlib import Path

import pytest

from al3spark.al3.dictionary import load_dictionary
from al3spark.cli import main
from tests.importing.exports import EXPORT, MAP

HEAD = "Group,Data Element,Position,Len,Typ,No.,Dec,Replaced by,Personal,Group Title\n"
BAD = HEAD + "5QQQ,one,31,4,K\n5QQQ,two,33,4,AN\n"


def run(*arguments: object) -> object:
    with pytest.raises(SystemExit) as ended:
        main(["dictionary", *map(str, arguments)])
    return ended.value.code


def test_import_writes_two_files_that_check_finds_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    assert run("import", EXPORT, "--map", MAP, "-o", mine) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.splitlines()[-1] == f"written: {mine}/groups.csv, {mine}/elements.csv"
    assert run("check", mine) == 0
    assert len(load_dictionary(mine).layouts) == len(load_dictionary().layouts) + 3


def test_map_can_come_through_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    here, there = os.pipe()
    os.write(there, json.dumps(tomllib.loads(MAP.read_text())).encode())
    os.close(there)
    assert run("import", EXPORT, "--map", f"/dev/fd/{here}") == 0
    os.close(here)
    assert capsys.readouterr().err == ""


def test_map_that_is_no_text_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "map.toml"
    path.write_bytes(b"a = \xff")
    assert run("import", EXPORT, "--map", path) == 2
    assert capsys.readouterr().err == f"al3spark: {path}: not UTF-8 at byte 4\n"


def test_import_without_a_directory_only_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("import", EXPORT, "--map", MAP, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["written"], len(report["groups"]), list(tmp_path.iterdir())) == (None, 4, [])


def test_import_compares_with_the_dictionary_that_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", EXPORT, "--map", MAP, "-o", tmp_path) == 0
    capsys.readouterr()
    again = ("import", EXPORT, "--map", MAP, "--dictionary", tmp_path, "--json")
    assert run(*again) == 0
    assert {group["state"] for group in json.loads(capsys.readouterr().out)["groups"]} == {"same"}
    assert run(*again, "--take-names") == 0
    changes = [
        change for group in json.loads(capsys.readouterr().out)["groups"] for change in group["changes"]
    ]
    assert {change["what"] for change in changes} == {"renamed"}
    assert "name_of_the_driver" in {change["element"] for change in changes}


def test_import_of_what_cannot_be_lists_all_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.csv").write_text(BAD)
    assert run("import", tmp_path / "bad.csv", "--map", MAP, "-o", tmp_path / "mine") == 2
    shown = capsys.readouterr()
    first, second = shown.err.splitlines()
    assert shown.out == ""
    assert first.startswith(
        f"al3spark: {tmp_path}/bad.csv line 2: type 'K': say in the map's types which kind it is"
    )
    assert second == f"{tmp_path}/bad.csv line 3: 5QQQ.two starts at 32, inside 5QQQ.one (30-33)"
    assert not (tmp_path / "mine").exists()


def test_import_writes_over_files_only_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "groups.csv").write_text("mine\n")
    arguments = ("import", EXPORT, "--map", MAP, "-o", tmp_path)
    assert run(*arguments) == 2
    assert capsys.readouterr().err.startswith(f"al3spark: {tmp_path} has groups.csv already")
    assert (tmp_path / "groups.csv").read_text() == "mine\n"
    assert run(*arguments, "--replace") == 0


def test_example_map_is_made_for_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("import", "--example-map") == 0
    assert 'element = "Element Name"' in capsys.readouterr().out
    assert run("import", EXPORT, "--example-map") == 0
    assert 'element = "Data Element"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "FILE and --map are needed; FILE --example-map prints a map to begin with."),
        ((EXPORT,), "FILE and --map are needed; "),
        ((EXPORT, "--map", "none"), "Invalid value for '--map': File 'none' does not exist."),
        ((EXPORT, "--map", EXPORT), f"{EXPORT} line 1, column 50: Extra data"),
        ((MAP, "--map", MAP), f"{MAP}: has no column 'Group'; "),
        ((EXPORT, "--map", MAP, "--dictionary", "none"), "none: is not a directory"),
        ((EXPORT, "--map", MAP, "-o", EXPORT), f"{EXPORT} is no directory"),
    ],
)
def test_what_is_wrong_is_told_at_once(
    arguments: tuple[object, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("import", *arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"al3spark: {text}")
