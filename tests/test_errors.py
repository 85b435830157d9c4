"""Errors cross from tasks to the driver by pickle, and must say the same on the other side."""

import ast
import pickle
from pathlib import Path

import pytest

from al3spark import errors

PACKAGE = Path(errors.__file__).parent
SOURCES = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]

EXAMPLES = [
    errors.Al3Error("text"),
    errors.RequestError("text"),
    errors.DictionaryError("elements.csv line 12: overlap\nelements.csv line 13: overlap"),
    errors.StoreError("s3://bucket/key: timed out", retryable=True),
    errors.StoreError("s3://bucket/key: access denied", code="AccessDenied"),
    errors.FileChangedError("s3://bucket/key: changed since it was listed", retryable=True),
    errors.BatchError("text"),
    errors.TasksFailedError("text"),
    errors.SumsError("text"),
    errors.CancelledError("text"),
]


def tree_of(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text())


def test_every_error_has_an_example() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    assert {type(error) for error in EXAMPLES} == classes


@pytest.mark.parametrize("error", EXAMPLES, ids=repr)
def test_an_error_survives_pickling_with_its_text_and_attributes(error: errors.Al3Error) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.args == error.args
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=repr)
def test_an_error_is_an_al3_error(error: errors.Al3Error) -> None:
    assert isinstance(error, errors.Al3Error)


def test_a_store_error_says_whether_waiting_can_help() -> None:
    copy = pickle.loads(pickle.dumps(errors.StoreError("timed out", retryable=True)))
    assert (str(copy), copy.retryable) == ("timed out", True)


def test_a_store_error_is_final_unless_it_says_otherwise() -> None:
    assert errors.StoreError("access denied").retryable is False


@pytest.mark.parametrize("name", SOURCES)
def test_errors_are_defined_in_errors_only(name: str) -> None:
    names = {"Exception", "BaseException", *vars(errors)}
    classes = [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.ClassDef)]
    bases = {ast.unparse(base).removeprefix("errors.") for node in classes for base in node.bases}
    assert name == "errors.py" or bases.isdisjoint(names)


@pytest.mark.parametrize("name", SOURCES)
def test_the_root_of_all_errors_is_never_raised_itself(name: str) -> None:
    raised = [node.exc for node in ast.walk(tree_of(name)) if isinstance(node, ast.Raise)]
    calls = {ast.unparse(exc.func) for exc in raised if isinstance(exc, ast.Call)}
    assert calls.isdisjoint({"Al3Error", "errors.Al3Error"})
