r"""What stands where a mask deletes: a colour, noise, the blurred picture, or each in turn.

All are blends, as in the authors' code:

.. math:: \Phi(x_0; m) = m \odot x_0 + (1 - m) \odot \text{fill}

Source: Fong & Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation
(2017), section 4.1, whose blur is printed with a width that varies with the mask; see
`ibdrop.explain.pyramid` for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.explain.base import Fill
from ibdrop.explain.blur import blurred, to_pixels
from ibdrop.sampling.designs import Draws
from ibdrop.seeds import key

__all__ = ["COLOURS", "Average", "Blend", "Blur", "Colour", "Constant", "Movable", "Noise"]

Colour = Literal["median", "mean"]
COLOURS: tuple[str, ...] = get_args(Colour)


class Blend:
    r"""Pictures whose deleted parts are replaced, :math:`m \odot x_0 + (1 - m) \odot e_t`.

    Arguments:
        x: Pictures :math:`x_0`, with shape :math:`(B, C, H, W)`.
        fill: Gives :math:`e_t` for step :math:`t`, in that shape or broadcast to it.
    """

    def __init__(self, x: Tensor, fill: Callable[[int], Tensor]) -> None:
        self.fill = fill
        self.image, self.last = Movable(x), Movable(x)

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        fill = self.fill(step)
        if fill is not self.last.x:
            self.last = Movable(fill)
        behind, image = (part(shift)[:, None] for part in (self.last, self.image))
        return torch.lerp(behind, image, m[:, :, None].to(image.dtype))


class Movable:
    """Pictures that move by whole pixels; the edge that comes free is repeated.

    Once there is room around them a move is only another view.

    Arguments:
        x: With shape :math:`(*, H, W)`; a single pixel stands for a colour and stays.
    """

    def __init__(self, x: Tensor) -> None:
        self.x, self.wide, self.room = x, x, 0

    def __call__(self, shift: tuple[int, int]) -> Tensor:
        """The pictures moved down and right by so many pixels, of either sign."""
        height, width = self.x.shape[-2:]
        if height * width == 1:
            return self.x
        room = max(map(abs, shift))
        if room > self.room:
            flat = self.x.reshape(-1, 1, height, width)
            wide = F.pad(flat, (room,) * 4, mode="replicate")
            self.room, self.wide = room, wide.view(*self.x.shape[:-2], *wide.shape[2:])
        top, left = (self.room - way for way in shift)
        return self.wide[..., top : top + height, left : left + width]


def colour(x: Tensor, level: float | Colour) -> Tensor:
    """One colour for each picture, with shape (B, C, 1, 1).

    Arguments:
        x: Pictures with shape :math:`(B, C, H, W)`.
        level: A brightness in [0, 1], the same in all channels, or what to take of the picture.
    """
    if level == "mean":
        return x.mean((2, 3), keepdim=True)
    if level == "median":
        return x.flatten(2).median(2).values[:, :, None, None]
    return torch.full_like(x[..., :1, :1], float(level))


def _check_level(name: str, level: float | Colour) -> None:
    if level not in COLOURS and not (isinstance(level, (int, float)) and 0 <= level <= 1):
        raise ValueError(f"{name}={level}: must be a brightness in [0, 1], or median or mean.")


class Constant(Fill):
    """One colour for the whole picture.

    Arguments:
        level: Its brightness in [0, 1], the same in all channels; `median` and `mean` take it
            from the picture. The paper's is the mean. The median is the empty canvas on our
            digits, where the mean is a grey that no network has seen there: one of ours calls it
            a 0 with certainty, so masks need not find the digit.

    Raises:
        ValueError: `level` is outside [0, 1].
    """

    name: ClassVar[str] = "constant"

    def __init__(self, level: float | Colour = "median") -> None:
        _check_level("level", level)
        self.level = level

    def over(self, x: Tensor, index: Tensor) -> Blend:
        one = colour(x, self.level)
        return Blend(x, lambda step: one)


class Noise(Fill):
    r"""Gaussian noise, independent in every pixel of every channel and at every step.

    .. math:: e_t(u) \sim \mathcal{N}(\mu, \sigma^2)

    It is not cut to [0, 1], so that its deviation is the stated one. Draws are keyed by seed,
    image and step.

    Arguments:
        mean: :math:`\mu`, see the level of `Constant`.
        deviation: :math:`\sigma`, on the scale on which white is 1.
        seed: What draws are keyed by.

    Raises:
        ValueError: `deviation` is not positive, or `mean` is outside [0, 1].
    """

    name: ClassVar[str] = "noise"
    random: ClassVar[bool] = True

    def __init__(
        self, mean: float | Colour = "median", deviation: float = 0.2, seed: int = 0
    ) -> None:
        _check_level("mean", mean)
        if deviation <= 0:
            raise ValueError(
                f"deviation={deviation}: must be positive; for a plain colour take fill=constant."
            )
        self.mean, self.deviation, self.seed = mean, deviation, seed

    def over(self, x: Tensor, index: Tensor) -> Blend:
        centre = colour(x, self.mean)
        number = index.to(x.device)

        def drawn(step: int) -> Tensor:
            seed = key(self.seed, "explain", "noise", step)
            draws = Draws(seed, (1,), "row", "independent", x.device)
            noise = draws.normal(0, range(1), number, x[0].numel())
            return torch.addcmul(
                centre, noise.reshape(x.shape).to(x.dtype), x.new_tensor(self.deviation)
            )

        return Blend(x, drawn)


class Blur(Fill):
    r"""The picture blurred by one Gaussian, whose edge is repeated and whose tails are not cut.

    Arguments:
        sigma: Its standard deviation in pixels of a picture of 224 px.

    Raises:
        ValueError: `sigma` is not positive.
    """

    name: ClassVar[str] = "blur"

    def __init__(self, sigma: float = 10.0) -> None:
        if sigma <= 0:
            raise ValueError(f"sigma={sigma}: must be a positive width in pixels at 224 px.")
        self.sigma = sigma

    def over(self, x: Tensor, index: Tensor) -> Blend:
        blurry = blurred(x, to_pixels(self.sigma, *x.shape[2:]))
        return Blend(x, lambda step: blurry)


class Average(Fill):
    """Constant, blur and noise in turn, one at each step, so that a mask must do for all three.

    The mean of a score over any three steps in a row is its mean over the three fills. One
    picture that is the mean of three would be a fourth fill, as easily fooled as any one.

    Arguments:
        level: See `Constant`; it is the mean of the noise too.
        sigma: See `Blur`.
        deviation: See `Noise`.
        seed: See `Noise`.

    Raises:
        ValueError: As these do.
    """

    name: ClassVar[str] = "average"
    random: ClassVar[bool] = True

    def __init__(
        self,
        level: float | Colour = "median",
        sigma: float = 10.0,
        deviation: float = 0.2,
        seed: int = 0,
    ) -> None:
        self.parts = (Constant(level), Blur(sigma), Noise(level, deviation, seed))

    def over(self, x: Tensor, index: Tensor) -> Blend:
        fills = [part.over(x, index).fill for part in self.parts]
        return Blend(x, lambda step: fills[step % len(fills)](step))
