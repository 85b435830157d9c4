"""A request document and flags become one `BatchRequest`.

In: the path or URI of a JSON document, if any, and what a command line says. Out: a request that was checked
whole. Promises: flags override the document; nothing is ignored: an unknown name is a problem; all problems
are told at once, one a line, each with where it is and what is valid. Raises: RequestError. Leaves to others:
whether source and destination can be read and written (batch.py).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from al3spark.config import PII_RULE as RULE
from al3spark.config import Archive, BatchRequest, Destination, OnFinish, Options, Source
from al3spark.errors import RequestError
from al3spark.locations import read_destination, read_source, read_text
from al3spark.options import Problems, describe, read_values, show, suggest

_PARTS = ("source", "destination", "options")
_DESCRIBED = {"source": Source, "destination": Destination, "options": Options}


def load_request(
    document: str | None = None,
    source: str | None = None,
    destination: str | None = None,
    flags: Mapping[str, object] | None = None,
) -> BatchRequest:
    """Read a document by its path or URI and lay a command line over it.

    `source`, `destination`: paths or URIs, in place of what the document says. `flags`: values as a document
    has them, by the names of options.
    """
    asked = parse_document(read_text(document), document) if document else {}
    given = dict(flags or {})
    problems = Problems(_labels(given))
    request = _read_request(_overlay(asked, source, destination, given), problems)
    if request is None:
        raise RequestError(tell_problems(document or "the request", problems.found))
    return request


def parse_document(text: str, name: str, parts: Sequence[str] = _PARTS) -> dict[str, Any]:
    """Parse JSON. RequestError: it is none, or no object, or has a name twice."""
    try:
        document = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise RequestError(f"{name} line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{name}: {error}") from error
    if not isinstance(document, dict):
        raise RequestError(f"{name}: not a JSON object; valid: {', '.join(parts)}")
    return document


def _overlay(
    asked: Mapping[str, Any], source: str | None, destination: str | None, flags: dict[str, object]
) -> dict[str, Any]:
    """Lay a command line over a document. A place that it names replaces all that says where it is."""
    merged = dict(asked)
    for part, uri, stays in (("source", source, "pattern"), ("destination", destination, "format")):
        if uri is not None:
            before = merged.get(part)
            kept = {stays: before[stays]} if isinstance(before, dict) and stays in before else {}
            merged[part] = {"uri": uri, **kept}
    for part, described in _DESCRIBED.items():
        values = {each.name: flags[each.name] for each in describe(described) if each.name in flags}
        below = merged.get(part) if merged.get(part) is not None else {}
        if values and isinstance(below, dict):
            merged[part] = below | values
    return merged


def _read_request(asked: Mapping[str, Any], problems: Problems) -> BatchRequest | None:
    """Read a whole request; None if it has any problem."""
    for name in asked:
        if name not in _PARTS:
            problems.add(name, f"is unknown; {suggest(name, _PARTS)}")
    source = read_source(asked.get("source"), problems)
    destination = read_destination(asked.get("destination"), problems)
    options = _read_options(asked.get("options"), problems)
    if source is None or destination is None or problems.found:
        return None
    return BatchRequest(source, destination, Options(**options))


def _read_options(document: object, problems: Problems) -> dict[str, Any]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        problems.add("options", f"is {show(document)}; valid: an object")
        return {}
    known = describe(Options)
    plain = {name: value for name, value in document.items() if name not in _NESTED}
    values = read_values("options", plain, known, problems)
    for name, read in _NESTED.items():
        if (value := document.get(name)) is not None:
            values[name] = read(value, problems)
    return values


def _read_archive(document: object, problems: Problems) -> Archive:
    if isinstance(document, str):
        document = {"succeeded": document}
    if not isinstance(document, dict) or not document:
        problems.add(
            "options.archive",
            f"is {show(document)}; valid: a path or URI, or an object with succeeded and failed",
        )
        return Archive()
    return Archive(**read_values("options.archive", document, describe(Archive), problems))


def _read_on_finish(document: object, problems: Problems) -> OnFinish:
    if isinstance(document, list | tuple):
        document = {"command": document}
    if not isinstance(document, dict) or not document:
        problems.add(
            "options.on_finish",
            f"is {show(document)}; valid: a command as a list of words, or an object with command and "
            f"sns_topic_arn",
        )
        return OnFinish()
    return OnFinish(**read_values("options.on_finish", document, describe(OnFinish), problems))


def _read_pii(document: object, problems: Problems) -> tuple[str, ...]:
    """Read an object of actions by tag, or a list of texts like `ssn=hash`."""
    rules: object = document
    if isinstance(document, dict):
        rules = [f"{tag}={action}" for tag, action in document.items()]
    if isinstance(rules, list | tuple) and all(
        isinstance(rule, str) and re.fullmatch(RULE, rule) for rule in rules
    ):
        return tuple(rules)
    valid = "an object of keep, mask, hash or drop by tag, and of keep or drop for untyped"
    problems.add("options.pii", f"is {show(document)}; valid: {valid}")
    return ()


_NESTED: dict[str, Callable[[object, Problems], Archive | OnFinish | tuple[str, ...]]] = {
    "pii": _read_pii,
    "archive": _read_archive,
    "on_finish": _read_on_finish,
}


def _labels(flags: Mapping[str, object]) -> dict[str, str]:
    """Flags by the places in a document for which they stand."""
    named = ((part, each) for part, described in _DESCRIBED.items() for each in describe(described))
    return {f"{part}.{each.name}": each.flag for part, each in named if each.name in flags}


def tell_problems(name: str, problems: Sequence[str]) -> str:
    """Put all problems of a document into one text."""
    if len(problems) == 1:
        return f"{name}: {problems[0]}"
    return "\n  ".join([f"{name} has {len(problems)} problems:", *problems])


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twin} is there twice")
    return document


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
