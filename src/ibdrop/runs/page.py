"""What a report says, before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ibdrop import __version__
from ibdrop.files import write_text
from ibdrop.runs.pictures import Picture

__all__ = ["Card", "Page", "Section", "Table", "figure", "write_page"]

SHOWN = 4


class Card(NamedTuple):
    """One of the main figures."""

    name: str
    value: str


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        columns: The heads.
        rows: The values.
        text: The positions of columns that are words, not numbers.
        title: The heading above it.
        caption: The sentence below it.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[int] = (0,)
    title: str = ""
    caption: str = ""


@dataclass
class Section:
    """A heading with tables and pictures.

    Attributes:
        title: The heading.
        tables: The tables, shown first.
        pictures: The pictures; beyond the first four they are folded away.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)

    @property
    def first(self) -> list[Picture]:
        """The pictures that are seen at once."""
        return self.pictures[:SHOWN]

    @property
    def more(self) -> list[Picture]:
        """The pictures that are folded away."""
        return self.pictures[SHOWN:]


@dataclass
class Page:
    """A report; every string is plain text, to be escaped by the template."""

    title: str
    status: str
    when: str
    folder: str
    command: str
    repeat: str
    environment: Table
    error: str = ""
    verdict: str = ""
    config: str = ""
    warnings: Sequence[str] = ()
    notes: Sequence[str] = ()
    explanations: Sequence[str] = ()
    cards: Sequence[Card] = ()
    tables: Sequence[Table] = ()
    sections: Sequence[Section] = ()
    numbers: Sequence[str] = ()
    version: str = __version__


def write_page(page: Page, folder: Path) -> Path:
    """Writes `report.html`, which holds its pictures, and `REPORT.md`, which links to them.

    Returns:
        The HTML file.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = _cell
    for name, template in (("REPORT.md", "page.md.j2"), ("report.html", "page.html.j2")):
        text = environment.get_template(template).render(page=page)
        write_text(folder / name, text)
    return folder / "report.html"


def figure(form: str, value: float) -> str:
    """Formats a number, with a space that does not break before a percent sign."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return form.format(value).replace("%", "\N{NO-BREAK SPACE}%")


def _cell(text: object) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
