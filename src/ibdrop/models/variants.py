"""What autoencoders with one hidden layer there are, and which of their options go together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "UNITS",
    "Activation",
    "Variant",
    "check_emphasis",
    "check_k",
    "check_penalty",
    "check_variant",
]

Variant = Literal["plain", "denoising", "sparse", "k_sparse", "contractive"]
VARIANTS: tuple[str, ...] = get_args(Variant)

Activation = Literal["sigmoid", "tanh", "relu", "softplus"]
UNITS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "softplus": F.softplus,
}

REASONS = {
    "sparse": "its units are active with a probability",
    "k_sparse": "its code is linear, whatever the activation",
    "contractive": "its penalty is that of sigmoid units",
}


def check_variant(variant: str, hidden: int, activation: str) -> None:
    """Refuses what is no network.

    Raises:
        ValueError: A name is unknown, there are no units, or the units are not the variant's.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant}: must be one of {', '.join(VARIANTS)}.")
    if activation not in UNITS:
        raise ValueError(f"activation={activation}: must be one of {', '.join(UNITS)}.")
    if hidden < 1:
        raise ValueError(f"hidden={hidden}: must be at least 1.")
    if variant in REASONS and activation != "sigmoid":
        raise ValueError(
            f"activation={activation}: variant={variant} leaves it at sigmoid, as"
            f" {REASONS[variant]}."
        )


def check_penalty(rho: float, weight: float) -> None:
    """Refuses what cannot be asked of a code.

    Raises:
        ValueError: The activity is not between 0 and 1, or the weight not from 0 on.
    """
    if not 0 < rho < 1:
        raise ValueError(f"rho={rho}: the activity that is asked for must be in (0, 1).")
    if not 0 <= weight < math.inf:
        raise ValueError(f"weight={weight}: must be 0 or more.")


def check_emphasis(emphasis: Sequence[float], corruption: str) -> None:
    """Refuses what pixels cannot count in the loss.

    Raises:
        ValueError: These are not two numbers from 0 on, or all pixels are corrupted alike.
    """
    if len(emphasis) != 2 or min(emphasis) < 0 or max(emphasis) <= 0:
        raise ValueError(
            f"emphasis={list(emphasis)}: must be two numbers from 0 on, not both 0: what a"
            " corrupted pixel counts, and what another."
        )
    if corruption == "gaussian" and emphasis[0] != emphasis[1]:
        raise ValueError(
            f"emphasis={list(emphasis)}: corruption=gaussian hits every pixel, so that both"
            " numbers must be the same."
        )


def check_k(hidden: int, k: int, k_test: int | None, k_anneal: float) -> None:
    """Refuses what is no number of units.

    Raises:
        ValueError: A number is not 1 to `hidden`, or the share of the run not 0 to 1.
    """
    for name, value in (("k", k), ("k_test", k if k_test is None else k_test)):
        if not 1 <= value <= hidden:
            raise ValueError(f"{name}={value}: must be 1 to {hidden}, the number of units.")
    if not 0 <= k_anneal <= 1:
        raise ValueError(f"k_anneal={k_anneal}: the share of the run must be in [0, 1].")
