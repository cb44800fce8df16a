"""What the report says of the pictures of autoencoders."""

from __future__ import annotations

__all__ = ["OF_CODES", "PROBABLE", "RECONSTRUCTION", "RELAXED"]

RECONSTRUCTION = "What is given back"
CODE = "What the code is like"
PROBABLE = "How probable it finds images"
RELAXED = "How gradients come through relaxed units"

OF_CODES = (
    (
        "reconstructions",
        RECONSTRUCTION,
        "Originals and reconstructions",
        "What the network is shown in training, what it gives back of the original, what PCA with "
        "as many components gives back, and the difference.",
    ),
    (
        "reconstructions_first",
        RECONSTRUCTION,
        "The first test images",
        "Originals and what the network gives back of them, in the order of the file.",
    ),
    (
        "costs_over_width",
        RECONSTRUCTION,
        "Costs over the width of the code",
        "Cross-entropy between its floor and that of the mean image; squared error beside PCA of "
        "the same width.",
    ),
    (
        "reconstructions_over",
        RECONSTRUCTION,
        "Reconstructions over the sweep",
        "The same images through each of the networks.",
    ),
    (
        "reconstructions_over_width",
        RECONSTRUCTION,
        "Reconstructions over the width of the code",
        "The same images through codes of several widths, each beside PCA of that width.",
    ),
    (
        "bounds",
        PROBABLE,
        "Bounds of the likelihood",
        "Upper bounds of the negative log-likelihood in nats per image, on the graph as it is "
        "used: the more codes are drawn for an image, the tighter.",
    ),
    (
        "latent_scatter",
        CODE,
        "Codes of test images",
        "Each point is an image, coloured by its class.",
    ),
    (
        "latent_histograms",
        CODE,
        "Activities and strength of noise",
        "How the units of the code are distributed over the test images.",
    ),
    (
        "manifold",
        CODE,
        "What codes on a grid are decoded to",
        "Two units of the code along the axes, in equal steps and, for positive codes, in equal "
        "factors; where no image has its code, what is drawn is nothing that was learned.",
    ),
    (
        "interpolations",
        CODE,
        "Between two images",
        "What is decoded along a straight line from the code of one test image to another's.",
    ),
    (
        "samples",
        CODE,
        "Draws from the prior",
        "What is decoded from codes that belong to no image.",
    ),
    (
        "filters",
        CODE,
        "Filters",
        "Weights from the pixels to units of the code, on one scale for all, and each on its own.",
    ),
    (
        "concrete_gradients",
        RELAXED,
        "Gradients at the encoder's logits",
        "Over draws of the noise, by the path that they take: through the decoder, through the KL "
        "and in all.",
    ),
    (
        "gradients_over_temperature",
        RELAXED,
        "Gradients over the temperature",
        "As the temperature falls, medians vanish, means stay, and deviations grow as its inverse "
        "root; below, what that does to the cost of the relaxed and of the discrete network.",
    ),
    (
        "gradient_law",
        RELAXED,
        "The exact law of one unit",
        "Median, mean and deviation of the gradient through a single relaxed unit, by quadrature, "
        "with their limits.",
    ),
)
"""As `ibdrop.runs.captions.KNOWN`, of which they are a part."""
