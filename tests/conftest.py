"""What all tests share: one Spark session, and how hard hypothesis tries."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from al3spark.store.calls import Access
from al3spark.store.places import Place, open_place
from al3spark.store.retrying import RetryPlan
from tests.servers import make_bucket, moto_server, s3rver

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# No deadline: the first example often pays for an import or a cache. `ci` tries more, always the same ones.
settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile(
    "ci", deadline=None, max_examples=100, derandomize=True, database=None, print_blob=True
)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "default")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that uses `spark` unmarked: it would slow the fast tests and miss Spark 3.5."""
    unmarked = [
        item.nodeid
        for item in items
        if "spark" in getattr(item, "fixturenames", ()) and item.get_closest_marker("spark") is None
    ]
    if unmarked:
        message = f"these tests use the fixture `spark` and need the mark `spark`: {', '.join(unmarked)}"
        raise pytest.UsageError(message)


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """A session of two local cores that listens on loopback only, in UTC, with this interpreter."""
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("PYSPARK_DRIVER_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local[2]")
            .appName("al3spark tests")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.log.level", "ERROR")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "4")
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse")))
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
        yield session
        session.stop()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder for input, which is not made yet."""
    return tmp_path / "in"


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """A folder for tables, which is not made yet."""
    return tmp_path / "out"


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """URL of an S3 server: moto's, in a process of its own."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an S3 server that ignores conditions and can neither list nor abort uploads: s3rver."""
    with s3rver(tmp_path_factory.mktemp("s3rver")) as url:
        yield url


@pytest.fixture(params=["disk", pytest.param("s3", marks=pytest.mark.s3)])
def kind(request: pytest.FixtureRequest) -> str:
    """What kind of place a test runs on."""
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Place:
    """An empty place: a folder, or a folder of a bucket."""
    if kind == "disk":
        return open_place(str(tmp_path))
    url = request.getfixturevalue("moto")
    # moto says 500 to a part of an upload that is gone: that is not worth many tries.
    return open_place(f"s3://{make_bucket(url)}/lake/", Access(endpoint_url=url, retry=RetryPlan(4, 0.02)))
