"""What an autoencoder that denoises is shown instead of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from torch import Tensor

from ibdrop.noise.draws import standard_normal, standard_uniform

__all__ = ["CORRUPTIONS", "Corrupted", "Corruption", "check_level", "corrupt"]

Corruption = Literal["masking", "salt_and_pepper", "gaussian"]
CORRUPTIONS: tuple[str, ...] = get_args(Corruption)


class Corrupted(NamedTuple):
    """An image with some of its pixels changed.

    Attributes:
        x: What is left of the image, with the shape of the image.
        hit: Which pixels were corrupted, as booleans of this shape.
    """

    x: Tensor
    hit: Tensor


def corrupt(x: Tensor, kind: str, level: float) -> Corrupted:
    r"""Corrupts each pixel on its own.

    - `masking`: with probability :math:`\nu` a pixel is 0;
    - `salt_and_pepper`: with probability :math:`\nu` it is 0 or 1, one as likely as the other;
    - `gaussian`: :math:`x + \nu n` with :math:`n \sim \mathcal{N}(0, 1)`, for every pixel.

    Reference: Vincent et al., Stacked Denoising Autoencoders, JMLR 11 (2010), section 3.2.

    Arguments:
        x: Pixels in [0, 1], with shape :math:`(B, *)`.
        kind: One of `CORRUPTIONS`.
        level: :math:`\nu`, a probability, or a standard deviation in units of the pixels' range.
    """
    return _WAYS[kind](x, level)


def check_level(kind: str, level: float) -> None:
    """Refuses what is no corruption.

    Raises:
        ValueError: The kind is unknown, or the level out of its range.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"corruption={kind}: must be one of {', '.join(CORRUPTIONS)}.")
    if kind == "gaussian" and not level > 0:
        raise ValueError(f"level={level}: the standard deviation of gaussian must be above 0.")
    if kind != "gaussian" and not 0 <= level < 1:
        raise ValueError(f"level={level}: the probability that a pixel is hit must be in [0, 1).")


def _masking(x: Tensor, level: float) -> Corrupted:
    hit = standard_uniform(x) < level
    return Corrupted(x.masked_fill(hit, 0.0), hit)


def _salt_and_pepper(x: Tensor, level: float) -> Corrupted:
    u = standard_uniform(x)
    pepper, salt = u < level / 2, u > 1 - level / 2
    return Corrupted(x.masked_fill(pepper, 0.0).masked_fill(salt, 1.0), pepper | salt)


def _gaussian(x: Tensor, level: float) -> Corrupted:
    hit = x.new_ones(x.shape).bool()
    return Corrupted(x + level * standard_normal(x).to(x.dtype), hit)


_WAYS: dict[str, Callable[[Tensor, float], Corrupted]] = {
    "masking": _masking,
    "salt_and_pepper": _salt_and_pepper,
    "gaussian": _gaussian,
}
