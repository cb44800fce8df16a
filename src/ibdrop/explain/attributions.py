"""Ways to explain without a mask, by captum, beside which masks and KL maps are judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.explain.base import PAPER_SIDE, Score
from ibdrop.explain.untouched import untouched

__all__ = [
    "ATTRIBUTIONS",
    "Attribution",
    "GradCAM",
    "Gradient",
    "IntegratedGradients",
    "Occlusion",
    "attribution",
    "last_map",
]

ROWS = 256
"""Pictures that go through the network at once where a method asks for many of each image."""


class Attribution(ABC):
    """A way to say how much each pixel matters for the score, which must be without noise.

    Attributes:
        name: The word for it on the command line and in tables.
    """

    name: ClassVar[str]

    def __call__(self, model: nn.Module, score: Score, pixels: Tensor) -> Tensor:
        """Makes maps; the network is afterwards exactly what it was.

        Arguments:
            model: The network that the score asks.
            score: What is asked of it.
            pixels: Pictures in [0, 1], with shape :math:`(B, C, H, W)`.

        Returns:
            Maps that are nowhere negative, with shape :math:`(B, H, W)`.

        Raises:
            ValueError: captum is not installed, or the network has no layer to look at.
        """
        x = pixels.detach().clone().requires_grad_()
        image = torch.arange(len(x), device=x.device)
        with untouched(model):
            return self._maps(model, score, x, image).detach()

    @abstractmethod
    def _maps(self, model: nn.Module, score: Score, x: Tensor, image: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Gradient(Attribution):
    r"""The absolute gradient, of the channels the largest.

    .. math:: m_{yx} = \max_c \Bigl| \frac{\partial f}{\partial x_{cyx}} \Bigr|

    References:
        Simonyan, Vedaldi & Zisserman, 2014, arXiv 1312.6034, section 3.
    """

    name = "gradient"

    def _maps(self, model: nn.Module, score: Score, x: Tensor, image: Tensor) -> Tensor:
        saliency = _captum("Saliency")(score)
        found: Tensor = saliency.attribute(x, abs=True, additional_forward_args=(image,))
        return found.amax(1)


@dataclass(frozen=True)
class IntegratedGradients(Attribution):
    r"""Gradients along the straight way from a plain picture, summed over channels.

    .. math:: a = (x - x') \int_0^1 \nabla f(x' + t (x - x')) \, dt, \quad
        m_{yx} = \max\Bigl(0, \sum_c a_{cyx}\Bigr)

    by Gauss-Legendre quadrature. All :math:`a` sum to :math:`f(x) - f(x')` (completeness).

    References:
        Sundararajan, Taly & Yan, 2017, arXiv 1703.01365.

    Arguments:
        steps: Points of the quadrature.
        level: The grey level of :math:`x'`, from 0 (black) to 1.

    Raises:
        ValueError: `steps` is under 1.
    """

    name = "integrated_gradients"
    steps: int = 32
    level: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps}: must be 1 or more.")

    def signed(self, score: Score, x: Tensor, image: Tensor) -> Tensor:
        """What each value adds to the score, with shape :math:`(B, C, H, W)`."""
        method = _captum("IntegratedGradients")(score)
        found: Tensor = method.attribute(
            x,
            baselines=self.level,
            n_steps=self.steps,
            internal_batch_size=max(ROWS, len(x)),
            additional_forward_args=(image,),
        )
        return found

    def _maps(self, model: nn.Module, score: Score, x: Tensor, image: Tensor) -> Tensor:
        return self.signed(score, x, image).sum(1).clamp_min(0).to(x.dtype)


@dataclass(frozen=True)
class Occlusion(Attribution):
    """By how much the score falls while a square window is plain; of overlapping windows the mean.

    References:
        Zeiler & Fergus, 2014, arXiv 1311.2901, section 4.2.

    Arguments:
        window: The side of the window in pixels of a picture of 224.
        level: The grey level in the window, from 0 (black) to 1.

    Raises:
        ValueError: `window` is not positive.
    """

    name = "occlusion"
    window: float = 32.0
    level: float = 0.0

    def __post_init__(self) -> None:
        if not self.window > 0:
            raise ValueError(f"window={self.window}: must be more than 0 pixels.")

    def side(self, height: int, width: int) -> int:
        """The side of the window on pictures of this size; it moves on by half of that."""
        return max(1, round(self.window * min(height, width) / PAPER_SIDE))

    def _maps(self, model: nn.Module, score: Score, x: Tensor, image: Tensor) -> Tensor:
        channels, side = x.shape[1], self.side(*x.shape[2:])
        with torch.no_grad():
            found: Tensor = _captum("Occlusion")(score).attribute(
                x.detach(),
                sliding_window_shapes=(channels, side, side),
                strides=(channels, max(1, side // 2), max(1, side // 2)),
                baselines=self.level,
                perturbations_per_eval=max(1, ROWS // len(x)),
                additional_forward_args=(image,),
            )
        return found[:, 0].clamp_min(0).to(x.dtype)


@dataclass(frozen=True)
class GradCAM(Attribution):
    r"""The maps of the last convolution, weighted by their mean gradients.

    .. math:: m_u = \max\Bigl(0, \sum_k A_{ku} \frac{1}{P}
        \sum_v \frac{\partial f}{\partial A_{kv}}\Bigr)

    :math:`A` is what leaves the last convolution that has more than one position, with norm and
    activation if they follow at its size. In an All-CNN these are the maps of the classes, of
    which the logits are means: Grad-CAM of a logit is then the map of the class itself (CAM).

    References:
        Selvaraju et al., 2017, arXiv 1610.02391, equations 1 and 2.

    Arguments:
        enlarge: Whether to interpolate linearly to the size of the picture; if not, the maps
            have the shape :math:`(B, h, w)` of the layer.
    """

    name = "grad_cam"
    enlarge: bool = True

    def _maps(self, model: nn.Module, score: Score, x: Tensor, image: Tensor) -> Tensor:
        method = _captum("LayerGradCam")
        layer = last_map(model, lambda: score(x[:1], image[:1]))
        found: Tensor = method(score, layer).attribute(
            x, additional_forward_args=(image,), relu_attributions=True
        )
        if self.enlarge:
            found = F.interpolate(found, x.shape[2:], mode="bilinear")
        return found[:, 0]


ATTRIBUTIONS: dict[str, type[Attribution]] = {
    kind.name: kind for kind in (Gradient, IntegratedGradients, Occlusion, GradCAM)
}


def attribution(name: str, **options: Any) -> Attribution:
    """Makes an attribution by its name.

    Raises:
        ValueError: There is no such one.
    """
    if name not in ATTRIBUTIONS:
        raise ValueError(f"'{name}' is no attribution; there are {', '.join(ATTRIBUTIONS)}.")
    return ATTRIBUTIONS[name](**options)


@torch.no_grad()
def last_map(model: nn.Module, look: Callable[[], object]) -> nn.Module:
    """Finds the layer that Grad-CAM looks at, by watching a picture go through the network.

    Arguments:
        model: The network.
        look: Sends a picture through it.

    Raises:
        ValueError: No convolution has more than one position.
    """
    seen: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        shape = output.shape[2:] if isinstance(output, Tensor) and output.ndim == 4 else ()
        seen.append((module, tuple(shape)))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        look()
    finally:
        for handle in handles:
            handle.remove()
    return _last(seen)


def _last(seen: list[tuple[nn.Module, tuple[int, ...]]]) -> nn.Module:
    """The last convolution, or what follows it at its size; a module met twice is ambiguous."""
    places = [
        place
        for place, (module, shape) in enumerate(seen)
        if isinstance(module, nn.Conv2d) and shape and max(shape) > 1
    ]
    if not places:
        raise ValueError("grad_cam needs a convolution with positions; this network has none.")
    layer, size = seen[places[-1]]
    met = Counter(module for module, _ in seen)
    for module, shape in seen[places[-1] + 1 :]:
        if shape != size:
            break
        layer = module if met[module] == 1 else layer
    return layer


def _captum(name: str) -> Any:
    try:
        return getattr(import_module("captum.attr"), name)
    except ImportError:
        raise ValueError(
            "gradient, integrated_gradients, occlusion and grad_cam need captum, which is not"
            " installed; `pip install 'ibdrop[captum]'` brings it."
        ) from None
