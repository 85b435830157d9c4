"""A real standalone cluster for tests: a master and its workers, each a process of its own, on loopback."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark

from tests.batches import ROOT, put

SPARK_HOME = Path(pyspark.__file__).parent
DUE_S = 120
LIGHT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"  # a Java process starts in half the time
SETTINGS = {
    "spark.driver.defaultJavaOptions": LIGHT,
    "spark.driver.memory": "1g",
    "spark.executor.defaultJavaOptions": LIGHT,
    "spark.executor.memory": "512m",
    "spark.ui.enabled": "false",
}


@contextmanager
def run_cluster(folder: Path, environment: Mapping[str, str], hosts: Sequence[str]) -> Iterator[str]:
    """Give the URL of the master of a cluster with a worker of one core on each host."""
    port = free_port()
    url = f"spark://127.0.0.1:{port}"

    def launch_daemon(name: str, host: str, *arguments: object) -> tuple[Path, subprocess.Popen[bytes]]:
        command = [SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{name}", *arguments]
        settings = {
            "SPARK_DAEMON_JAVA_OPTS": f"{LIGHT} -Dspark.master.rest.enabled=false",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_LOCAL_IP": host,
        }
        log = folder / f"{name}-{host}.log"
        options = ["--host", host, "--webui-port", 0]
        given = {**environment, **settings}
        return log, launch(stack, [*command, *options], given, folder / f"{log.name}.out", log)

    with ExitStack() as stack:
        launch_daemon("master.Master", "127.0.0.1", "--port", port)
        resources = ["--cores", 1, "--memory", "1g", "--work-dir", folder / "work"]
        workers = [launch_daemon("worker.Worker", host, url, *resources) for host in hosts]
        for log, process in workers:
            while "Successfully registered with master" not in log.read_text():
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        yield url


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def launch(
    stack: ExitStack,
    command: Sequence[object],
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    cwd: Path = ROOT,
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; in the end all is killed that it started."""
    process = subprocess.Popen(
        [str(each) for each in command],
        cwd=cwd,
        env=environment,
        stdout=stack.enter_context(out.open("wb")),
        stderr=stack.enter_context(err.open("wb")),
        start_new_session=True,
    )
    stack.enter_context(process)
    stack.callback(end_group, process)
    return process


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it started, if it runs."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def put_settings(folder: Path, settings: Mapping[str, str]) -> Path:
    """Write settings of Spark into a folder, which SPARK_CONF_DIR can name."""
    lines = "".join(f"{name} {value}\n" for name, value in settings.items())
    return put(folder, {"spark-defaults.conf": lines.encode()})
