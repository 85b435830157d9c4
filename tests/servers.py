"""Real S3 servers for the tests, each a process of its own."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3

ROOT = Path(__file__).parent.parent
# What every SDK call needs; set before any process starts, the JVM of the Spark session above all. They are
# the only keys that s3rver takes.
KEYS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_DEFAULT_REGION": "us-east-1"}
os.environ |= KEYS | {"AWS_EC2_METADATA_DISABLED": "true"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until a process listens."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"{process.args!r} does not listen")
        time.sleep(0.05)


def moto_server() -> contextlib.AbstractContextManager[str]:
    """URL of moto's server."""
    port = free_port()
    return _serve(port, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))


def s3rver(folder: Path) -> contextlib.AbstractContextManager[str]:
    """URL of an S3 server by other hands, data in a folder; `scripts/setup --test` installs it."""
    port, home = free_port(), ROOT / ".s3rver"
    told = ("--directory", str(folder), "--address", "127.0.0.1", "--port", str(port), "--silent")
    return _serve(port, str(home / "node"), str(home / "node_modules/s3rver/bin/s3rver.js"), *told)


def faulty_proxy(
    url: str, delay_ms: int, faults_per_mille: int, log: Path | str = os.devnull
) -> contextlib.AbstractContextManager[str]:
    """URL of a slow and faulty way to a server; see proxy.py."""
    port = free_port()
    told = map(str, (port, url.rpartition(":")[2], delay_ms, faults_per_mille, log))
    return _serve(port, sys.executable, "-m", "tests.proxy", *told)


@contextlib.contextmanager
def _serve(port: int, *command: str) -> Iterator[str]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def make_bucket(url: str) -> str:
    """A new bucket, which no other test uses."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=url).create_bucket(Bucket=name)
    return name
