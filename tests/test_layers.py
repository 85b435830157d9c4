"""Who may import what. The tables are the design; all import statements are read, those in functions too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Layer -> the layers it may import, beside itself. A module belongs to the longest name that it starts with.
_FORMAT = {"al3spark.errors", "al3spark.al3.dictionary", "al3spark.al3"}
_STORE = {"al3spark.errors", "al3spark.store"}
_ENGINE = _FORMAT | _STORE | {"al3spark.config", "al3spark.spark"}
LAYERS = {
    "al3spark": set(),
    "al3spark.errors": set(),
    "al3spark.al3.dictionary": {"al3spark.errors"},
    "al3spark.al3": _FORMAT,
    "al3spark.store": _STORE,
    "al3spark.options": {"al3spark.errors"},
    "al3spark.config": {"al3spark.al3.dictionary", "al3spark.errors", "al3spark.options"},
    "al3spark.locations": _STORE | {"al3spark.config", "al3spark.options"},
    "al3spark.requests": _STORE | {"al3spark.config", "al3spark.locations", "al3spark.options"},
    "al3spark.budget": {"al3spark.config"},
    "al3spark.spark": _FORMAT | _STORE,
    "al3spark.sampling": _FORMAT,
    "al3spark.inspection": _FORMAT | _STORE,
    "al3spark.catalogs": _FORMAT | _STORE | {"al3spark.parquet", "al3spark.spark"},
    "al3spark.parquet": _FORMAT | _STORE,
    "al3spark.exports": _FORMAT | _STORE | {"al3spark.parquet"},
    "al3spark.archiving": _STORE | {"al3spark.spark"},
    "al3spark.planning": _ENGINE,
    "al3spark.reprocessing": _ENGINE,
    "al3spark.file_rows": _ENGINE | {"al3spark.planning"},
    "al3spark.manifest": _ENGINE
    | {"al3spark.archiving", "al3spark.file_rows", "al3spark.monitoring", "al3spark.planning"},
    "al3spark.pace": set(),
    "al3spark.monitoring": _STORE | {"al3spark.pace"},
    "al3spark.reporting": set(),
    "al3spark.protection": _FORMAT | _STORE | {"al3spark.config"},
    "al3spark.preparing": _ENGINE | {"al3spark.catalogs", "al3spark.planning", "al3spark.protection"},
    "al3spark.finishing": _ENGINE | {"al3spark.catalogs", "al3spark.preparing", "al3spark.reporting"},
    "al3spark.judging": _ENGINE | {"al3spark.file_rows", "al3spark.monitoring", "al3spark.planning"},
    "al3spark.chunks": _ENGINE
    | {
        "al3spark.archiving",
        "al3spark.budget",
        "al3spark.file_rows",
        "al3spark.judging",
        "al3spark.manifest",
        "al3spark.monitoring",
        "al3spark.parquet",
        "al3spark.planning",
        "al3spark.preparing",
    },
    "al3spark.batch": _ENGINE
    | {
        "al3spark.archiving",
        "al3spark.catalogs",
        "al3spark.chunks",
        "al3spark.exports",
        "al3spark.file_rows",
        "al3spark.finishing",
        "al3spark.judging",
        "al3spark.manifest",
        "al3spark.monitoring",
        "al3spark.parquet",
        "al3spark.planning",
        "al3spark.preparing",
        "al3spark.reporting",
        "al3spark.reprocessing",
    },
    "al3spark.report": _FORMAT
    | _STORE
    | {"al3spark.config", "al3spark.operations", "al3spark.options", "al3spark.parquet"},
    "al3spark.operations": _STORE | {"al3spark.exports", "al3spark.monitoring", "al3spark.parquet"},
    "al3spark.scanning": _ENGINE
    | {"al3spark.batch", "al3spark.display", "al3spark.planning", "al3spark.preparing", "al3spark.reporting"},
    "al3spark.validation": _ENGINE | {"al3spark.reporting", "al3spark.scanning"},
    "al3spark.coverage": _ENGINE | {"al3spark.display", "al3spark.scanning"},
    "al3spark.importing": _FORMAT
    | {"al3spark.display", "al3spark.options", "al3spark.requests", "al3spark.store"},
    "al3spark.display": {
        "al3spark.al3.dictionary",
        "al3spark.config",
        "al3spark.planning",
        "al3spark.reporting",
        "al3spark.store",
    },
    "al3spark.commands": _FORMAT
    | {
        "al3spark.catalogs",
        "al3spark.config",
        "al3spark.coverage",
        "al3spark.display",
        "al3spark.importing",
        "al3spark.inspection",
        "al3spark.locations",
        "al3spark.operations",
        "al3spark.options",
        "al3spark.protection",
        "al3spark.report",
        "al3spark.sampling",
        "al3spark.scanning",
        "al3spark.store",
    },
    "al3spark.cli": _ENGINE
    | {
        "al3spark.batch",
        "al3spark.commands",
        "al3spark.display",
        "al3spark.preparing",
        "al3spark.reporting",
        "al3spark.requests",
        "al3spark.scanning",
        "al3spark.validation",
    },
    "al3spark.__main__": {"al3spark.cli"},
    "jobs": {"al3spark.cli"},
}

# Package from outside -> the layers that may import it; all else comes from the standard library.
_ARROW = {
    "al3spark.al3",
    "al3spark.al3.dictionary",
    "al3spark.store",
    "al3spark.spark",
    "al3spark.sampling",
    "al3spark.inspection",
    "al3spark.planning",
    "al3spark.file_rows",
    "al3spark.manifest",
    "al3spark.chunks",
    "al3spark.exports",
    "al3spark.parquet",
    "al3spark.operations",
    "al3spark.report",
    "al3spark.catalogs",
}
OUTSIDE = {
    "_typeshed": set(LAYERS),  # names for type checkers only
    "boto3": {"al3spark.store"},
    "botocore": {"al3spark.store"},
    "click": {
        "al3spark.cli",
        "al3spark.commands",
    },
    "grpc": {"al3spark.spark"},
    "numpy": _ARROW,
    "py4j": {"al3spark.spark"},
    "pyarrow": _ARROW,
    "urllib3": {"al3spark.store"},
    "pyspark": {
        "al3spark.spark",
        "al3spark.planning",
        "al3spark.batch",
        "al3spark.chunks",
        "al3spark.coverage",
        "al3spark.scanning",
        "al3spark.validation",
    },
}

# What the format must not have: files and machines, clocks and chance.
BANNED_MODULES = {
    "glob",
    "http",
    "importlib.resources",
    "os",
    "pathlib",
    "pyarrow.dataset",
    "pyarrow.fs",
    "random",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "time",
    "urllib",
    "uuid",
}
BANNED_CALLS = {
    "OSFile",
    "memory_map",
    "now",
    "open",
    "read_bytes",
    "read_text",
    "today",
    "utcnow",
    "write_bytes",
    "write_text",
}
# Module -> what of these it has all the same, exactly, and why.
EXCEPTIONS = {
    # The starter dictionary is package data, and an overlay is a directory.
    "al3spark.al3.dictionary.loading": {"importlib.resources", "pathlib", "read_bytes"},
    # A zip is read from its end: one inside another goes to a nameless temporary file when it is large.
    "al3spark.al3.archives": {"tempfile"},
    # `ZipFile.open` opens a member of an archive that is open already.
    "al3spark.al3.inflating": {"open"},
}


def starts_with(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {
    module_name(path): path for top in ("al3spark", "jobs") for path in sorted((ROOT / top).rglob("*.py"))
}
AL3_MODULES = [name for name in MODULES if starts_with(name, "al3spark.al3")]


def layer_of(name: str) -> str | None:
    """Return the layer of a module, or of a name in one; None for what is not ours or in no layer."""
    layer = max((layer for layer in LAYERS if starts_with(name, layer)), key=len, default=None)
    is_unlisted = layer == "al3spark" and name != layer and name in MODULES
    return None if is_unlisted else layer


def imports_of(source: str, module: str, is_package: bool = False) -> set[str]:
    """Return the full names of all that is imported: modules, and what is taken from them."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = module.split(".")
            parents = parts[: len(parts) - node.level + is_package] if node.level else []
            origin = ".".join([*parents, *([node.module] if node.module else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def calls_of(source: str) -> set[str]:
    """Return the last name of everything that is called."""
    called = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {func.id for func in called if isinstance(func, ast.Name)}
    return names | {func.attr for func in called if isinstance(func, ast.Attribute)}


def forbidden_imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return what a module imports although its layer may not."""
    layer = layer_of(module)
    assert layer is not None, f"{module} is in no layer; add it to LAYERS"

    def is_allowed(name: str) -> bool:
        target, top = layer_of(name), name.partition(".")[0]
        if top in {"al3spark", "jobs"}:
            return target in {layer, "al3spark"} or target in LAYERS[layer]
        return top in sys.stdlib_module_names or layer in OUTSIDE.get(top, set())

    return sorted(name for name in imports_of(source, module, is_package) if not is_allowed(name))


def banned_uses(source: str, module: str, is_package: bool = False) -> set[str]:
    """Return what a module imports or calls although the format has no files, clocks or chance."""
    imports = imports_of(source, module, is_package)
    modules = {banned for banned in BANNED_MODULES if any(starts_with(name, banned) for name in imports)}
    return modules | (calls_of(source) & BANNED_CALLS)


def test_the_tables_name_no_unknown_layer() -> None:
    named = set().union(*LAYERS.values(), *OUTSIDE.values())
    assert named - set(LAYERS) == set()


def test_no_two_layers_import_each_other() -> None:
    pairs = {(layer, target) for layer, targets in LAYERS.items() for target in targets if layer != target}
    assert [pair for pair in pairs if pair[::-1] in pairs] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_layer_may(module: str) -> None:
    path = MODULES[module]
    assert forbidden_imports(path.read_text(), module, path.name == "__init__.py") == []


@pytest.mark.parametrize("module", AL3_MODULES)
def test_the_format_has_no_files_no_clock_and_no_chance(module: str) -> None:
    path = MODULES[module]
    assert banned_uses(path.read_text(), module, path.name == "__init__.py") == EXCEPTIONS.get(module, set())


@pytest.mark.parametrize("module", ["al3spark.al3.dictionary", "al3spark.store", "al3spark.cli"])
def test_importing_it_does_not_import_spark(module: str) -> None:
    code = f"import sys, {module}; print({{'pyspark', 'py4j', 'pandas'}} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (result.stdout, result.stderr) == ("set()\n", "")


def test_imports_are_seen_wherever_they_stand() -> None:
    source = "import os.path\nfrom al3spark import errors\ndef f():\n    from pyspark.sql import Row, types\n"
    assert imports_of(source, "al3spark.config") == {
        "os.path",
        "al3spark.errors",
        "pyspark.sql.Row",
        "pyspark.sql.types",
    }


@pytest.mark.parametrize(("module", "is_package"), [("al3spark.al3.framing", False), ("al3spark.al3", True)])
def test_relative_imports_become_full_names(module: str, is_package: bool) -> None:
    source = "from . import faults\nfrom ..errors import Al3Error\n"
    expected = {"al3spark.al3.faults", "al3spark.errors.Al3Error"}
    assert imports_of(source, module, is_package) == expected


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("al3spark.al3.framing", "pyspark.sql"),
        ("al3spark.al3.framing", "boto3"),
        ("al3spark.al3.framing", "al3spark.store.places"),
        ("al3spark.al3.dictionary.loading", "al3spark.al3.tables"),
        ("al3spark.store.places", "al3spark.al3.faults"),
        ("al3spark.store.places", "pyspark"),
        ("al3spark.spark.pipeline", "al3spark.batch"),
        ("al3spark.config", "al3spark.al3.parsing"),
        ("al3spark.errors", "al3spark.config"),
        ("al3spark.cli", "pyspark.sql"),
        ("al3spark.batch", "al3spark.cli"),
        ("al3spark.sampling", "al3spark.store"),
    ],
)
def test_an_import_against_the_tables_is_found(module: str, name: str) -> None:
    assert forbidden_imports(f"def f():\n    import {name}\n", module) == [name]


def test_the_name_of_a_submodule_is_not_taken_for_one_of_its_package() -> None:
    assert forbidden_imports("from al3spark import errors, __version__\n", "al3spark.store") == []
    assert forbidden_imports("from al3spark.al3 import dictionary, tables\n", "al3spark.config") == [
        "al3spark.al3.tables"
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from pathlib import Path\n", {"pathlib"}),
        ("import os.path\n", {"os"}),
        ("import time\n", {"time"}),
        ("from datetime import time\n", set()),
        ("open('x')\n", {"open"}),
        ("datetime.now(UTC)\n", {"now"}),
    ],
)
def test_files_and_clocks_in_the_format_are_found(source: str, expected: set[str]) -> None:
    assert banned_uses(source, "al3spark.al3.framing") == expected
