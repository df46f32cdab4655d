"""The HTML report: whole, and safe whatever a guest says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from html.parser import HTMLParser

import pytest

from harness.results.html import LOOKS, render_html
from harness.results.known_issues import KnownIssue
from harness.results.model import Row, Verdict
from harness.results.run import CellInfo, HostInfo, ImageInfo, Run, RunInfo
from tests.unit.results.test_report import CLAIMS, D12, ISSUES, LOW, RUN, TODAY

HOSTILE = """</pre></style></title><script>alert(1)</script><img src=x onerror="alert(2)">
"' onmouseover='alert(3)' {{ 7*7 }} {% raw %}
<a href="javascript:alert(4)">\x1b[31mred\x00</a>&amp;"""
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "b", "i", "span", "a",
    "dl", "dt", "dd", "pre", "code", "details", "summary", "div", "table", "thead", "tbody", "tr",
    "th", "td", "ul", "li",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "http-equiv", "content", "name", "id", "class", "aria-hidden", "open",
    "scope", "colspan", "href", "rel",
}  # fmt: skip
EMPTY = {"meta"}


@dataclass
class Page(HTMLParser):
    tags: list[str] = field(default_factory=list)
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    text: str = ""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


def read(document: str) -> Page:
    page = Page()
    page.feed(document)
    page.close()
    assert not page._open
    return page


def render(run: Run, issues: list[KnownIssue] | None = None) -> str:
    known = ISSUES if issues is None else issues
    return render_html(run, claims=CLAIMS, issues=known, today=TODAY, directory="runs/r1")


def assert_harmless(page: Page) -> None:
    assert set(page.tags) <= TAGS
    assert {key for key, _ in page.attributes} <= ATTRIBUTES
    assert all(re.match(r"#claim-\d+$|https?://", link) for link in page.all("href"))


def test_every_part_is_there() -> None:
    page = read(render(RUN))
    assert_harmless(page)
    ids = page.all("id")
    assert {"findings", "broken", "matrix", "issues", "skipped", "rows"} <= set(ids)
    assert len(ids) == len(set(ids))
    links = {link.removeprefix("#") for link in page.all("href") if link.startswith("#")}
    assert links
    assert links <= set(ids)
    assert "photon-4/x86_64 (twin)" in page.text
    assert "debian-12/s390x is unsupported: no static packages" in page.text
    assert "violated 1/2" in page.text
    assert "[INFO] line one\nred[/bold] xxx" in page.text  # whole, on its lines
    assert LOW.reproduce in page.text
    assert "no login prompt in 300 s" in page.text


def hostile(row: Row) -> Row:
    text = {
        each.name: HOSTILE for each in fields(Row) if each.name not in ("verdict", "seconds")
    }  # fmt: skip
    return replace(row, **text)  # type: ignore[arg-type]


@pytest.mark.parametrize("verdict", Verdict)
def test_hostile_rows_stay_text(verdict: Verdict) -> None:
    row = hostile(replace(LOW, verdict=verdict))
    page = read(render(replace(RUN, rows=(row, replace(row, claim="P15", cell=D12)))))
    assert_harmless(page)
    assert "\x1b" not in page.text
    assert "\x00" not in page.text
    if verdict is not Verdict.UNSUPPORTED:
        assert "<script>alert(1)</script><img src=x" in page.text
        assert "{{ 7*7 }} {% raw %}" in page.text


def test_a_hostile_environment_stays_text() -> None:
    info = RunInfo(HOSTILE, HOSTILE, (HOSTILE,), HOSTILE, HostInfo(*[HOSTILE] * 5))
    image = ImageInfo(HOSTILE, HOSTILE, "twin", HOSTILE)
    cell = CellInfo(HOSTILE, "available", HOSTILE, image, HOSTILE)
    absent = CellInfo("x", HOSTILE, HOSTILE)
    issue = KnownIssue(
        "bad", "P15", (D12,), "x", HOSTILE, TODAY, HOSTILE, link='javascript:alert("x")'
    )
    met = replace(LOW, verdict=Verdict.KNOWN_ISSUE, note="bad")
    run = Run(info, (cell, absent), (met, replace(met, cell=HOSTILE)), complete=False)
    page = read(render(run, [issue]))
    assert_harmless(page)
    assert page.text.count("<script>alert(1)</script>") > 6
    assert "javascript:alert(" in page.text  # of HOSTILE; the link itself is left out
    assert 'javascript:alert("x")' not in page.text


def test_nothing_is_loaded() -> None:
    document = render(RUN)
    assert "default-src 'none'" in document
    assert not re.search(r"\bsrc\s*=|@import|url\(|<link|<script", document)


def test_verdicts_are_told_apart_without_colours() -> None:
    assert set(LOOKS) == set(Verdict)
    assert len({look.sign for look in LOOKS.values()}) == len(LOOKS)
    document = render(RUN)
    for verdict, look in LOOKS.items():
        assert f".{verdict.value} i {{ background: {look.colour}; }}" in document
    assert "prefers-color-scheme: dark" in document


def test_an_empty_and_unfinished_run() -> None:
    page = read(render(replace(RUN, rows=(), cells=(), complete=False)))
    assert "Nothing was decided." in page.text
    assert "has not finished" in page.text
    assert "findings" not in page.all("id")
