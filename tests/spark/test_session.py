import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from al3spark.errors import RequestError
from al3spark.spark.connect import open_remote
from al3spark.spark.session import count_cores, open_session, require_java
from tests.batches import ROOT

SETTINGS = {
    "spark.sql.execution.arrow.maxRecordsPerBatch": "16",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}


@pytest.mark.spark
def test_a_given_session_has_the_settings_of_the_job_during_a_run_and_its_own_afterwards(
    spark: SparkSession,
) -> None:
    name = "spark.sql.execution.arrow.maxRecordsPerBatch"
    spark.conf.set(name, "777")
    try:
        with open_session() as session:
            assert {setting: session.conf.get(setting) for setting in SETTINGS} == SETTINGS
        assert spark.conf.get(name) == "777"
    finally:
        spark.conf.unset(name)


@pytest.mark.spark
def test_a_given_session_gets_its_settings_back_after_an_error_too(spark: SparkSession) -> None:
    before = {setting: spark.conf.get(setting, None) for setting in SETTINGS}
    with pytest.raises(KeyError), open_session():
        raise KeyError
    assert {setting: spark.conf.get(setting, None) for setting in SETTINGS} == before


@pytest.mark.spark
def test_a_given_session_is_not_stopped(spark: SparkSession) -> None:
    with open_session():
        pass
    assert spark.range(3).count() == 3


@pytest.mark.spark
def test_the_cores_of_a_local_session_are_counted(spark: SparkSession) -> None:
    assert count_cores(spark) == 2


OPENED = """
import sys
import pyarrow as pa
from al3spark.spark.session import open_session

def tell_python(batches):
    for batch in batches:
        yield pa.record_batch({"python": pa.array([sys.executable])})

with open_session("local[1]") as spark:
    names = ("spark.sql.session.timeZone", "spark.ui.enabled", "spark.driver.host", "spark.master")
    print(*(spark.conf.get(name) for name in names))
    print(spark.range(1).mapInArrow(tell_python, "python string").collect()[0][0] == sys.executable)
print(spark.sparkContext._jsc is None)
"""


@pytest.mark.spark
def test_a_session_of_its_own_needs_nothing_prepared_and_is_stopped_at_the_end() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK"))}
    command = [sys.executable, "-c", OPENED]
    found = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["UTC false 127.0.0.1 local[1]", "True", "True"]


JAVA_OPTIONS = """
from al3spark.spark.session import open_session

with open_session("local[1]") as spark:
    java = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    print(*(option for option in java.getInputArguments() if "TieredStopAtLevel" in option))
"""


@pytest.mark.spark
@pytest.mark.slow
def test_options_for_java_in_spark_defaults_come_behind_ours(tmp_path: Path) -> None:
    (tmp_path / "spark-defaults.conf").write_text("spark.driver.extraJavaOptions -XX:TieredStopAtLevel=4\n")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK", "SPARK"))}
    found = subprocess.run(
        [sys.executable, "-c", JAVA_OPTIONS],
        cwd=ROOT,
        env={**clean, "SPARK_CONF_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["-XX:TieredStopAtLevel=1", "-XX:TieredStopAtLevel=4"]


def java(folder: Path, version: str) -> Path:
    """A Java that only tells its version."""
    program = folder / "bin/java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1"])
def test_a_java_that_spark_can_use_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, version)))
    require_java()


@pytest.mark.parametrize(("version", "number"), [("11.0.2", "11"), ("1.8.0_402", "1")])
def test_a_java_that_is_too_old_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, number: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java(tmp_path, version)))
    with pytest.raises(RequestError, match=rf"^Spark needs Java 17\b.* {tmp_path}/bin/java is {number}: .*$"):
        require_java()


@pytest.mark.parametrize("home", ["nowhere", None])
def test_no_java_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    if home:
        monkeypatch.setenv("JAVA_HOME", str(tmp_path / home))
    with pytest.raises(RequestError, match=r"^Spark needs Java\b.*there is none.*JAVA_HOME$"):
        require_java()


def test_a_url_of_connect_that_is_none_is_told_without_its_token() -> None:
    with pytest.raises(RequestError, match=r"^the URL of Spark Connect is not like sc://host:15002$"):
        open_remote("sc://host:port/;token=secret")
