"""Classifiers of torchvision; nothing is downloaded, weights are made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torchvision import models  # type: ignore[import-untyped]

from ibdrop import build
from ibdrop.data.base import ImageSpec
from ibdrop.errors import DataError
from ibdrop.models.torchvision import Torchvision, categories, published, sides
from ibdrop.noise.baselines import NoNoise

SMALL = "squeezenet1_1"
FETCH = "torchvision.models._api.load_state_dict_from_url"
URL = models.get_model_weights(SMALL)["IMAGENET1K_V1"].url


def network(
    name: str = SMALL, *, channels: int = 3, side: int = 32, **options: Any
) -> Torchvision:
    torch.manual_seed(0)
    return Torchvision(channels, (side, side), 5, NoNoise, name=name, **options).eval()


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Weights as if they had been fetched."""
    torch.manual_seed(7)
    state: dict[str, Tensor] = models.get_model(SMALL, weights=None).state_dict()
    monkeypatch.setattr(FETCH, lambda url, **_: state)
    return state


def test_a_network_by_its_name_classifies() -> None:
    found = network(side=40)(torch.rand(3, 3, 40, 40))
    assert found.logits.shape == (3, 5)
    assert found.layers == found.kls == {}


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "vit_b_32"])
def test_one_answer_also_of_networks_with_further_heads(name: str) -> None:
    module = network(name, side=64).train()
    assert module(torch.rand(2, 3, 64, 64)).logits.shape == (2, 5)


def test_grey_is_the_sum_of_the_kernels_over_colours() -> None:
    module = network("resnet18", channels=1)
    summed = network("resnet18", channels=1).net
    first = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    first.weight = nn.Parameter(summed.conv1.weight.sum(1, keepdim=True))
    summed.conv1 = first
    x = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(module(x).logits, summed.eval()(x))


def test_sampling_changes_nothing() -> None:
    module, x = network(), torch.rand(2, 3, 32, 32)
    assert torch.equal(module(x, sample=True).logits, module(x, sample=False).logits)


def test_published_weights_read_normalised_pixels(weights: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    module = Torchvision(3, (32, 32), 1000, NoNoise, name=SMALL, weights="DEFAULT").eval()
    module.load_pretrained()
    plain = models.get_model(SMALL, weights=None).eval()
    plain.load_state_dict(weights)
    x = torch.rand(2, 3, 32, 32)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (x - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close(module(x).logits, plain(normalised))


def test_for_other_classes_the_last_layer_alone_is_new(weights: dict[str, Tensor]) -> None:
    module = network(weights="IMAGENET1K_V1")
    fresh = module.net.state_dict()["classifier.1.weight"].clone()
    module.load_pretrained()
    own = module.net.state_dict()
    assert torch.equal(own["classifier.1.weight"], fresh)
    assert fresh.shape[0] == 5
    others = [key for key in own if not key.startswith("classifier.1")]
    assert len(others) == len(own) - 2
    assert all(torch.equal(own[key], weights[key]) for key in others)


def config(weights: str | None) -> dict[str, Any]:
    node = {"_target_": "ibdrop.models.torchvision.Torchvision", "name": SMALL}
    return {
        "seed": 0,
        "trainer": {"channels_last": False},
        "model": {**node, "weights": weights},
        "noise": {"_target_": "ibdrop.noise.baselines.NoNoise", "_partial_": True},
        "init": {"_target_": "ibdrop.initialisers.he_normal", "_partial_": True},
    }


def test_no_initialisation_overwrites_published_weights(weights: dict[str, Tensor]) -> None:
    spec = ImageSpec(3, 32, 32, tuple("abcde"))
    key = "features.0.weight"
    made = build.model(config("DEFAULT"), spec)
    assert torch.equal(made.net.state_dict()[key], weights[key])  # type: ignore[union-attr]
    fresh = build.model(config(None), spec)
    assert fresh.net.state_dict()["features.0.bias"].count_nonzero() == 0  # type: ignore[union-attr]


def test_a_checkpoint_needs_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, **_: object) -> None:
        raise AssertionError(url)

    monkeypatch.setattr(FETCH, refuse)
    spec = ImageSpec(3, 32, 32, tuple("abcde"))
    assert build.model(config("DEFAULT"), spec, published=False).pretrained


def test_without_a_connection_it_says_what_to_put_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(url: str, **_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(FETCH, refuse)
    with pytest.raises(DataError) as caught:
        network(weights="DEFAULT").load_pretrained()
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    assert str(caught.value) == (
        f"the weights IMAGENET1K_V1 could not be fetched from {URL} (<urlopen error no route to "
        f"host>); put that file at {file}, or take random weights with model.weights=null"
    )


def test_a_damaged_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    file.write_text("half a file")
    with pytest.raises(DataError, match=r"^the weights in .*b8a52dc0\.pth are damaged \(.*delete"):
        network(weights="DEFAULT").load_pretrained()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "resnet19"}, r"^name=resnet19: torchvision has .*did you mean resnet1.*\?$"),
        ({"name": "#"}, r"^name=#: torchvision has no such classifier; it has alexnet, .*50_2\.$"),
        ({"weights": "BEST"}, "^weights=BEST: squeezenet1_1 has IMAGENET1K_V1, DEFAULT, or null"),
        ({"channels": 2}, "^squeezenet1_1 reads 1 or 3 channels, not 2.$"),
        ({"side": 8}, r"^squeezenet1_1 cannot take images of 8 x 8 pixels \(.*\); choose larger"),
        ({"name": "vit_b_16", "side": 40}, "^vit_b_16 cannot take images of 40 x 40 pixels"),
    ],
)
def test_what_cannot_be_made(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        network(**options)


def test_vision_transformers_need_squares() -> None:
    with pytest.raises(ValueError, match="^vit_b_32 needs square images, not 32 x 64 pixels.$"):
        Torchvision(3, (32, 64), 5, NoNoise, name="vit_b_32")


@pytest.mark.slow
def test_weights_for_another_size(monkeypatch: pytest.MonkeyPatch) -> None:
    state = models.get_model("vit_b_32", weights=None).state_dict()
    monkeypatch.setattr(FETCH, lambda url, **_: state)
    sentence = "pos_embedding does not fit the network at this size of image; .* for 224 pixels"
    with pytest.raises(ValueError, match=sentence):
        network("vit_b_32", side=64, weights="DEFAULT").load_pretrained()


def test_what_weights_say_of_pictures_and_classes() -> None:
    assert sides(published("vgg19", "DEFAULT")) == (256, 224)
    assert sides(published("inception_v3", "DEFAULT")) == (342, 299)
    assert sides(None) == (256, 224)
    assert categories("vgg19", "DEFAULT")[373] == "macaque"
    assert categories("vgg19", None)[373] == "373"
