"""Any classifier of torchvision, with its published weights or without."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision import models  # type: ignore[import-untyped]
from torchvision.models import WeightsEnum  # type: ignore[import-untyped]

from ibdrop.errors import DataError
from ibdrop.models.base import Prediction
from ibdrop.noise.base import NoiseFactory

__all__ = ["Torchvision", "categories", "published", "sides"]

WITH_SIDE = ("vit_",)
"""Networks that must be told the side of their images when they are made."""

WITH_AUXILIARIES = ("googlenet", "inception_v3")
"""Networks with further heads, which only train, and with an argument that undoes a norm."""


class Torchvision(nn.Module):
    r"""A classifier of torchvision by its name.

    Pixels come in [0, 1], as `dataset.normalise=unit` gives them. With published weights each
    channel is normalised inside by what these weights were trained with (for most the mean
    .485, .456, .406 and the deviation .229, .224, .225 of ImageNet). A grey image is repeated on
    three channels: the same as a first convolution whose kernels are summed over the channels,
    and it needs no change of the network. Where the number of classes is not that of the
    weights, the last layer is new.

    The network has no layers for our noise: whatever noise is chosen is not used, and what
    dropout torchvision has inside works in training only, whatever `sample` says.

    The weights are not read here but by `load_pretrained`, once a new network is wanted: a
    checkpoint of ours holds its own.

    Arguments:
        in_channels: 1 or 3 channels.
        image_size: Height and width in pixels.
        num_classes: The number of classes :math:`K`.
        noise: Not used.
        name: The name in torchvision, such as `resnet18` or `vgg19`.
        weights: Published weights, such as `DEFAULT` or `IMAGENET1K_V1`; `None` for random ones.

    Raises:
        ValueError: There is no such network, no such weights, or it cannot take such images.
    """

    uses_noise: ClassVar[bool] = False
    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        name: str = "resnet18",
        weights: str | None = None,
    ) -> None:
        super().__init__()
        if in_channels not in (1, 3):
            raise ValueError(f"{name} reads 1 or 3 channels, not {in_channels}.")
        self.name, self.weights = name, published(name, weights)
        options = _options(name, image_size, self.weights)
        _refuse_size(name, image_size, options)
        self.net = models.get_model(name, weights=None, num_classes=num_classes, **options)
        mean, deviation = _norm(self.weights)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    @property
    def pretrained(self) -> bool:
        """Whether a new network of this kind begins with published weights."""
        return self.weights is not None

    def load_pretrained(self) -> None:
        """Takes over the published weights, which torchvision fetches unless it has them.

        Raises:
            DataError: They are not here and cannot be fetched, or are damaged.
            ValueError: They do not fit images of this size.
        """
        assert self.weights is not None
        own = self.net.state_dict()
        given = _fetched(self.name, self.weights)
        head = [key for key in own if key in given and _classes(own[key], given[key])]
        wrong = [
            key
            for key in own
            if key not in head and (key not in given or own[key].shape != given[key].shape)
        ]
        wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
        if wrong:
            raise ValueError(
                f"weights={self.weights.name}: {wrong[0]} does not fit the network at this size "
                f"of image; these weights are for {sides(self.weights)[1]} pixels."
            )
        kept = {key: value for key, value in given.items() if key in own and key not in head}
        self.net.load_state_dict(kept, strict=False)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        """Classifies images.

        Arguments:
            images: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
            sample: Not used; there is no noise.
        """
        x = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        if self.weights is not None:
            x = (x - self.mean) / self.deviation
        made = self.net(x)
        return Prediction(made if isinstance(made, Tensor) else made[0], {})


def published(name: str, weights: str | None) -> WeightsEnum | None:
    """The published weights of a network; `None` where random ones are wanted.

    Raises:
        ValueError: There is no such network or no such weights; near names are told.
    """
    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"name={name}: torchvision has no such classifier; {_near(name, known)}")
    if weights is None:
        return None
    offered: Any = models.get_model_weights(name)
    if weights not in offered.__members__:
        choices = ", ".join(offered.__members__)
        raise ValueError(f"weights={weights}: {name} has {choices}, or null for random ones.")
    found: WeightsEnum = offered[weights]
    return found


def categories(name: str, weights: str | None) -> tuple[str, ...]:
    """The classes of published weights; numbers for ImageNet's 1000 where there are none."""
    found = published(name, weights)
    return tuple(map(str, range(1000))) if found is None else tuple(found.meta["categories"])


def sides(weights: WeightsEnum | None) -> tuple[int, int]:
    """The shorter side that pictures are brought to, and that of the crop, in pixels."""
    if weights is None:
        return 256, 224
    how = weights.transforms()
    return int(how.resize_size[0]), int(how.crop_size[0])


def _options(
    name: str, image_size: tuple[int, int], weights: WeightsEnum | None
) -> dict[str, object]:
    found: dict[str, object] = {}
    if name.startswith(WITH_SIDE):
        if image_size[0] != image_size[1]:
            raise ValueError(f"{name} needs square images, not {_by(image_size)} pixels.")
        found["image_size"] = image_size[0]
    if name in WITH_AUXILIARIES:
        # Pictures reach such weights as others do; they undo that norm themselves.
        found |= {"transform_input": weights is not None, "aux_logits": False}
        found["init_weights"] = True
    return found


def _refuse_size(name: str, image_size: tuple[int, int], options: Mapping[str, object]) -> None:
    """Sends an image without values through a network without weights."""
    try:
        with torch.device("meta"):
            models.get_model(name, weights=None, **options).eval()(torch.empty(1, 3, *image_size))
    except (RuntimeError, ValueError, AssertionError) as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"{name} cannot take images of {_by(image_size)} pixels ({said}); "
            "choose larger ones, such as 224 x 224, or another network."
        ) from error


def _by(image_size: tuple[int, int]) -> str:
    return f"{image_size[0]} x {image_size[1]}"


def _norm(weights: WeightsEnum | None) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, with shape (3, 1, 1)."""
    if weights is None:
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    how = weights.transforms()
    return torch.tensor(how.mean).view(3, 1, 1), torch.tensor(how.std).view(3, 1, 1)


def _classes(own: Tensor, given: Tensor) -> bool:
    """Whether two tensors belong to last layers of different numbers of classes."""
    return own.ndim == given.ndim and own.shape[0] != given.shape[0] == 1000


def _fetched(name: str, weights: WeightsEnum) -> dict[str, Tensor]:
    """Reads weights from torch's cache, where torchvision puts them if they are not there.

    They pass through torchvision's own network, which knows the old names in some files.

    Raises:
        DataError: They cannot be fetched, or are damaged.
    """
    place = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(weights.url).path).name
    try:
        found: dict[str, Tensor] = models.get_model(name, weights=weights).state_dict()
    except Exception as error:  # Sockets, certificates, disks and zip files all have their own.
        said = (str(error).splitlines() or [type(error).__name__])[0]
        if place.is_file():
            raise DataError(
                f"the weights in {place} are damaged ({said}); delete that file and try again"
            ) from error
        raise DataError(
            f"the weights {weights.name} could not be fetched from {weights.url} ({said}); "
            f"put that file at {place}, or take random weights with model.weights=null"
        ) from error
    return found


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}."
