"""Reconstructions: their figures by another route, and what is drawn of which network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibdrop.artifacts.reconstructions import Reconstructions
from ibdrop.files import read_csv
from ibdrop.merit.reconstruction import references, training_pixels

NAMES = ["png", "png", "csv", "csv", "npz"]


def test_figures_are_those_of_all_test_images(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path)
    files = sketch.run(Reconstructions(4, 9), what, tmp_path)
    assert [path.suffix[1:] for path in files] == NAMES
    rows = {row["what"]: row for row in read_csv(tmp_path / "reconstruction.csv")}
    assert list(rows) == ["clean images", "PCA", "mean training image", "floor"]
    x = what.data.inputs(what.data.test.batch(torch.arange(sketch.count)).images).double()
    p = torch.sigmoid(what.model.double()(x).output).detach()
    ce = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3)).mean()
    known = references(what.data, 3, "bernoulli")
    found = rows["clean images"]
    assert float(found["ce"]) == pytest.approx(float(ce), rel=1e-5)
    assert float(found["mse"]) == pytest.approx(float((x - p).square().mean()), rel=1e-5)
    assert float(found["ce_above_floor"]) == pytest.approx(float(ce) - known["ce_floor"], rel=1e-4)
    assert float(rows["PCA"]["mse"]) == known["mse_pca"]
    assert (found["width"], found["white"], found["images"]) == ("3", "1.0", "40")


def test_figures_do_not_depend_on_the_batches(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, corrupts=True)
    texts = []
    for size in (7, 40):
        sketch.run(Reconstructions(2, 2), what, tmp_path, size)
        rows = read_csv(tmp_path / "reconstruction.csv")
        texts.append([f"{float(row['ce'] or 0):.6g} {float(row['mse']):.6g}" for row in rows])
    assert texts[0] == texts[1]


def test_examples_hold_what_is_drawn(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path)
    sketch.run(Reconstructions(4, 9), what, tmp_path)
    with np.load(tmp_path / "reconstructions.npz") as data:
        assert data["index"].tolist()[:9] == list(range(9))
        assert len(data["index"]) == 13
        assert sorted(set(data["labels"][9:].tolist())) == [0, 1, 2]
        assert "corrupted" not in data.files
        x = what.data.inputs(what.data.test.batch(torch.from_numpy(data["index"])).images)
        np.testing.assert_array_equal(data["original"], x)
        made = what.model.means(what.model(x).output).detach()
        np.testing.assert_allclose(data["clean"], made, rtol=1e-6)
        pca = training_pixels(what.data).pca(3)
        assert pca is not None
        np.testing.assert_allclose(data["pca"], pca.rebuild(x), rtol=1e-5, atol=1e-6)
        rows = read_csv(tmp_path / "reconstructions.csv")
        assert [float(row["mse_clean"]) for row in rows] == pytest.approx(data["mse_clean"])


def test_a_network_that_denoises_is_shown_both(sketch: SimpleNamespace, tmp_path: Path) -> None:
    sketch.run(Reconstructions(4, 9), sketch.trained(tmp_path, corrupts=True), tmp_path)
    rows = {row["what"]: row for row in read_csv(tmp_path / "reconstruction.csv")}
    assert list(rows)[:2] == ["clean images", "corrupted images"]
    assert rows["clean images"]["ce"] != rows["corrupted images"]["ce"]
    with np.load(tmp_path / "reconstructions.npz") as data:
        left_out = data["corrupted"] != data["original"]
        assert 0.4 < left_out.mean() < 0.6
        # The corruption belongs to the image: the same wherever it is shown.
        first = {int(i): data["corrupted"][k] for k, i in enumerate(data["index"][:9])}
        for place in range(9, 13):
            known = first.get(int(data["index"][place]))
            if known is not None:
                np.testing.assert_array_equal(known, data["corrupted"][place])


def test_figures_are_of_what_the_network_has_to_give(
    sketch: SimpleNamespace, tmp_path: Path
) -> None:
    what = sketch.trained(tmp_path, below=True)
    sketch.run(Reconstructions(4, 9), what, tmp_path)
    rows = {row["what"]: row for row in read_csv(tmp_path / "reconstruction.csv")}
    assert list(rows) == ["clean images", "mean training image", "floor"]
    assert float(rows["floor"]["ce"]) == 0
    x = what.data.inputs(what.data.test.batch(torch.arange(sketch.count)).images)
    output = what.model(x).output[:, :, 8:].detach()
    signs = 2.0 * (x[:, :, 8:] > 0.5) - 1
    ce = -torch.nn.functional.logsigmoid(signs * output).sum((1, 2, 3)).mean()
    assert float(rows["clean images"]["ce"]) == pytest.approx(float(ce), rel=1e-5)
    with np.load(tmp_path / "reconstructions.npz") as data:
        np.testing.assert_array_equal(data["target"][:, :, 8:], data["original"][:, :, 8:] > 0.5)
        np.testing.assert_array_equal(data["target"][:, :, :8], data["clean"][:, :, :8])


@pytest.mark.parametrize("images", [1, 25])
def test_colours_and_odd_counts_are_drawn(
    images: int, sketch: SimpleNamespace, tmp_path: Path
) -> None:
    what = sketch.trained(tmp_path, channels=3)
    files = sketch.run(Reconstructions(images, 100), what, tmp_path)
    assert all(path.stat().st_size for path in files)


def test_numbers_come_again(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, corrupts=True)
    for name in ("a", "b"):
        sketch.run(Reconstructions(3, 5), what, tmp_path / name)
    for file in sorted((tmp_path / "a").glob("*.[cp][sn][vg]")):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("name", ["images", "first"])
def test_a_count_below_one(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=0: at least 1 is needed\.$"):
        Reconstructions(**{name: 0})
