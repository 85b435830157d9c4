"""The data dictionary as a page: all that is in the tables is there, and nothing that leads nowhere."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from al3spark.al3.dictionary import Dictionary, Element, Layout, load_dictionary
from al3spark.catalogs.dictionary_page import compose_page
from al3spark.catalogs.page_formats import write_html, write_markdown
from al3spark.catalogs.schemas import plan_tables
from al3spark.cli import main
from tests.batches import put

STARTER = load_dictionary()
SCHEMAS = plan_tables(STARTER).schemas
VOID = {"meta", "wbr"}
ODD = Dictionary(
    (
        Layout(
            "5ODD",
            "odds",
            "<b>Odd</b> & `ends` | [x](y) *z*",
            (Element("5ODD", "a_b", 30, 4, "text", element_id="5ODD01", sources="A|<i>B"),),
        ),
    ),
    (("5ODD", "Odd"), ("5NOT", "<script>")),
    "0" * 16,
)


class Reader(HTMLParser):
    """What an HTML page holds: ids, links, and whether every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.problems: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.problems += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.problems.append(tag)


def anchors() -> set[str]:
    """What must be on the page: every table and every column, those of all tables in one place."""
    leading = set(SCHEMAS["unmapped_groups"].names) - {"group_code", "raw"} | {"extra_bytes"}
    own = {
        f"{table}.{field.name}"
        for table, schema in SCHEMAS.items()
        for field in schema
        if table in ("errors", "files") or field.name not in leading
    }
    return {*SCHEMAS, *own, *(f"leading.{name}" for name in leading)}


def test_html_has_every_table_and_column_and_no_link_that_leads_nowhere() -> None:
    page = Reader(write_html(compose_page(STARTER)))
    assert page.problems == []
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert anchors() - set(page.ids) == set()
    assert {link.removeprefix("#") for link in page.links} - set(page.ids) == set()


def test_html_needs_nothing_else() -> None:
    text = write_html(compose_page(STARTER))
    page = Reader(text)
    assert {tag for tag in page.tags if tag in {"script", "link", "img", "iframe", "object"}} == set()
    assert re.findall(r"https?://|url\(|@import", text) == []
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


def test_markdown_has_every_table_and_column_and_no_link_that_leads_nowhere() -> None:
    text = write_markdown(compose_page(STARTER))
    ids = re.findall(r'<a id="([^"]+)"></a>', text)
    assert len(ids) == len(set(ids))
    assert anchors() - set(ids) == set()
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) - set(ids) == set()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3, 4, 10}


@pytest.mark.parametrize(
    "line",
    [
        "Seen below [`locations`](#locations) (5LAG) at level R1: `parent_offset` leads there.",
        "Seen above [`auto_coverages`](#auto_coverages) (6CVA) at level W1.",
        "Extends [`insureds`](#insureds) (5BIS), with the same level and iteration.",
        '| <a id="policies.current_term_amount"></a>`current_term_amount` | decimal(18,2) | amount, 2 '
        "decimals | 111-122 | 5BPI11 (FPREM) |  |  | ABCSW | high |",
        '| <a id="policies.rate_date_superseded"></a>`rate_date_superseded` | date | date\\_yymmdd | 171-176 '
        "| 5BPI23 (ZZMOV) |  | [`rate_date`](#policies.rate_date) | A | medium |",
        '| <a id="files.file_path"></a>`file_path` | string | The file as it was listed |',
        "| `2ACI` | Agency Customer Information |",
        "| C, D | two TypeScript emitters |",
    ],
)
def test_a_page_says_what_the_dictionary_knows(line: str) -> None:
    text = write_markdown(compose_page(STARTER))
    assert line in text.splitlines()


def test_what_stands_in_a_dictionary_is_never_markup() -> None:
    html, markdown = write_html(compose_page(ODD)), write_markdown(compose_page(ODD))
    page = Reader(html)
    assert page.problems == []
    assert (page.tags["b"], page.tags["i"], page.tags["script"]) == (0, 0, 0)
    assert "&lt;b&gt;Odd&lt;/b&gt; &amp; `ends` | [x](y) *z*" in html
    assert r"\<b\>Odd\</b\> & \`ends\` \| \[x\](y) \*z\*" in markdown


def test_the_command_writes_what_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["dictionary", "doc", *arguments])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    put(tmp_path, {"d/groups.csv": b"group,table,name\nCVH1,own_table,Our own\n"})
    put(tmp_path, {"d/elements.csv": b"group,element,start,length,kind\nCVH1,own_code,30,4,code\n"})
    assert run("--dictionary", str(tmp_path / "d")) == 0
    assert "`own_code` | string | code | 30-33 |" in capsys.readouterr().out
    assert run("-o", str(tmp_path / "page.html")) == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert run("-o", str(tmp_path / "page.html"), "--format", "markdown") == 0
    assert (tmp_path / "page.html").read_text().startswith("# Data dictionary")
    assert run("--format", "html") == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")
    assert run("-o", str(tmp_path / "no" / "page.html")) == 1
    assert capsys.readouterr().err == f"al3spark: {tmp_path}/no/page.html: No such file or directory\n"
