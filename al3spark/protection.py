"""What a request asks to become of values that identify people, laid on a dictionary.

In: options, a dictionary. Out: the dictionary, its elements protected. Raises: RequestError for what cannot
be done, StoreError for a secret that cannot be read. Nothing of a key is in any message.
"""

import os
from collections.abc import Sequence

from al3spark.al3.dictionary import HASH, Dictionary
from al3spark.al3.privacy import DEFAULT_RULES, UNTYPED, list_tags, protect
from al3spark.config import Options
from al3spark.errors import RequestError
from al3spark.store.secrets import read_secret

LEAST_KEY = 16  # bytes


def protect_as_asked(dictionary: Dictionary, options: Options) -> Dictionary:
    """Say of each element what is to become of its values."""
    rules = find_rules(dictionary, options.pii)
    return protect(dictionary, rules, _find_key(options.pii_key) if HASH in rules.values() else b"")


def find_rules(dictionary: Dictionary, pii: Sequence[str]) -> dict[str, str]:
    """Give the action for each tag; the later of two rules for a tag counts."""
    asked = dict(rule.split("=", 1) for rule in pii)
    tags = list_tags(dictionary)
    if unknown := sorted(set(asked) - {*tags, UNTYPED}):
        valid = ", ".join((*tags, UNTYPED))
        raise RequestError(f"pii: no element has the tag {', '.join(unknown)}; valid: {valid}")
    return {**DEFAULT_RULES, **asked}


def _find_key(where: str | None) -> bytes:
    if where is None:
        raise RequestError("pii: hash needs a key; pii_key says where it is: env:NAME or secretsmanager:ID")
    kind, _, name = where.partition(":")
    key = os.fsencode(os.environ.get(name, "")) if kind == "env" else read_secret(name)
    if len(key) < LEAST_KEY:
        found = "is not set" if kind == "env" and not key else f"holds {len(key)} bytes"
        raise RequestError(f"pii_key {where}: {found}; a key has at least {LEAST_KEY} bytes")
    return key
