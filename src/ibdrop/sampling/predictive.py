"""What many noisy passes say of each image, kept as sums over groups of passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.special import entr

__all__ = ["Predictive", "entropy", "pool"]


def entropy(p: Tensor) -> Tensor:
    r"""Entropy :math:`-\sum_k p_k \log p_k` in nats, with :math:`0 \log 0 = 0`.

    Arguments:
        p: Distributions, with shape :math:`(*, K)`.
    """
    total: Tensor = entr(p).sum(-1)
    return total


@dataclass(frozen=True)
class Predictive:
    r"""The predictive distribution of each image and its spread, in float64.

    The :math:`T` passes come in :math:`R` independent groups, whose sums are kept apart: from
    them come standard errors and convergence, and nothing grows with :math:`T`. With :math:`p_t`
    the softmax of pass :math:`t`:

    Attributes:
        sizes: The number of passes of each group.
        means: The mean of :math:`p_t` over each group, with shape :math:`(R, B, K)`.
        entropies: The mean of :math:`H(p_t)` in nats over each group, with shape :math:`(R, B)`.
        squares: The mean of :math:`\sum_k p_{tk}^2` over each group, with shape :math:`(R, B)`.
        votes: How often each class was the most probable, with shape :math:`(R, B, K)`.
        logits: The mean of the logits over each group, with shape :math:`(R, B, K)`.
        deterministic: The softmax with the noise off, with shape :math:`(B, K)`.
    """

    sizes: tuple[int, ...]
    means: Tensor
    entropies: Tensor
    squares: Tensor
    votes: Tensor
    logits: Tensor
    deterministic: Tensor

    @classmethod
    def of_logits(cls, logits: Tensor, deterministic: Tensor | None = None) -> Predictive:
        """Makes a group of each set of logits: the members of an ensemble, or one plain pass.

        Arguments:
            logits: With shape :math:`(R, B, K)`.
            deterministic: The distribution to stand beside, with shape :math:`(B, K)`; that of
                the first set if `None`.
        """
        logits = logits.double()
        p = logits.softmax(-1)
        votes = torch.nn.functional.one_hot(p.argmax(-1), p.shape[-1])
        plain = p[0] if deterministic is None else deterministic
        squares = p.square().sum(-1)
        return cls((1,) * len(p), p, entropy(p), squares, votes, logits, plain)

    @property
    def passes(self) -> int:
        """The number of passes :math:`T`."""
        return sum(self.sizes)

    @property
    def mean(self) -> Tensor:
        r"""The predictive distribution :math:`\bar p = \frac{1}{T} \sum_t p_t`, (B, K)."""
        return self._pooled(self.means)

    @property
    def entropy(self) -> Tensor:
        r"""Predictive entropy :math:`H(\bar p)` in nats, (B): all uncertainty."""
        return entropy(self.mean)

    @property
    def expected_entropy(self) -> Tensor:
        r"""Expected entropy :math:`\frac{1}{T} \sum_t H(p_t)` in nats, (B)."""
        return self._pooled(self.entropies)

    @property
    def mutual_information(self) -> Tensor:
        r""":math:`H(\bar p) - \frac{1}{T} \sum_t H(p_t) \ge 0` in nats, (B).

        How far the passes disagree: BALD (Houlsby et al., arXiv 1112.5745).
        """
        return (self.entropy - self.expected_entropy).clamp_min(0)

    @property
    def variance(self) -> Tensor:
        r""":math:`\sum_k \frac{1}{T} \sum_t p_{tk}^2 - \bar p_k^2`, (B).

        The predictive variance of Gal & Ghahramani (arXiv 1506.02142, sec. 4) of the
        probabilities, summed over classes.
        """
        return (self._pooled(self.squares) - self.mean.square().sum(-1)).clamp_min(0)

    @property
    def variation_ratio(self) -> Tensor:
        r"""The share of passes that do not vote for the most frequent class, (B)."""
        return 1 - self.votes.sum(0).max(-1).values / self.passes

    @property
    def logit_mean(self) -> Tensor:
        """The softmax of the mean logits, (B, K): first the mean, then the softmax."""
        return self._pooled(self.logits).softmax(-1)

    def groups(self, chosen: Sequence[int]) -> Predictive:
        """What only these groups of passes say."""
        at = list(chosen)
        return Predictive(
            tuple(self.sizes[r] for r in at),
            self.means[at],
            self.entropies[at],
            self.squares[at],
            self.votes[at],
            self.logits[at],
            self.deterministic,
        )

    def halves(self) -> tuple[Predictive, Predictive]:
        """Two independent estimates from half of the groups each; twice the whole if one."""
        count = len(self.sizes)
        if count == 1:
            return self, self
        return self.groups(range(count // 2)), self.groups(range(count // 2, count))

    def standard_error(self, figure: Callable[[Predictive], Tensor]) -> Tensor:
        r"""The Monte Carlo standard error of any figure, by the jackknife over the groups.

        .. math:: \mathrm{se}^2 = \frac{R - 1}{R} \sum_r (\theta_{-r} - \bar\theta)^2

        with :math:`\theta_{-r}` the figure without group :math:`r`. NaN for a single group.
        It tells what more passes would change, not what other images or weights would.

        References:
            Efron & Stein, The jackknife estimate of variance (1981).

        Arguments:
            figure: Any function of a `Predictive`, for example `lambda found: found.entropy`.
        """
        count = len(self.sizes)
        if count == 1:
            return torch.full_like(figure(self).double(), float("nan"))
        kept = ([s for s in range(count) if s != r] for r in range(count))
        values = torch.stack([figure(self.groups(others)).double() for others in kept])
        spread = (values - values.mean(0)).square().sum(0)
        return ((count - 1) / count * spread).sqrt()

    def take(self, place: Tensor) -> Predictive:
        """The images at these places, in their order."""
        return self._mapped(lambda values, axis: values.index_select(axis, place))

    def cpu(self) -> Predictive:
        """The same on the CPU."""
        return self._mapped(lambda values, axis: values.cpu())

    def _pooled(self, values: Tensor) -> Tensor:
        weights = torch.tensor(self.sizes, dtype=torch.float64, device=values.device)
        pooled: Tensor = torch.tensordot(weights / weights.sum(), values.double(), dims=1)
        return pooled

    def _mapped(self, change: Callable[[Tensor, int], Tensor]) -> Predictive:
        return Predictive(
            self.sizes, *(change(values, axis) for values, axis in zip(*_parts(self), strict=True))
        )


def pool(parts: Sequence[Predictive]) -> Predictive:
    """Joins the images of several estimates made with the same groups of passes."""
    columns = zip(*(_parts(part)[0] for part in parts), strict=True)
    axes = _parts(parts[0])[1]
    joined = [torch.cat(column, axis) for column, axis in zip(columns, axes, strict=True)]
    return Predictive(parts[0].sizes, *joined)


def _parts(found: Predictive) -> tuple[list[Tensor], list[int]]:
    """All tensors, and which of their axes counts the images."""
    names = [field.name for field in fields(found) if field.name != "sizes"]
    axes = [0 if name == "deterministic" else 1 for name in names]
    return [getattr(found, name) for name in names], axes
