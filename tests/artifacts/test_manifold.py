from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibdrop.artifacts.manifold import Manifold, choose_pairs, grids


def test_a_grid_decodes_the_codes_it_names(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, width=2)
    files = sketch.run(Manifold(side=5, pairs=3, steps=4), what, tmp_path)
    assert [path.name for path in files] == [
        "manifold.png",
        "interpolations.png",
        "manifold.npz",
        "interpolations.npz",
    ]
    with np.load(tmp_path / "manifold.npz") as data:
        x, y = data["linear_x"], data["linear_y"]
        code = torch.tensor([[x[4], y[1]]])
        wanted = what.model.means(what.model.decode(code))[0].detach()
        np.testing.assert_allclose(data["linear_images"][1, 4], wanted, atol=1e-3)
        np.testing.assert_allclose(np.diff(x), np.diff(x)[0], rtol=1e-4)


def test_grids_span_almost_all_codes_in_steps_and_in_ratios() -> None:
    codes = torch.linspace(1, 1001, 1001)[:, None] * torch.tensor([[1.0, 0.01]])
    made = grids(codes, 7)
    across, up = made["linear"]
    assert across[0].item() == pytest.approx(6)
    assert across[-1].item() == pytest.approx(996)
    torch.testing.assert_close(up, across / 100)
    ratios = made["log"][0][1:] / made["log"][0][:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(6))
    assert list(grids(codes - 2, 7)) == ["linear"]


def test_lines_end_at_the_images_own_codes(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, width=5, channels=3)
    sketch.run(Manifold(pairs=4, steps=3), what, tmp_path)
    with np.load(tmp_path / "interpolations.npz") as data:
        x = what.data.inputs(what.data.test.batch(torch.from_numpy(data["index"][:, 1])).images)
        made = what.model(x)
        np.testing.assert_allclose(data["images"][:, 1], x, atol=1e-3)
        last = what.model.means(made.output).detach()
        np.testing.assert_allclose(data["between"][:, -1], last, atol=1e-3)
        first = what.data.inputs(what.data.test.batch(torch.tensor(data["index"][:, 0])).images)
        middle = (what.model(first).code + made.code) / 2
        wanted = what.model.means(what.model.decode(middle)).detach()
        np.testing.assert_allclose(data["between"][:, 1], wanted, atol=1e-3)


def test_pairs_are_of_two_classes_where_there_are_two() -> None:
    labels = torch.tensor([0] * 50 + [1, 2])
    index = torch.arange(100, 152)
    pairs = choose_pairs(index, labels, 30, 0)
    own = labels[pairs - 100]
    assert bool((own[:, 0] != own[:, 1]).all())
    assert torch.equal(pairs, choose_pairs(index, labels, 30, 0))
    alone = choose_pairs(index, torch.zeros_like(labels), 30, 0)
    assert bool((alone[:, 0] != alone[:, 1]).all())


def test_draws_are_keyed_by_the_seed(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path, width=4, prior=True)
    codes = []
    for count in (6, 9):
        torch.manual_seed(count)
        sketch.run(Manifold(samples=count), what, tmp_path)
        with np.load(tmp_path / "samples.npz") as data:
            codes.append(data["codes"])
    np.testing.assert_array_equal(codes[0], codes[1][:6])
    assert codes[1].std() > 0.5


def test_without_a_prior_there_are_no_draws(sketch: SimpleNamespace, tmp_path: Path) -> None:
    files = sketch.run(Manifold(), sketch.trained(tmp_path, width=4), tmp_path)
    assert [path.name for path in files] == ["interpolations.png", "interpolations.npz"]


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("side", 1, 2), ("pairs", 0, 1), ("steps", 1, 2), ("samples", 0, 1)],
)
def test_a_count_too_small(name: str, value: int, least: int) -> None:
    with pytest.raises(ValueError, match=rf"^{name}={value}: at least {least} is needed\.$"):
        Manifold(**{name: value})
