from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.bounds import LikelihoodBounds
from ibdrop.data.base import ImageData, ImageSpec, StaticImages
from ibdrop.files import read_csv
from ibdrop.merit.bounds import elbo_and_nll
from ibdrop.models.vae import VAE
from ibdrop.noise.information import InformationNoise
from ibdrop.seeds import key

PIXELS = torch.randint(
    0, 256, (13, 1, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)


def trained(folder: Path, latent: str) -> Trained:
    torch.manual_seed(0)
    images = StaticImages(PIXELS, torch.zeros(13, dtype=torch.int64))
    data = ImageData("tiny", ImageSpec(1, 4, 4, ("a", "b")), images, images, images)
    network = VAE(1, (4, 4), 2, InformationNoise, latent=latent, hidden=[5]).eval()
    return Trained(network, data, torch.device("cpu"), 0, lambda: network, folder)


def written(folder: Path, latent: str, size: int, images: int = 9) -> list[Path]:
    artifact, of = LikelihoodBounds([1, 4, 16], images), trained(folder, latent)
    artifact.begin(of)
    for index in torch.arange(13).split(size):
        batch = of.data.test.batch(index)
        artifact.update(batch, of.model(of.data.inputs(batch.images), sample=False))
    return artifact.write(folder)


def test_bounds_are_those_of_the_first_images_in_any_batches(tmp_path: Path) -> None:
    tables = []
    for size in (1, 5, 13):
        (tmp_path / str(size)).mkdir()
        files = written(tmp_path / str(size), "gaussian", size)
        assert [file.name for file in files] == ["bounds.png", "bounds.csv", "bounds_summary.csv"]
        tables.append(read_csv(files[1]))
    assert [row["index"] for row in tables[0]] == [str(n) for n in range(9)]
    of = trained(tmp_path, "gaussian")
    found = elbo_and_nll(of.model, of.data.inputs(PIXELS[:9]), torch.arange(9), key("bounds"), 16)
    assert found is not None
    for table in tables:
        bounds = torch.tensor([float(row["bound_16"]) for row in table], dtype=torch.float64)
        assert torch.allclose(bounds, found.bound, rtol=1e-6)


def test_the_means_fall_with_the_number_of_codes(tmp_path: Path) -> None:
    rows = read_csv(written(tmp_path, "gaussian", 13, images=13)[2])
    assert [row["samples"] for row in rows] == ["1", "4", "16"]
    assert {row["images"] for row in rows} == {"13"}
    nll = [float(row["nll"]) for row in rows]
    assert nll[2] < nll[1] < nll[0] + 0.5
    assert nll[2] <= -float(rows[2]["elbo"])


def test_nothing_is_said_where_there_is_no_bound(tmp_path: Path) -> None:
    assert written(tmp_path, "information", 13) == []


@pytest.mark.parametrize(
    ("samples", "images", "message"),
    [
        ([], 5, r"^samples is \[\]; at least one number from 1 on is needed$"),
        ([0], 5, r"^samples is \[0\]; at least one number from 1 on is needed$"),
        ([1], 0, r"^images is 0; at least 1 is needed$"),
    ],
)
def test_what_cannot_be_drawn_is_refused(samples: list[int], images: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LikelihoodBounds(samples, images)
