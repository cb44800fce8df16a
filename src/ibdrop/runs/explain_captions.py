"""What the report says of the pictures of explanations."""

from __future__ import annotations

__all__ = ["OF_EXPLANATIONS"]

EXPLAINED = "Which part of an image made it say so"

OF_EXPLANATIONS = (
    (
        "explanations",
        EXPLAINED,
        "What had to go, or stay",
        "Each row is an image with its mask, the probability of the class on the fill that the "
        "mask was sought with and on a second one, and maps found in other ways. Where the two "
        "fills disagree the mask is an adversarial pattern and no explanation.",
    ),
    (
        "explain_",
        EXPLAINED,
        "One image in full",
        "Above, the mask and what it leaves; then the optimisation and the curves of deletion "
        "and insertion, on both fills; below, the nats of the noisy layers and other "
        "attributions. Heat is drawn on an absolute scale: a mask that deletes nothing is black.",
    ),
    (
        "explanation_quality",
        EXPLAINED,
        "How well explanations find the target",
        "Every method against the known place of the target, with 95 % intervals, beside the "
        "same on untrained and shuffled networks, the best map without a network, and an oracle "
        "at the resolution of the map. Believe what is clearly above all of these.",
    ),
)
