"""What a cluster gets: the wheel and the zip, built once as scripts/package builds them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from al3spark import __version__
from al3spark.al3.dictionary import load_dictionary

ROOT = Path(__file__).parent.parent
METADATA = f"al3spark-{__version__}.dist-info"


def build(directory: Path) -> list[Path]:
    """Run scripts/package and return the two files that it names: the wheel, the zip."""
    command = [ROOT / "scripts" / "package", directory, sys.executable]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [Path(line) for line in result.stdout.splitlines()]


def run_from(archive: Path, code: str, directory: Path) -> str:
    """Run code in an empty directory, with the archive before everything else on the path."""
    environment = os.environ | {"PYTHONPATH": str(archive)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, env=environment, cwd=directory, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return build(tmp_path_factory.mktemp("dist"))


def test_the_two_packages_carry_the_version(packages: list[Path]) -> None:
    names = [f"al3spark-{__version__}-py3-none-any.whl", f"al3spark-{__version__}.zip"]
    assert [path.name for path in packages] == names


@pytest.mark.parametrize("index", [0, 1], ids=["wheel", "zip"])
def test_a_package_carries_the_tables_of_the_dictionary(packages: list[Path], index: int) -> None:
    names = zipfile.ZipFile(packages[index]).namelist()
    assert "al3spark/al3/dictionary/groups.csv" in names
    assert "al3spark/al3/dictionary/elements.csv" in names


def test_the_zip_holds_every_file_of_the_package_and_nothing_else(packages: list[Path]) -> None:
    files = [path for path in (ROOT / "al3spark").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert zipfile.ZipFile(packages[1]).namelist() == sorted(str(path.relative_to(ROOT)) for path in files)


def test_the_wheel_adds_its_metadata_only(packages: list[Path]) -> None:
    wheel, archive = (set(zipfile.ZipFile(path).namelist()) for path in packages)
    assert {name.partition("/")[0] for name in wheel - archive} == {METADATA}


def test_the_wheel_names_the_command(packages: list[Path]) -> None:
    entry_points = zipfile.ZipFile(packages[0]).read(f"{METADATA}/entry_points.txt")
    assert entry_points.decode().split() == ["[console_scripts]", "al3spark", "=", "al3spark.cli:main"]


@pytest.mark.parametrize("argument", ["--archives", "--platform=arm64", "--python=2.7"])
def test_what_cannot_be_built_is_refused(argument: str, tmp_path: Path) -> None:
    command = [ROOT / "scripts" / "package", argument, tmp_path, sys.executable]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == f"package: unknown argument {argument}; see the head of scripts/package\n"
    assert list(tmp_path.iterdir()) == []


def test_equal_sources_give_equal_bytes(packages: list[Path], tmp_path: Path) -> None:
    again = build(tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in packages]


@pytest.mark.parametrize("index", [0, 1], ids=["wheel", "zip"])
def test_the_dictionary_loads_from_inside_the_package(
    packages: list[Path], index: int, tmp_path: Path
) -> None:
    code = (
        "import al3spark; from al3spark.al3.dictionary import load_dictionary;"
        "print(al3spark.__file__, load_dictionary().version)"
    )
    expected = f"{packages[index] / 'al3spark' / '__init__.py'} {load_dictionary().version}\n"
    assert run_from(packages[index], code, tmp_path) == expected
