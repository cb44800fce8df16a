"""Weights that turn their input and change none of its lengths."""

from __future__ import annotations

from torch import Tensor, nn

from ibdrop.initialisers.fans import Adjust, Affine, affine_layers, blocks, redraw
from ibdrop.initialisers.gains import AUTO, check_gain, gain_of
from ibdrop.initialisers.he import follow

__all__ = ["delta_orthogonal", "orthogonal"]


def orthogonal(
    module: nn.Module, *, gain: str | float = "relu", slope: float = 0.0
) -> Adjust | None:
    r"""A random orthogonal matrix times :math:`g` in each layer.

    A kernel is one row per output, of :math:`\mathrm{fan_{in}}` weights. Rows are orthonormal
    where there are no more of them than that: then the variance of a weight is
    :math:`g^2 / \mathrm{fan_{in}}`, as `he_normal` has it. Else the columns are, lengths are kept,
    and the mean square of an output falls by :math:`\mathrm{fan_{in}} / c_{out}`. Each group of a
    convolution has a matrix of its own.

    Reference: Saxe, McClelland & Ganguli, Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks, arXiv 1312.6120.

    Arguments:
        module: The model.
        gain: The name of an activation, a number, or `auto`, see `he_normal`.
        slope: The slope of a leaky or parametric ReLU below zero.

    Returns:
        What must see the network at work with `gain="auto"`, else `None`.

    Raises:
        ValueError: If the gain is unknown, or has no slope.
    """
    check_gain(gain, slope, auto=True)
    g = gain_of("relu" if gain == AUTO else gain, slope)

    def draw(layer: Affine) -> None:
        for block in blocks(layer):
            nn.init.orthogonal_(block, g)

    redraw(module, draw)
    return follow(module) if gain == AUTO else None


def delta_orthogonal(
    module: nn.Module, *, gain: str | float = "linear", slope: float = 0.0
) -> None:
    r"""Kernels that are zero but at their centre, where they are orthogonal times :math:`g`.

    A convolution of stride 1 then turns the channels of each position and so keeps the length of
    the whole image (with the padding that keeps its size); one of stride 2 does so for the
    quarter of the positions that it looks at, and an unpadded one for all but the border. Made for
    tanh nets of up to 10,000 layers, whose critical gain is 1. A linear layer and a kernel of one
    pixel are all centre: they become orthogonal, of any shape.

    Reference: Xiao et al., Dynamical isometry and a mean field theory of CNNs, arXiv 1806.05393.

    Arguments:
        module: The model.
        gain: The name of an activation, or a number.
        slope: The slope of a leaky or parametric ReLU below zero.

    Raises:
        ValueError: If a kernel has no centre or a convolution fewer channels out than in, in each
            group; or if the gain is unknown, or has no slope.
    """
    g = gain_of(gain, slope)
    for name, layer in affine_layers(module):
        if isinstance(layer, nn.Conv2d):
            _check_kernel(name, layer)

    def draw(layer: Affine) -> None:
        nn.init.zeros_(layer.weight)
        for block in blocks(layer):
            nn.init.orthogonal_(_centre(block), g)

    redraw(module, draw)


def _check_kernel(name: str, conv: nn.Conv2d) -> None:
    height, width = conv.kernel_size
    if height == width == 1:
        return
    if height % 2 == 0 or width % 2 == 0:
        raise ValueError(
            f"delta_orthogonal needs odd kernels, and {name or 'the layer'} has {height} x "
            f"{width}: without a centre it would shift the image; init=orthogonal takes it."
        )
    if conv.out_channels < conv.in_channels:
        raise ValueError(
            f"delta_orthogonal needs as many channels out as in, and {name or 'the layer'} makes "
            f"{conv.out_channels} of {conv.in_channels}; init=orthogonal takes it."
        )


def _centre(weight: Tensor) -> Tensor:
    """The middle tap of a kernel as a view, with shape (c_out, c_in)."""
    return weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] if weight.ndim > 2 else weight
