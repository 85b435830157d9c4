"""Every command of the README is run, or is what another test runs."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from al3spark.cli import main
from al3spark.sampling import write_sample
from tests.readme import COMMANDS, README, WALK_COMMANDS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parent.parent
TOML = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
AL3SPARK = [each for each in COMMANDS if each.startswith(".venv/bin/al3spark ") and each not in WALK_COMMANDS]
# What other tests or the scripts themselves run: the reason why it is not run here.
ELSEWHERE = {
    "scripts/setup": "scripts/test runs it before this",
    "scripts/test": "it runs this",
    "scripts/bench": "tests/test_bench.py",
    "scripts/demo": "test_demo_asks_its_three_questions",
    "scripts/package": "tests/test_packaging.py, tests/test_environment.py",
    "spark-submit": "tests/test_submit.py, with a local master; tests/test_environment.py, on a cluster",
    "mkdir": "tests/test_environment.py",
    "tar": "tests/test_environment.py",
    "aws": "tests/test_emr.py",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for /data: files to ingest, a dictionary to lay over."""
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder / "incoming", files=6, size_kib=10, seed=1)
    (folder / "incoming" / "a.al3").write_bytes(b"1MHG010   3MTG010   ")
    dictionary = folder / "my-dictionary"
    dictionary.mkdir()
    (dictionary / "groups.csv").write_text(
        "group,table,name,lengths_seen\nCVH1,carrier_coverages,Carrier coverage,40\n"
    )
    (dictionary / "elements.csv").write_text(
        "group,element,start,length,kind,scale,ref_id,element_id,superseded_by,pii,confidence,sources\n"
        "CVH1,coverage_code,30,10,code,,,,,,,\n"
    )
    (folder / "layouts.csv").write_text("Group,Data Element,Position,Len,Type\n5QQQ,Note,31,4,AN\n")
    (folder / "my-map.toml").write_text(TOML[0])
    return folder


def test_every_command_of_the_readme_is_known_here() -> None:
    here = {*AL3SPARK, *WALK_COMMANDS}  # the latter in tests/test_walkthrough.py
    strange = [each for each in COMMANDS if each not in here and each.split()[0] not in ELSEWHERE]
    assert strange == []
    assert len(AL3SPARK) >= 8


@pytest.mark.spark
@pytest.mark.newest
@pytest.mark.parametrize("command", AL3SPARK)
def test_command_of_the_readme_ends_well(
    command: str, data: Path, tmp_path: Path, spark: "SparkSession", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    monkeypatch.setenv("AL3_KEY", "a-long-secret-of-yours")
    places = {
        "/data/incoming": data / "incoming",
        "/data/tables": tmp_path / "tables",
        "/tmp/samples": tmp_path / "new",
        "-o my-dictionary": f"-o {tmp_path}/my-dictionary",
    }
    for written, real in places.items():
        command = command.replace(written, str(real))
    if any(
        f" {name} " in command
        for name in ("status", "errors", "report", "jobs", "compact", "clean", "export", "views")
    ):
        with pytest.raises(SystemExit):
            main(["ingest", str(data / "incoming"), str(tmp_path / "tables"), "--min-age-s", "0"])
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command.partition(" > ")[0])[1:])
    assert ended.value.code == 0


@pytest.mark.slow
def test_demo_asks_its_three_questions(tmp_path: Path) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "demo", tmp_path / "demo"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    for title in ("Policies by line of business", "Premium by coverage", "Errors by code"):
        assert title in done.stdout
    assert re.search(r"\|AUTOP +\|\d+", done.stdout)
    assert re.search(r"\|COLL +\|", done.stdout)
    assert re.search(r"\|error +\|BYTES_UNREADABLE", done.stdout)
