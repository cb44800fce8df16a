from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from ibdrop.cli import data as command
from ibdrop.cli import datasets, inventory
from ibdrop.cli.main import main
from ibdrop.data.sources import MNIST, File, Source

CONTENT = b"not many digits"


def run(*words: str) -> int:
    return main(["data", *words])


@pytest.fixture
def nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and no data elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IBDROP_DATA", raising=False)
    return tmp_path


def test_without_a_word_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    said = capsys.readouterr().out
    assert "usage: ibdrop data" in said
    assert "ibdrop data fetch mnist" in said
    assert "next: `ibdrop train dataset=NAME`" in said


@pytest.mark.parametrize("words", [[], ["list"], ["fetch"], ["show"]])
def test_help_ends_with_examples_and_the_next_step(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words, "--help") == 0
    said = capsys.readouterr().out
    assert said.index("examples:") < said.index("next: `ibdrop")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lits"], "argument COMMAND: invalid choice: 'lits'"),
        (["list", "more"], "unrecognized arguments: more"),
        (["show", "digits", "--imges", "3"], "unrecognized arguments: --imges"),
        (["show", "digits", "--images", "0"], "'0' is no whole number above 0"),
        (["show", "digits", "--split", "tset"], "invalid choice: 'tset'"),
    ],
)
def test_a_mistake_is_named(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    """The lines of the list by their first word, spaces made single."""
    assert run("list", *words) == 0
    lines = (" ".join(line.split()) for line in capsys.readouterr().out.splitlines())
    return {line.partition(" ")[0]: line for line in lines}


def test_the_list_says_what_is_here(nearby: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys)
    assert lines["data"].startswith("data ")
    assert lines["cluttered_digits"] == ("cluttered_digits scikit-learn 1,797 - installed with it")
    assert lines["mnist"] == "mnist MNIST 70,000 - no MNIST/raw"
    assert lines["occluded_cifar"] == "occluded_cifar CIFAR-10 60,000 - no cifar-10-batches-py"
    assert lines["arrays"].startswith("arrays your own NPZ file - - dataset.")
    assert lines["image_folder"] == "image_folder your own pictures - - dataset.root=DIR"
    assert lines["CIFAR-10"].startswith("CIFAR-10 186 MB not stated A. Krizhevsky")
    assert lines["Fashion-MNIST"].startswith("Fashion-MNIST 55 MB MIT H. Xiao")
    assert "CC BY-SA 3.0 Y. LeCun" in lines["MNIST"]
    assert lines["next:"] == "next: `ibdrop data fetch NAME` brings what is missing"
    assert list(nearby.iterdir()) == []


def test_the_list_has_a_line_for_every_source_of_every_set(
    nearby: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list") == 0
    said = capsys.readouterr().out
    assert "data root: data (--root DIR names another)\n" in said
    for name, parts in inventory.SOURCES.items():
        assert f"\n{name} " in said
        assert all(f"\n{source.name} " in said for source in parts)
    assert said.count("no MNIST/raw") == 4


def test_the_list_tells_half_a_set_from_a_whole_one(
    nearby: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IBDROP_DATA", str(nearby / "mine"))
    folder = nearby / "mine" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for number, file in enumerate(MNIST.files):
        state = f"{number} MB {4 - number} of 4 missing in" if number else "- no"
        assert listed(capsys)["mnist"] == f"mnist MNIST 70,000 {state} MNIST/raw"
        (folder / f"{file.name}.gz").write_bytes(bytes(1_000_000))
    assert listed(capsys, "--root", "mine")["mnist"] == "mnist MNIST 70,000 4 MB in MNIST/raw"


@pytest.mark.parametrize(("width", "continued"), [(80, 4), (120, 1)])
def test_the_list_fits_the_terminal(
    width: int,
    continued: int,
    nearby: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Only who made something is continued on a second line, and only where it is narrow."""
    monkeypatch.setattr(inventory, "console", lambda: Console(width=width, highlight=False))
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert sum(line.startswith("   ") for line in lines) == continued


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = gzip.compress(CONTENT, mtime=0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Source, Source]]:
    """Two sources of one file each, which a server nearby has."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    packed = hashlib.md5(gzip.compress(CONTENT, mtime=0)).hexdigest()
    file = File("digits", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), packed)
    mirror = f"http://127.0.0.1:{server.server_address[1]}/"
    mnist = MNIST._replace(files=(file,), mirrors=(mirror,))
    yield mnist, mnist._replace(name="Other", folder="other")
    server.shutdown()
    server.server_close()
    thread.join()


def test_fetch_brings_the_files_of_all_sources_once(
    nearby: Path,
    tiny: tuple[Source, Source],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(inventory.SOURCES, "occluded_cifar", tiny)
    assert run("fetch", "occluded_cifar", "--root", "here") == 0
    said = capsys.readouterr()
    assert said.out == (
        "MNIST: 1 file fetched into here/MNIST/raw\nOther: 1 file fetched into here/other\n"
    )
    assert "digits.gz" in said.err
    assert (nearby / "here" / "MNIST" / "raw" / "digits").read_bytes() == CONTENT
    assert (nearby / "here" / "other" / "digits").read_bytes() == CONTENT
    assert run("fetch", "occluded_cifar", "--root", "here") == 0
    assert capsys.readouterr().out == (
        "MNIST: all files are in here/MNIST/raw, whole\n"
        "Other: all files are in here/other, whole\n"
    )


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("mnist", "train-images-idx3-ubyte.gz"),
        ("cifar10", "cifar-10-python.tar.gz"),
        ("occluded_cifar", "cifar-10-python.tar.gz"),
    ],
)
def test_fetch_without_a_network_says_so_and_leaves_nothing(
    name: str,
    first: str,
    nearby: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sources = tuple(
        source._replace(mirrors=("http://127.0.0.1:9/",)) for source in inventory.SOURCES[name]
    )
    monkeypatch.setitem(inventory.SOURCES, name, sources)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert run("fetch", name) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    refused = f"ibdrop: cannot fetch {first} (127.0.0.1: connection refused): check"
    assert said.startswith(refused)
    assert list(nearby.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnsit", "no such data set 'mnsit'; did you mean 'mnist'?"),
        (
            "xyz",
            "no such data set 'xyz'; there are arrays, cifar10, cluttered_digits, cluttered_mnist,"
            " digits, double_mnist, fashion_mnist, image_folder, mnist, occluded_cifar",
        ),
    ],
)
def test_fetch_knows_its_names(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch", name) == 2
    assert capsys.readouterr().err == f"ibdrop: {message}\n"


def test_there_is_nothing_to_fetch_for_the_embedded_digits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("fetch", "digits") == 0
    assert capsys.readouterr().out == "digits comes with scikit-learn; there is nothing to fetch\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "arrays",
            "arrays is made of your own NPZ file; there is nothing to fetch: `ibdrop train"
            f" dataset=arrays {inventory.OWN['arrays'].how}` trains on it\n",
        ),
        (
            "image_folder",
            "image_folder is made of your own pictures; there is nothing to fetch: `ibdrop train"
            " dataset=image_folder dataset.root=DIR` trains on them\n",
        ),
    ],
)
def test_there_is_nothing_to_fetch_for_your_own_data(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch", name) == 0
    assert capsys.readouterr().out == message


@pytest.mark.parametrize(
    "words",
    [
        ["cluttered_digits", "--images", "5"],
        ["cluttered_digits", "--split", "test", "dataset.canvas=32", "seed=3"],
        ["digits", "dataset.scale=1", "--images", "1", "--output", "digits.png"],
    ],
    ids=lambda words: words[0],
)
def test_show_draws_samples(
    words: list[str], nearby: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", *words) == 0
    (picture,) = nearby.iterdir()
    assert picture.name == f"{words[0]}.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"wrote  {picture.name}" in capsys.readouterr().out


def test_show_draws_the_same_bytes_twice(nearby: Path) -> None:
    for name in ("one.png", "two.png"):
        assert run("show", "cluttered_digits", "--images", "2", "--output", name) == 0
    assert (nearby / "one.png").read_bytes() == (nearby / "two.png").read_bytes()


def test_show_takes_a_data_set_of_your_own(nearby: Path) -> None:
    (nearby / "mine" / "dataset").mkdir(parents=True)
    text = "_target_: ibdrop.data.digits.digits\nscale: 3\n"
    (nearby / "mine" / "dataset" / "large.yaml").write_text(text)
    assert run("show", "large", "--config-dir", "mine", "--images", "2") == 0
    assert (nearby / "large.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cluttered_digits", "dataset.cnvas=50"], "did you mean 'dataset.canvas'?"),
        (["cluttered_digits", "dataset.canvas=10"], "do not fit on a canvas of 10 px"),
        (["cluttered_digts"], "did you mean 'cluttered_digits'?"),
        (["mnist"], "run `ibdrop data fetch mnist --root data`, or set dataset.root=DIR"),
        (["digits", "--output", "no/such/place.png"], "cannot write no/such/place.png: No such"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_show_says_what_is_wrong(
    words: list[str], message: str, nearby: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", *words) == 2
    assert message in capsys.readouterr().err
    assert list(nearby.iterdir()) == []


def test_every_action_is_carried_out() -> None:
    (actions,) = (
        action.choices for action in command.parser()._actions if action.dest == "action"
    )
    assert [hasattr(datasets, f"{name}_data") for name in actions or ()] == [True] * 3
