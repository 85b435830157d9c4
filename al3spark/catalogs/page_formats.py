"""A page as Markdown, or as one HTML file that needs nothing else: no network, no script.

In: a `Page`. Out: text. Promises: what stands in a dictionary is text on the page, never markup. The HTML is
for phones (rows are cards there), desktops and paper, in light and in dark.
"""

import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from al3spark.catalogs.dictionary_page import COLUMNS, ELEMENTS
from al3spark.catalogs.pages import Code, Link, Page, Row, Section, Text

_MARKUP = re.compile(r"([\\`*_\[\]<>|#])")


def write_markdown(page: Page) -> str:
    """Write a page as Markdown, as GitHub reads it."""
    lines = [f"# {_marked(page.title)}", "", _text_markdown(page.lead), "", "## Contents", ""]
    for chapter, sections in page.chapters:
        lines.append(f"- {_marked(chapter)}")
        lines += [f"  - {_entry_markdown(section)}" for section in sections]
    for chapter, sections in page.chapters:
        lines += ["", f"## {_marked(chapter)}"]
        for section in sections:
            lines += _section_markdown(section)
    return "\n".join(lines) + "\n"


def _entry_markdown(section: Section) -> str:
    title = _text_markdown(section.title)
    return f"[{title}](#{section.anchor}) {_marked(section.note)}".rstrip()


def _section_markdown(section: Section) -> Iterator[str]:
    yield from ("", f'### <a id="{escape(section.anchor)}"></a>{_text_markdown(section.title)}')
    for paragraph in section.paragraphs:
        yield from ("", _text_markdown(paragraph))
    if section.example:
        yield from ("", "```sql", section.example, "```")
    if section.rows:
        yield from ("", _row_markdown(section.header), _row_markdown("---" for _ in section.header))
        for row in section.rows:
            first, *others = (_text_markdown(cell) for cell in row.cells)
            anchor = f'<a id="{escape(row.anchor)}"></a>' if row.anchor else ""
            yield _row_markdown([anchor + first, *others])


def _row_markdown(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text_markdown(text: Text) -> str:
    return "".join(
        f"`{each.text}`"
        if isinstance(each, Code)
        else f"[`{each.text}`](#{each.anchor})"
        if isinstance(each, Link)
        else _marked(each)
        for each in text
    )


def _marked(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def write_html(page: Page) -> str:
    """Write a page as HTML."""
    contents = "".join(
        f"<h2>{escape(chapter)}</h2><ul>{''.join(map(_entry_html, sections))}</ul>"
        for chapter, sections in page.chapters
    )
    body = "".join(
        f"<h2>{escape(chapter)}</h2>\n{''.join(map(_section_html, sections))}"
        for chapter, sections in page.chapters
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(page.title)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n"
        f'<nav aria-label="Contents">{contents}</nav>\n<main>\n'
        f"<h1>{escape(page.title)}</h1>\n<p>{_text_html(page.lead)}</p>\n{body}</main>\n</body>\n</html>\n"
    )


def _entry_html(section: Section) -> str:
    note = f" <small>{escape(section.note)}</small>" if section.note else ""
    return f'<li><a href="#{escape(section.anchor)}">{_plain(section.title)}</a>{note}</li>'


def _section_html(section: Section) -> str:
    parts = [f'<section id="{escape(section.anchor)}">\n<h3>{_text_html(section.title)}</h3>\n']
    parts += [f"<p>{_text_html(paragraph)}</p>\n" for paragraph in section.paragraphs]
    if section.example:
        parts.append(f"<pre><code>{escape(section.example)}</code></pre>\n")
    if section.rows:
        head = "".join(f"<th>{escape(name)}</th>" for name in section.header)
        kind = {ELEMENTS: "elements", COLUMNS: "columns"}.get(section.header, "words")
        parts.append(f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n')
        parts += [_row_html(row) for row in section.rows]
        parts.append("</tbody>\n</table>\n")
    return "".join([*parts, "</section>\n"])


def _row_html(row: Row) -> str:
    anchor = f' id="{escape(row.anchor)}"' if row.anchor else ""
    return f"<tr{anchor}>{''.join(f'<td>{_text_html(cell)}</td>' for cell in row.cells)}</tr>\n"


def _text_html(text: Text) -> str:
    return "".join(
        f"<code>{_breakable(each.text)}</code>"
        if isinstance(each, Code)
        else f'<a href="#{escape(each.anchor)}"><code>{_breakable(each.text)}</code></a>'
        if isinstance(each, Link)
        else escape(each)
        for each in text
    )


def _plain(text: Text) -> str:
    return escape("".join(each if isinstance(each, str) else each.text for each in text))


def _breakable(name: str) -> str:
    """A name that can be broken after its underscores."""
    return escape(name).replace("_", "_<wbr>")


def _style() -> str:
    """The style sheet, and what stands before the cells of a row where it is a card."""
    labels = "".join(
        f'.elements td:nth-child({number})::before{{content:"{name} "}}'
        for number, name in enumerate(ELEMENTS, 1)
        if number > 2
    )
    sheet = files("al3spark.catalogs").joinpath("dictionary_page.css").read_text("utf-8")
    return f"{sheet}@media (max-width: 52rem) {{{labels}}}\n"
