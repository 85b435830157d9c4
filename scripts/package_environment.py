"""Pack what the nodes of a cluster need besides Spark and a Python: scripts/package --archive.

    python scripts/package_environment.py DIRECTORY PLATFORM PYTHON

In: where the wheel is; x86_64 or aarch64; the version of the nodes' Python, like 3.11. Out, beside the wheel:
al3spark-<version>-environment-<platform>.tar.gz, with what is in conf/environment and a site-packages of
the wheel and all that it needs, as pinned in conf/constraints.txt, but not pyspark: that is the cluster's.
"""

import gzip
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
GLIBC_MINORS = range(17, 29)  # 2.17 to 2.28: what every EMR 7 (2.34) and newer has
LEFT_OUT = {"tests", "__pycache__"}  # folders that no run reads


def main(directory: Path, platform: str, python: str) -> None:
    """Write the archive and print its path."""
    release = f"al3spark-{runpy.run_path(str(ROOT / 'al3spark' / '__init__.py'))['__version__']}"
    archive = directory / f"{release}-environment-{platform}.tar.gz"
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        install_dependencies(site, platform, python)
        zipfile.ZipFile(directory / f"{release}-py3-none-any.whl").extractall(site)
        members = {f"lib/python{python}/site-packages/{name}": site / name for name in list_files(site)}
        shell = ROOT / "conf" / "environment"
        members |= {name: shell / name for name in list_files(shell)}
        write_archive(archive, members)
    sys.stdout.write(f"{archive}\n")


def install_dependencies(site: Path, platform: str, python: str) -> None:
    """Let pip fill a folder with wheels for the nodes, whatever this machine is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(site)]
    command += ["--constraint", str(ROOT / "conf" / "constraints.txt")]
    command += ["--only-binary", ":all:", "--python-version", python]
    command += [f"--platform=manylinux_2_{minor}_{platform}" for minor in GLIBC_MINORS]
    command += [f"--platform=manylinux2014_{platform}"]
    command += [each for each in project["dependencies"] if not each.startswith("pyspark")]
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode:
        sys.exit("package: pip could not get what the environment needs")
    shutil.rmtree(site / "bin", ignore_errors=True)  # commands, which name this machine's Python


def list_files(folder: Path) -> Iterator[str]:
    """Names of the files in a folder that are packed."""
    for path in folder.rglob("*"):
        if path.is_file() and not LEFT_OUT & set(path.relative_to(folder).parts):
            yield str(path.relative_to(folder))


def write_archive(archive: Path, members: dict[str, Path]) -> None:
    """Write files under their names; equal files give equal bytes."""
    with (
        gzip.GzipFile(archive, "wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as target,
    ):
        for name in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size = members[name].stat().st_size
            entry.mtime = 1577836800  # the start of 2020, as in the zip
            entry.mode = 0o755 if name.startswith("bin/") else 0o644
            with members[name].open("rb") as source:
                target.addfile(entry, source)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
