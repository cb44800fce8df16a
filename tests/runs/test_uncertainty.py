from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ibdrop import merit
from ibdrop.data.base import ImageData, ImageSpec, StaticImages
from ibdrop.models.base import NoisyLayer, Prediction
from ibdrop.noise.base import Noise
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.runs.subject import Network, Sampling, draws_noise, of_probabilities
from ibdrop.runs.uncertainty import BLOCK, Questions, ask, investigate
from ibdrop.sampling.predictive import Predictive

CLASSES = ("dark", "grey", "light")
SPEC = ImageSpec(1, 4, 4, CLASSES)


class Tiny(nn.Module):
    """Reads the pixels through one noisy layer with batch norm."""

    def __init__(self, noise: type[Noise] = BinaryNoise, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layer = NoisyLayer(nn.Linear(16, 24), nn.BatchNorm1d(24), "relu", noise(24))
            self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor, sample: bool = False) -> Prediction:
        noisy = self.layer(x.flatten(1), sample)
        return Prediction(self.head(noisy.z), {"D0": noisy})


class Sure(nn.Module):
    """Is sure of dark and light images, and has no idea of grey ones."""

    def forward(self, x: Tensor, sample: bool = False) -> Prediction:
        brightness = x.flatten(1).mean(1)
        return Prediction(200 * (brightness[:, None] - 0.5) * torch.tensor([-1.0, 0, 1]), {})


def images(count: int, seed: int = 0) -> StaticImages:
    draws = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 4, 4), generator=draws, dtype=torch.uint8)
    return StaticImages(pixels, torch.randint(0, 3, (count,), generator=draws))


def flat(value: int, count: int) -> StaticImages:
    pixels = torch.full((count, 1, 4, 4), value, dtype=torch.uint8)
    return StaticImages(pixels, torch.zeros(count, dtype=torch.int64))


def data(test: StaticImages) -> ImageData:
    return ImageData("made", SPEC, test, test, test)


def test_without_sampling_only_the_deterministic_row() -> None:
    found = investigate(Network(Tiny().eval(), 0, None), data(images(60)), Questions())
    assert [row["prediction"] for row in found.rows] == ["deterministic"]
    assert found.clean.found.means.shape == (1, 60, 3)


def test_the_monte_carlo_row_stands_beside_the_deterministic_one() -> None:
    network = Network(Tiny().eval(), 0, Sampling(passes=20))
    found = investigate(network, data(images(60)), Questions())
    plain, noisy = found.rows
    assert (plain["prediction"], noisy["prediction"]) == ("deterministic", "monte carlo")
    assert noisy["passes"] == 20
    assert noisy["nll_se"] > 0
    assert noisy["mean_mutual_information"] > 0
    alone = investigate(Network(Tiny().eval(), 0, None), data(images(60)), Questions()).rows[0]
    assert plain["nll"] == pytest.approx(alone["nll"], rel=1e-6)


def test_the_model_is_afterwards_what_it_was() -> None:
    model = Tiny().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, modules = torch.get_rng_state(), [module.training for module in model.modules()]
    investigate(Network(model, 0, Sampling(passes=4)), data(images(30)), Questions())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modules
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_images_come_in_fixed_blocks_and_are_all_answered() -> None:
    sizes: list[int] = []
    network = Network(Tiny().eval(), 0, None)
    answer, labels = ask(network, images(2 * BLOCK + 7), torch.Tensor.float, on_block=sizes.append)
    assert sizes == [BLOCK, BLOCK, 7]
    assert torch.equal(labels, images(2 * BLOCK + 7).labels)
    assert answer.found.mean.shape == (2 * BLOCK + 7, 3)


def test_what_is_said_of_an_image_does_not_depend_on_how_many_follow() -> None:
    network = Network(Tiny().eval(), 0, Sampling(passes=10))
    long, _ = ask(network, images(40), torch.Tensor.float)
    short, _ = ask(network, images(40), torch.Tensor.float, limit=9)
    torch.testing.assert_close(short.found.mean, long.found.mean[:9], rtol=1e-5, atol=1e-5)


def test_outliers_are_scored_by_their_own_entropy() -> None:
    # torch-uncertainty 0.8.0 fed its out-of-distribution entropy with the test images instead.
    questions = Questions(outliers={"grey": flat(127, 30), "light": flat(255, 20)})
    found = investigate(Network(Sure(), 0, None), data(flat(0, 40)), questions)
    assert found.clean.found.entropy.max() < 1e-6
    assert found.outside["grey"].entropy.min() > 0.9
    inside = merit.scores(found.clean.found)["entropy"]
    grey, light = (merit.scores(found.outside[name])["entropy"] for name in ("grey", "light"))
    assert merit.detection(inside, grey)["auroc"] == 1
    assert merit.detection(inside, light)["auroc"] == pytest.approx(0.5, abs=1e-9)


def test_corrupted_rows_name_what_was_done() -> None:
    from ibdrop.data.corruptions import CORRUPTIONS

    name = next(iter(CORRUPTIONS))
    questions = Questions([name], [1, 5], limit=20)
    watched: list[str] = []
    found = investigate(
        Network(Tiny().eval(), 0, Sampling(passes=2)),
        data(images(30)),
        questions,
        lambda name, count: watched.append(name),
    )
    assert [(r["corruption"], r["severity"]) for r in found.corrupted[::2]] == [
        ("clean", 0),
        (name, 1),
        (name, 5),
    ]
    assert {row["images"] for row in found.corrupted} == {20}
    assert watched == ["test", f"{name} 1", f"{name} 5"]
    assert questions.images(data(images(30))) == 60


def test_no_corruptions_no_rows() -> None:
    found = investigate(Network(Tiny().eval(), 0, None), data(images(30)), Questions())
    assert found.corrupted == []


def test_which_networks_draw_noise() -> None:
    assert draws_noise(Tiny())
    assert not draws_noise(Tiny(NoNoise))
    assert not draws_noise(nn.Linear(2, 2))


def test_distributions_as_passes() -> None:
    logits = torch.randn(4, 6, 3, dtype=torch.float64)
    found, same = of_probabilities(logits.softmax(-1)), Predictive.of_logits(logits)
    for name in ("mean", "entropy", "mutual_information", "variance", "logit_mean"):
        torch.testing.assert_close(getattr(found, name), getattr(same, name))
    certain = of_probabilities(torch.tensor([[[1.0, 0.0, 0.0]]]))
    assert certain.entropy.item() == 0
    assert certain.logit_mean.isfinite().all()
