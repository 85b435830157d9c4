"""A session on a Spark Connect server: reach it, give its workers the package, and know when it is gone.

In: a URL like sc://host:15002. Out: a session whose Python workers import this very package, whatever the
server has installed. Raises: RequestError where no session can be had, in one line. What Connect needs beside
Spark (gRPC above all) is imported here only, and only when a server is asked for: the package does not depend
on it.
"""

import io
import os
import re
import sys
import tempfile
import uuid
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from al3spark.errors import BatchError, RequestError

SERVER_GONE = (
    "the Spark Connect server does not answer any more; nothing half done is published, run it again"
)
SESSION_GONE = (
    "the Spark Connect server does not know this session any more, as when it was started anew; nothing half "
    "done is published, run it again"
)
_ANSWER_S = 10.0
# About 14 s: 0.05, 0.2, 0.8, 3.2 and twice 5. Left alone, Connect tries for more than ten minutes.
_RETRIES = 6
_MOST_BACKOFF_MS = 5000
_RPC_FAILED = re.compile(r'status = StatusCode\.(\w+)\s+details = "(.*)"')
_NO_SESSION = re.compile(
    r"\[INVALID_HANDLE\.\w+\]|\bOPERATION_NOT_FOUND on the server|RESPONSE_ALREADY_RECEIVED"
)
_NEEDS = "grpcio, grpcio-status and googleapis-common-protos, for Spark 4 zstandard too"


def is_remote(spark: SparkSession) -> bool:
    """Whether a session is on a Spark Connect server; then it has no context, and no Java of its own."""
    return not hasattr(spark, "_jsc")


def find_remote(master: str | None) -> str:
    """The URL of a server, if a master or the environment names one, else ""."""
    return master if master and master.startswith("sc://") else os.environ.get("SPARK_REMOTE", "")


def open_remote(url: str) -> SparkSession:
    """Open a session on a server; its calls wait for one that does not answer for seconds only."""
    _reach(url)
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]|ReleaseExecute failed")  # an error tells it, too
    with _told():
        spark = SparkSession.builder.appName("al3spark").remote(url).getOrCreate()
        _limit_retries(spark, _RETRIES)
    send_package(spark)
    return spark


def send_package(spark: SparkSession) -> None:
    """Let the Python workers of the session import this package; it goes before one that they have."""
    with tempfile.TemporaryDirectory() as folder, _told():
        archive = Path(folder, f"al3spark-{uuid.uuid4().hex}.zip")  # no name can be sent twice in a session
        archive.write_bytes(_zip(files("al3spark")))
        spark.addArtifacts(str(archive), pyfile=True)
        with suppress(ValueError):
            sys.path.remove(str(archive))  # it is put there for this process, too


def check_server(spark: SparkSession, error: Exception) -> None:
    """Raise BatchError if it is the server, or the way to it, that an error tells of.

    From then on no call waits for a server that is gone.
    """
    trouble = _find_trouble(error) if is_remote(spark) else ""
    if trouble == SERVER_GONE:
        _limit_retries(spark, 0)
    if trouble:
        raise BatchError(trouble) from error


def _reach(url: str) -> None:
    """Raise RequestError unless a server answers soon. The URL can hold a token: it is not told."""
    try:
        import grpc
        from pyspark.sql.connect import client
    except ImportError as error:
        raise RequestError(f"Spark Connect needs {_NEEDS}: {_first_line(error)}") from error
    if not url.startswith("sc://"):  # Spark starts a server itself
        return
    make: Any = getattr(client, "DefaultChannelBuilder", client.ChannelBuilder)  # 3.5 has the latter only
    try:
        builder = make(url)
    except (PySparkException, ValueError) as error:
        raise RequestError("the URL of Spark Connect is not like sc://host:15002") from error
    with builder.toChannel() as channel:
        try:
            grpc.channel_ready_future(channel).result(_ANSWER_S)
        except grpc.FutureTimeoutError as error:
            raise RequestError(
                f"no Spark Connect server answers at {builder.endpoint} within {_ANSWER_S:.0f} s"
            ) from error


def _find_trouble(error: Exception) -> str:
    text = str(error)
    if _NO_SESSION.search(text):
        return SESSION_GONE
    failed = _RPC_FAILED.search(text)
    if failed is None:
        return ""
    return SERVER_GONE if failed[1] == "UNAVAILABLE" else f"Spark Connect: {failed[1]}: {failed[2]}"


@contextmanager
def _told() -> Iterator[None]:
    """Turn what a server refuses into a RequestError."""
    from grpc import RpcError

    try:
        yield
    except (PySparkException, RpcError) as error:
        raise RequestError(f"Spark Connect: {_find_trouble(error) or _first_line(error)}") from error


def _limit_retries(spark: Any, most: int) -> None:
    client = spark.client
    if hasattr(client, "set_retry_policies"):
        from pyspark.sql.connect.client.retries import DefaultPolicy

        client.set_retry_policies([DefaultPolicy(max_retries=most, max_backoff=_MOST_BACKOFF_MS)])
    else:  # 3.5
        client._retry_policy.update(max_retries=most, max_backoff=_MOST_BACKOFF_MS)


def _zip(package: Traversable) -> bytes:
    """A package, which may itself be in an archive, as one that Python can import from."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in _walk(package, package.name):
            archive.writestr(name, data)
    return packed.getvalue()


def _walk(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from _walk(entry, path)
        elif entry.is_file():
            yield path, entry.read_bytes()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
