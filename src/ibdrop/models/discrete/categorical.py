r"""The Concrete distribution of n states in log space.

torch's `ExpRelaxedCategorical` is sound in its density: finite for its own samples at every
temperature, where `RelaxedOneHotCategorical`, on the simplex, is not finite for 7 % of them at
0.1 and 87 % at 0.05 (10 states). It is used here for that, with two traps closed: its temperature
is always a 0-d tensor (with a float `log_prob` raises, with shape (n, 1) it gives an (n, n)), and
arguments are not validated (rounding fails the check of the simplex).

Samples are not torch's: `rsample` and `nn.functional.gumbel_softmax` draw from torch's generator
alone, so a draw cannot belong to an image; the latter gives NaN at temperature 0 instead of a
sentence, has no density, and is called legacy by its own documentation. Divergences of two
`Categorical` are infinite once a probability underflows, so these are written out too.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical
from torch.nn import functional as F

from ibdrop.models.discrete.units import Units, check_temperature, full
from ibdrop.noise.draws import standard_uniform

__all__ = ["CODES", "ExpConcrete", "gumbel"]

CODES = ("hypercube", "one_hot")


class ExpConcrete(Units):
    r"""Units with n states as corners of the simplex, and their relaxation.

    .. math:: Y_k = \frac{\log \alpha_k + g_k}{\lambda}
        - \mathrm{LSE}_i \frac{\log \alpha_i + g_i}{\lambda}, \quad g = -\log(-\log u), \quad
        X = \exp(Y)

    :math:`P(\arg\max X = k) = \alpha_k / \sum_i \alpha_i` at every temperature, and there is no
    mode inside the simplex for :math:`\lambda \le 1/(n - 1)`.

    Reference: Maddison, Mnih & Teh, arXiv 1611.00712, section 3 and appendix C.3; Jang, Gu &
    Poole, Categorical Reparameterization with Gumbel-Softmax, arXiv 1611.01144.

    Arguments:
        states: The number of states :math:`n`.
        code: `hypercube` maps the states to the corners of :math:`\{-1, 1\}^{\log_2 n}`, so that
            layers of as many bits have weights of the same shape whatever :math:`n` is;
            `one_hot` gives :math:`2 X - 1`, with :math:`n` numbers for a unit.

    Raises:
        ValueError: There are fewer than 2 states, or they do not fill a hypercube.
    """

    axes = 1

    def __init__(self, states: int, code: str = "hypercube") -> None:
        if states < 2:
            raise ValueError(f"states={states}: a unit must have at least 2.")
        if code not in CODES:
            raise ValueError(f"code={code}: must be one of {', '.join(CODES)}.")
        if code == "hypercube" and states & (states - 1):
            raise ValueError(
                f"states={states}: code=hypercube needs a power of 2; code=one_hot takes any."
            )
        self.states = self.logits = states
        self.code = code
        self.outputs = states.bit_length() - 1 if code == "hypercube" else states

    def relax(self, logits: Tensor, temperature: float) -> Tensor:
        check_temperature(temperature)
        return torch.log_softmax((full(logits) + gumbel(logits)) / temperature, dim=-1)

    def log_density(self, y: Tensor, logits: Tensor, temperature: float) -> Tensor:
        r"""The log-density of :math:`Y`.

        .. math:: \log \kappa(y) = \log (n-1)! + (n-1) \log \lambda
            + \sum_k (\log \alpha_k - \lambda y_k)
            - n \, \mathrm{LSE}_k (\log \alpha_k - \lambda y_k)
        """
        a = full(logits)
        scale = torch.tensor(temperature, dtype=a.dtype, device=a.device)
        relaxed = ExpRelaxedCategorical(scale, logits=a, validate_args=False)
        density: Tensor = relaxed.log_prob(y)
        return density

    def soft(self, y: Tensor) -> Tensor:
        return y.exp()

    def hard(self, y: Tensor) -> Tensor:
        return F.one_hot(y.argmax(-1), self.states).to(y.dtype)

    def draw(self, logits: Tensor) -> Tensor:
        return self.hard(full(logits).detach() + gumbel(logits))

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.softmax(full(logits), dim=-1)

    def log_mass(self, state: Tensor, logits: Tensor) -> Tensor:
        return (state * torch.log_softmax(full(logits), dim=-1)).sum(-1)

    def kl(self, logits: Tensor, prior: Tensor) -> Tensor:
        a, b = (torch.log_softmax(full(each), dim=-1) for each in (logits, prior))
        return (a.exp() * (a - b)).sum(-1)

    def embed(self, state: Tensor) -> Tensor:
        if self.code == "one_hot":
            return (2 * state - 1).flatten(-2)
        return (state @ self._corners(state)).flatten(-2)

    def _corners(self, like: Tensor) -> Tensor:
        """The corner of each state: its number in base 2, with shape (n, outputs)."""
        numbers = torch.arange(self.states, device=like.device)[:, None]
        places = torch.arange(self.outputs, device=like.device)
        return (2 * ((numbers >> places) & 1) - 1).to(like.dtype)


def gumbel(like: Tensor) -> Tensor:
    r"""Draws Gumbel noise :math:`g = -\log(-\log u)`, finite because :math:`0 < u < 1`.

    Arguments:
        like: Gives shape and layout; the draws are in float32 at least.
    """
    return -torch.log(-torch.log(standard_uniform(like)))
