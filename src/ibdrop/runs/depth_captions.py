"""What the report says of the pictures of initial weights."""

from __future__ import annotations

__all__ = ["OF_DEPTH"]

BEFORE = "Before training"
DEPTH = "What depth does to initial weights"

OF_DEPTH = (
    (
        "probe",
        BEFORE,
        "How variance passes through the fresh network",
        "Points are measured on one batch of training images, lines are what fans and the "
        "variance of the drawn weights make one expect. Level lines mean that signals and "
        "gradients keep their size; cosines near one mean that the last layers see all images "
        "as the same.",
    ),
    (
        "depth_errors",
        DEPTH,
        "Error against epoch",
        "Thin lines are seeds, bold ones their means. A plateau at the error of chance is a "
        "stall; more epochs may end it, so the budget belongs to the statement.",
    ),
    (
        "depth_variances",
        DEPTH,
        "Variance of activations and of gradients",
        "Before training, on a logarithmic scale: points are geometric means over the seeds, "
        "lines are predictions from fans and drawn weights.",
    ),
    (
        "depth_signals",
        DEPTH,
        "Similarity of images, dead units, gradients of weights",
        "Before training. Where the cosine is near one, the layer sees all images as the same.",
    ),
)
