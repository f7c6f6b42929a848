"""A page as a tree, read as strictly as its own tags allow."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text() for c in self.children)

    def all(self, tag: str | None = None) -> list[Element]:
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if tag in (None, child.tag):
                    found.append(child)
                found += child.all(tag)
        return found

    def by_id(self, identifier: str) -> Element:
        return next(e for e in self.all() if e.attributes.get("id") == identifier)


class Strict(HTMLParser):
    """Builds a tree and refuses tags that do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("document", {})
        self.open = [self.root]
        self.feed(html)
        self.close()
        assert self.open == [self.root], f"not closed: {[e.tag for e in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), f"attribute twice in {tag}"
        element = Element(tag, {k: v or "" for k, v in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(html: str) -> Element:
    return Strict(html).root


def rows_of(table: Element) -> list[list[str]]:
    return [[c.text().strip() for c in row.children if isinstance(c, Element)] for row in table.all("tr")]


def table_with(document: Element, section: str, *headings: str) -> list[list[str]]:
    for table in document.by_id(section).all("table"):
        rows = rows_of(table)
        if tuple(rows[0][: len(headings)]) == headings:
            return rows[1:]
    raise AssertionError(f"no table {headings} in {section}")


def shown(value: float, decimals: int) -> str:
    text = f"{value:+.{decimals}f}".replace("-", "−")
    return f"{0:.{decimals}f}" if not text.strip("+−0.") else text
