"""Protect what identifies people, before anything leaves the parse.

In: a dictionary whose elements are tagged (`pii`), and what is to become of each tag. Out: a dictionary whose
elements say it; columns of one element, protected. Promises: a masked or hashed value is text; what was null
or did not fit stays null; equal values of one tag have equal hashes, in any table. Raises nothing.
Leaves to others: free text, gaps, tails and groups without a layout can hold anything; they are kept or
dropped as a whole (`UNTYPED`).
"""

import hmac
from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.cells import Cells, decode_text
from al3spark.al3.dictionary import DROP, HASH, KEEP, MASK, Dictionary, Element, Layout

UNTYPED, FREE_TEXT = "untyped", "free_text"
DEFAULT_RULES: Mapping[str, str] = {"ssn": MASK, "driver_license": MASK, "bank_account": MASK, "secret": MASK}

_HIDDEN = "***"
_LAST_FOUR = (r"^.{4,}(\d{4})$", r"****\1")
# Tag -> which values show something of themselves, and what.
_SHOWN = {
    "ssn": (r"^\d{5}(\d{4})$", r"***-**-\1"),
    **dict.fromkeys(("driver_license", "bank_account", "account", "vehicle"), _LAST_FOUR),
    "phone": (r"^\d{6,}(\d{4})$", r"***-***-\1"),
}
_YEAR = "**/**/%Y"


def list_tags(dictionary: Dictionary) -> tuple[str, ...]:
    """Give the tags that its elements have, but for free text."""
    tags = {element.pii for layout in dictionary.layouts for element in layout.elements}
    return tuple(sorted(tags - {"", FREE_TEXT}))


def protect(dictionary: Dictionary, rules: Mapping[str, str], key: bytes = b"") -> Dictionary:
    """Say of each element what is to become of its values. `rules`: by tag, and for `UNTYPED`; else kept."""
    untyped = rules.get(UNTYPED, KEEP)
    actions = {**rules, FREE_TEXT: untyped}
    layouts = tuple(
        replace(layout, elements=tuple(_protect(element, layout, actions) for element in layout.elements))
        for layout in dictionary.layouts
    )
    return replace(
        dictionary, layouts=layouts, keeps_untyped=untyped != DROP, hides_odd=untyped != KEEP, hash_key=key
    )


def _protect(element: Element, layout: Layout, actions: Mapping[str, str]) -> Element:
    tag = FREE_TEXT if element.kind == "gap" else find_tag(element, layout)
    return replace(element, pii=tag, protection=actions.get(tag, KEEP))


def find_tag(element: Element, layout: Layout) -> str:
    """Give the tag of an element, or of the one that takes its place, or whose place it takes."""
    newer = element.superseded_by.split("_AND_") if element.superseded_by else ()
    kin = [
        other.pii
        for other in layout.elements
        if other.pii
        and (
            other.element_id in newer
            or (element.element_id and element.element_id in other.superseded_by.split("_AND_"))
        )
    ]
    return element.pii or (kin[0] if kin else "")


def protect_columns(
    arrays: tuple[pa.Array, ...], cells: Cells, element: Element, key: bytes
) -> tuple[pa.Array, ...]:
    """Protect the decoded columns of an element, of which `cells` holds the bytes."""
    if element.protection == DROP:
        return tuple(pa.nulls(len(array), array.type) for array in arrays)
    if element.kind == "name":
        whole, code, *parts = arrays
        hidden = [_hide(array, element, array, key) for array in (whole, *parts)]
        return (hidden[0], code, *hidden[1:])
    (values,) = arrays
    if pa.types.is_temporal(values.type):
        return (_hide(values, element, values.cast(pa.string()), key),)
    return (_hide(values, element, pc.ascii_trim(decode_text(cells), " "), key),)


def _hide(values: pa.Array, element: Element, texts: pa.Array, key: bytes) -> pa.Array:
    hide = _hash if element.protection == HASH else _mask
    return pc.if_else(values.is_valid(), hide(values, element, texts, key), pa.scalar(None, pa.string()))


def _mask(values: pa.Array, element: Element, texts: pa.Array, key: bytes) -> pa.Array:
    """Show the year of a date, the last digits of some numbers, nothing of all else."""
    if pa.types.is_temporal(values.type):
        return pc.strftime(values, _YEAR)
    if element.pii not in _SHOWN:
        return pa.repeat(_HIDDEN, len(values))
    pattern, shown = _SHOWN[element.pii]
    masked = pc.replace_substring_regex(texts, pattern, shown)
    return pc.if_else(pc.match_substring_regex(texts, pattern), masked, _HIDDEN)


def _hash(values: pa.Array, element: Element, texts: pa.Array, key: bytes) -> pa.Array:
    """Give HMAC-SHA-256 in hexadecimal digits, of the tag and the text as it was sent (dates as ISO 8601)."""
    encoded = texts.dictionary_encode()
    digests = [
        hmac.digest(key, f"{element.pii}\0{text}".encode(), "sha256").hex()
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(digests, pa.string()).take(encoded.indices)
