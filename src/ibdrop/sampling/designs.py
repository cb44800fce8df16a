"""How the passes of a sample hang together: independent, antithetic or balanced."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ibdrop.sampling.counter import keys, uniform, words
from ibdrop.seeds import key

__all__ = ["DESIGNS", "Design", "Draws", "Sharing", "group_sizes"]

Design = Literal["independent", "antithetic", "balanced"]
Sharing = Literal["batch", "row"]

DESIGNS = ("independent", "antithetic", "balanced")
LONGEST = {"independent": 1, "antithetic": 2, "balanced": 10}
"""The most passes that depend on each other."""

SHARED = -1
"""Stands for the number of the image where all images share a draw."""

SHORT = 1 << 16


def group_sizes(passes: int, groups: int) -> tuple[int, ...]:
    """Shares passes out among groups as evenly as can be.

    Example:
        >>> group_sizes(50, 4)
        (13, 13, 12, 12)
    """
    each, rest = divmod(passes, groups)
    return tuple(each + (group < rest) for group in range(groups))


class _Block(NamedTuple):
    """Passes that depend on each other: where they begin and how many they are."""

    start: int
    size: int


class Draws:
    r"""The random numbers of all passes, by call, pass, image and unit.

    Every draw by itself is uniform on (0, 1), or standard normal, in any design, so means over
    passes stay unbiased. Within a block of :math:`n` passes

    - `independent` draws do not depend on each other;
    - `antithetic` ones come in pairs :math:`u, 1 - u`;
    - `balanced` ones are stratified: :math:`u_t = (\pi(t) + v_t) / n` with a random permutation
      :math:`\pi` for each unit, so that a unit dropped at a rate of one half is kept in exactly
      half of the passes. With `row` sharing the permutations of an image are those of the unit,
      rotated by a random step for each image.

    Different blocks are independent; a block never crosses the border of a group, whence standard
    errors (`ibdrop.sampling.predictive.Predictive.standard_error`). Normals are
    :math:`\Phi^{-1}(u)`.

    Arguments:
        seed: What all is keyed by.
        sizes: The number of passes of each group.
        sharing: `batch` draws one mask for all images in each pass, which is one network out of
            the posterior; `row` one for each image.
        design: One of `DESIGNS`.
        device: Where to draw.
    """

    def __init__(
        self,
        seed: int,
        sizes: tuple[int, ...],
        sharing: Sharing,
        design: Design,
        device: torch.device,
    ) -> None:
        self.seed, self.sharing, self.design, self.device = seed, sharing, design, device
        self.blocks = _blocks(sizes, LONGEST[design])
        self.strata: dict[tuple[int, int, int], Tensor] = {}

    def uniform(self, call: int, passes: range, images: Tensor, units: int) -> Tensor:
        """Draws from the uniform distribution on (0, 1).

        Arguments:
            call: The number of the random function within the network.
            passes: The numbers of consecutive passes.
            images: The numbers of the images as int64 on the device, with shape :math:`(B)`.
            units: The number of units :math:`U` of an image.

        Returns:
            float32 with shape :math:`(S, B, U)`, or :math:`(S, 1, U)` with `batch` sharing.
        """
        if self.design == "independent":
            return uniform(self._keys(call, "draw", passes, images), units)
        parts = [
            self._dependent(call, block, some, images, units) for block, some in self._cut(passes)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def normal(self, call: int, passes: range, images: Tensor, units: int) -> Tensor:
        """Draws from N(0, 1); arguments and result as with `uniform`."""
        u = self.uniform(call, passes, images, units)
        return u.mul_(2).sub_(1).erfinv_().mul_(math.sqrt(2))

    def kept(
        self, call: int, passes: range, images: Tensor, units: int, rate: float | Tensor
    ) -> Tensor:
        """Draws booleans that are true with probability 1 - `rate`, otherwise like `uniform`."""
        if self.design == "independent" and not isinstance(rate, Tensor):
            threshold = rate * SHORT
            if threshold == int(threshold) < SHORT:
                return self._short(call, passes, images, units) >= int(threshold) - SHORT // 2
        return self.uniform(call, passes, images, units) >= rate

    def _short(self, call: int, passes: range, images: Tensor, units: int) -> Tensor:
        """Integers of 16 bits, four to a word: exact for the usual rates, and twice as fast."""
        found = words(self._keys(call, "draw", passes, images), -(-units // 4))
        return found.view(torch.int16)[..., :units]

    def _keys(self, call: int, what: str, passes: range, images: Tensor) -> Tensor:
        t = torch.arange(passes.start, passes.stop, device=self.device)
        rows = images if self.sharing == "row" else images.new_full((1,), SHARED)
        return keys(key(self.seed, call, what), t, rows)

    def _cut(self, passes: range) -> list[tuple[_Block, range]]:
        """The blocks that these passes lie in, each with its share of them."""
        found = []
        for block in self.blocks:
            low, high = max(passes.start, block.start), min(passes.stop, block.start + block.size)
            if low < high:
                found.append((block, range(low, high)))
        return found

    def _dependent(
        self, call: int, block: _Block, passes: range, images: Tensor, units: int
    ) -> Tensor:
        if self.design == "antithetic":
            u = uniform(
                self._keys(call, "draw", range(block.start, block.start + 1), images), units
            )
            flipped = [u if t == block.start else 1 - u for t in passes]
            return torch.cat(flipped)
        jitter = uniform(self._keys(call, "draw", passes, images), units)
        at = slice(passes.start - block.start, passes.stop - block.start)
        stratum = self._strata(call, block, units)[at, None]
        if self.sharing == "row":
            first = range(block.start, block.start + 1)
            step = uniform(self._keys(call, "rotation", first, images), units)
            stratum = stratum + step.mul_(block.size).floor_()
            stratum.sub_((stratum >= block.size).float(), alpha=block.size)
        return jitter.add_(stratum).div_(block.size).clamp_(max=1 - 2**-24)

    def _strata(self, call: int, block: _Block, units: int) -> Tensor:
        """A random permutation of the strata for each unit, with shape (n, U)."""
        place = call, block.start, units
        if place not in self.strata:
            for old in [old for old in self.strata if old[0] == call]:
                del self.strata[old]
            t = torch.arange(block.start, block.start + block.size, device=self.device)
            shared = torch.full((1,), SHARED, device=self.device)
            found = words(keys(key(self.seed, call, "strata"), t, shared)[:, 0], -(-units // 2))
            self.strata[place] = _ranks(found.view(torch.int32)[:, :units])
        return self.strata[place]


def _ranks(x: Tensor) -> Tensor:
    """Ranks along the first axis, from 0: of random numbers they are a random permutation."""
    ranks = torch.zeros(x.shape, device=x.device)
    for s in range(len(x)):
        for t in range(s):
            above = x[s] >= x[t]
            ranks[s] += above
            ranks[t] += ~above
    return ranks


def _blocks(sizes: tuple[int, ...], longest: int) -> list[_Block]:
    blocks, start = [], 0
    for size in sizes:
        parts = group_sizes(size, -(-size // longest))
        for part in parts:
            blocks.append(_Block(start, part))
            start += part
    return blocks
