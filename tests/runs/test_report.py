from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ibdrop.errors import RunError
from ibdrop.runs.folder import Run
from ibdrop.runs.report import report
from ibdrop.runs.sweep import Sweep

MakeRun = Callable[..., Run]


class Page(HTMLParser):
    """Gathers text, and whatever a browser would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_the_page_is_self_contained(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "a")
    path = report(run.folder)
    assert path == run.report
    content, page = path.read_text(encoding="utf-8"), Page(path)
    assert page.sources
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert not re.search(r"https?://|@import|url\(", content)
    assert not {"script", "link", "iframe"} & set(page.tags)
    picture = base64.b64decode(page.sources[0].partition(",")[2])
    assert picture == (run.artifacts / "confusion.png").read_bytes()


def test_what_it_says(tmp_path: Path, make_run: MakeRun) -> None:
    warning = "layer D0 has collapsed: it carries 0.002 nats per sample"
    run = make_run(tmp_path / "a", warnings=[warning], notes=["The digits are drawn."])
    text = Page(report(run.folder)).text
    assert "98.00 %" in text
    assert "95 % interval 1.30 to 3.07 %" in text
    assert "b = 2e-08 = 0.001 / 50,000 training images" in text
    assert "ibdrop train beta=0.001 seed=0" in text
    assert "took 1 min 15 s" in text
    assert "25.0 %" in text
    assert "The digits are drawn." in text
    assert text.index(warning) < text.index("The network is wrong on")


def test_names_are_escaped(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "a", name="<script>alert(1)</script>", warnings=["a <b> & c|d"])
    (run.artifacts / "<img>.png").write_bytes(b"x")
    path = report(run.folder)
    assert "<script>" not in path.read_text()
    assert "<script>alert(1)</script>" in Page(path).text
    assert "a <b> & c|d" in Page(path).text
    markdown = (run.folder / "REPORT.md").read_text()
    assert "<script>" not in markdown
    assert "artifacts/%3Cimg%3E.png" in markdown


def test_a_users_own_picture_is_shown_by_its_name(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "a")
    (run.artifacts / "my").mkdir()
    (run.artifacts / "my" / "own view.png").write_bytes(b"x")
    text = Page(report(run.folder)).text
    assert text.index("Confusion matrix") < text.index("Other pictures") < text.index("own view")
    assert "](artifacts/my/own%20view.png)" in (run.folder / "REPORT.md").read_text()


def test_numbers_are_named(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "a")
    (run.artifacts / "confusion.csv").touch()
    assert "artifacts/confusion.csv" in Page(report(run.folder)).text


def test_an_unfinished_run_has_a_report_too(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "a", {"beta": 1.0}, command=["ibdrop"], overrides=[])
    run.update(status="failed", error="the loss is NaN at step 3")
    assert "the loss is NaN at step 3" in Page(report(run.folder)).text


def test_a_sweep(tmp_path: Path, make_run: MakeRun) -> None:
    jobs = [["beta=0.1", f"seed={seed}"] for seed in range(4)]
    Sweep.create(tmp_path, command=["ibdrop", "train", "-m"], overrides=["-m"], jobs=jobs)
    make_run(tmp_path / "0_a", beta=0.1, seed=0, error=0.01)
    make_run(tmp_path / "1_b", beta=0.1, seed=1, error=0.03)
    Run.fail(tmp_path / "2_c", jobs[2], "no <space> left")
    Sweep.open(tmp_path).end()
    path = report(tmp_path)
    text = Page(path).text
    assert path == tmp_path / "report.html"
    assert "2 of 4 jobs finished; `ibdrop resume" in text
    assert "2.00 % ± 1.41 %" in text
    assert "no <space> left" in text
    assert "Error and information against beta" in text
    assert "Information plane" in text
    assert "no &lt;space&gt; left" in (tmp_path / "REPORT.md").read_text()


def test_neither_run_nor_sweep(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run: it has no run.json"):
        report(tmp_path)
