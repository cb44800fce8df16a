from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibdrop.artifacts.latents import Latents, principal
from ibdrop.files import read_csv


def codes_of(what: SimpleNamespace, count: int) -> torch.Tensor:
    x = what.data.inputs(what.data.test.batch(torch.arange(count)).images)
    codes: torch.Tensor = what.model(x).code.detach()
    return codes


def test_codes_of_two_units_are_drawn_as_they_are(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, width=2)
    files = sketch.run(Latents(images=30), what, tmp_path)
    assert [path.name for path in files] == [
        "latent_scatter.png",
        "latent_histograms.png",
        "latent_units.csv",
        "latent_histograms.csv",
        "latent_codes.npz",
    ]
    with np.load(tmp_path / "latent_codes.npz") as data:
        np.testing.assert_allclose(data["points"], codes_of(what, 30), rtol=1e-5)
        assert data["labels"].tolist() == [i % 3 for i in range(30)]


def test_longer_codes_are_drawn_by_their_principal_components() -> None:
    codes = torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    codes *= torch.tensor([1.0, 5.0, 2.0, 0.5, 3.0, 1.0], dtype=torch.float64)
    points, shares = principal(codes)
    apart = codes - codes.mean(0)
    _, lengths, axes = torch.linalg.svd(apart, full_matrices=False)
    wanted = apart @ axes[:2].T
    torch.testing.assert_close(points.abs(), wanted.abs(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shares, lengths[:2].square() / lengths.square().sum())
    # The sign is fixed: mirrored codes give mirrored points, and no machine turns them around.
    for column in range(2):
        line = apart.T @ points[:, column]
        assert line[line.abs().argmax()] > 0


def test_units_and_histograms_are_counted(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, width=4, positive=True)
    sketch.run(Latents(images=1000), what, tmp_path)
    codes = codes_of(what, sketch.count)
    units = read_csv(tmp_path / "latent_units.csv")
    assert len(units) == 4
    zeros = (codes == 0).double().mean(0)
    assert [float(row["share_zero"]) for row in units] == pytest.approx(zeros.tolist())
    kl = -(0.1 + 0.2 * torch.sigmoid(codes)).log().mean(0)
    assert [float(row["kl_z"]) for row in units] == pytest.approx(kl.tolist(), rel=1e-5)
    rows = read_csv(tmp_path / "latent_histograms.csv")
    for quantity in ("activity", "alpha of z"):
        own = [row for row in rows if row["quantity"] == quantity]
        assert sum(int(row["count"]) for row in own) == codes.numel()
    alphas = [row for row in rows if row["quantity"] == "alpha of z"]
    assert float(alphas[0]["low"]) <= 0.2 <= float(alphas[0]["high"])
    assert {row["cap"] for row in alphas} == {"0.3"}


def test_what_cannot_be_drawn_is_left_out(sketch: SimpleNamespace, tmp_path: Path) -> None:
    files = sketch.run(Latents(), sketch.trained(tmp_path, width=1), tmp_path)
    assert [path.name for path in files] == [
        "latent_histograms.png",
        "latent_units.csv",
        "latent_histograms.csv",
    ]


def test_positive_codes_are_drawn_on_logarithmic_axes_too(
    sketch: SimpleNamespace, tmp_path: Path
) -> None:
    from ibdrop.artifacts.latent_pictures import draw_scatter

    what = sketch.trained(tmp_path, width=2, positive=True)
    archive = sketch.run(Latents(), what, tmp_path)[-1]
    with np.load(archive) as content:
        data = {name: content[name] for name in content.files}
    panels = {}
    for name, points in {"wide": np.logspace(-3, 2, 80), "narrow": 1 + np.arange(80) / 80}.items():
        data["points"] = points.reshape(40, 2)
        np.savez(archive, **data)
        panels[name] = draw_scatter(archive).axes
    assert [axes.get_xscale() for axes in panels["wide"]] == ["linear", "log"]
    assert [axes.get_xscale() for axes in panels["narrow"]] == ["linear"]


def test_equal_codes_have_a_histogram(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, width=2, positive=True)
    what.model.weights.data.zero_()
    assert all(path.stat().st_size for path in sketch.run(Latents(), what, tmp_path))


def test_too_few_images() -> None:
    with pytest.raises(ValueError, match=r"^images=1: at least 2 are needed\.$"):
        Latents(images=1)
