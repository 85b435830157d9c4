"""HTML made of values, so that what comes from files cannot become markup.

In: texts and elements. Out: `Html`. Promises: a text that is no `Html` is escaped, in attributes too; what
cannot be seen in it (line breaks, control characters, marks that turn the direction of writing) is shown as
its escape. No I/O.
"""

from html import escape as escape_markup

_VOID = frozenset({"br", "hr", "link", "meta", "wbr"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def escape(text: str) -> Html:
    r"""Make markup of a text: `<` becomes `&lt;`, a line break `\n`."""
    return Html(escape_markup(show(text), quote=True))


def show(text: str) -> str:
    """Make visible what is not: each character that cannot be printed becomes its escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def tag(name: str, /, *inside: str, **attributes: str | None) -> Html:
    """Make an element.

    Attributes whose value is None are left out, an empty one stands without a value; `_` in their names
    stands for `-`, but for the one at the end of names that Python has taken: `class_`.
    """
    told = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + (f'="{escape(value)}"' if value else "")
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{told}>" if name in _VOID else f"<{name}{told}>{join(*inside)}</{name}>")


def join(*parts: str) -> Html:
    """Put texts and elements one after the other."""
    return Html("".join(each if isinstance(each, Html) else escape(each) for each in parts))
