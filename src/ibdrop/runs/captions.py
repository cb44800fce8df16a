"""What the report says of each picture that ibdrop draws, in the order of a reader."""

from __future__ import annotations

from ibdrop.runs.code_captions import OF_CODES, PROBABLE, RECONSTRUCTION, RELAXED
from ibdrop.runs.depth_captions import OF_DEPTH
from ibdrop.runs.explain_captions import OF_EXPLANATIONS

__all__ = [
    "CORRUPTIONS",
    "ENSEMBLE",
    "KNOWN",
    "MAPS",
    "MISTAKES",
    "OOD",
    "OUTLIERS",
    "PLAIN",
    "PROBABLE",
    "PRUNING",
    "RECONSTRUCTION",
    "RELAXED",
    "SURE",
]

MISTAKES = "Mistakes"
MAPS = "Where the information is"
SURE = "How sure it is"
OUTLIERS = "Images of another kind"
CORRUPTIONS = "Images made worse"
ENSEMBLE = "Several networks as one"
PRUNING = "What can be left out"

OOD = "ood"

# (part of the file's name, section, title, how to read it), in the order of the report; of
# several that fit the longest counts.
KNOWN = (
    (
        "error_",
        "What the information term does",
        "Error and information against beta",
        "Above, the test error; below, the nats per image that pass the noisy layers. Points are "
        "runs, lines their means, bars one standard deviation over the seeds. Look for the "
        "largest beta that does not cost accuracy.",
    ),
    (
        "plane",
        "What the information term does",
        "Information plane",
        "Each point is a run: how many nats the representation costs, against the test "
        "cross-entropy. Down is better, left is cheaper; the knee is the useful trade.",
    ),
    (
        "curve",
        "Learning",
        "Learning curves",
        "Cross-entropy and KL in nats, and accuracy, per epoch. A gap between training and "
        "validation is overfitting; KL falling to zero is collapse.",
    ),
    *OF_DEPTH,
    *OF_CODES,
    (
        "confusion",
        MISTAKES,
        "Confusion matrix",
        "Rows are the true classes, columns what the network said; the diagonal is right.",
    ),
    (
        "ranking_mistakes",
        MISTAKES,
        "The surest and the least sure mistakes",
        "Above, mistakes that the network is sure of, which no threshold on the entropy finds: "
        "often mislabelled or ambiguous images. Below, those it hesitates over.",
    ),
    (
        "heatmaps_over",
        MAPS,
        "KL heat maps side by side",
        "The same images in each column, one colour scale for all: as beta grows, fewer places "
        "are let through. Nats in the heads are means over the test set.",
    ),
    (
        "heat",
        MAPS,
        "KL heat maps",
        "Bright places carry many nats through the noisy layer, dark ones were replaced by "
        "noise. Each layer has its own scale, in nats per position; compare numbers, not "
        "colours, between layers.",
    ),
    (
        "overlay",
        MAPS,
        "KL maps over the images",
        "The same maps laid over the images; a place without nats keeps its picture.",
    ),
    (
        "quality",
        MAPS,
        "Quality of the heat maps",
        "How much of the heat lies on the target: blue the trained network with its 95 % "
        "interval, grey the untrained one; the red line is the best map that knows nothing of "
        "the network, the black one a perfect map at the layer's resolution.",
    ),
    *OF_EXPLANATIONS,
    (
        "calib",
        SURE,
        "Calibration diagram",
        "Confidence against the share that is right. On the diagonal the network's confidence "
        "can be believed; below it the network is too sure of itself.",
    ),
    (
        "ranking_entropy",
        SURE,
        "Entropy of the predictions",
        "How the entropy, averaged over passes with the noise on, is spread over right and wrong "
        "predictions; a network that knows what it does not know has its mistakes to the right.",
    ),
    (
        "ranking_overall",
        SURE,
        "The surest and the least sure images",
        "Test images at both ends of the entropy ranking, with what they are taken for and their "
        "entropy in nats; mistakes are framed.",
    ),
    (
        "ranking_uncertain",
        SURE,
        "The least sure images and their predictions",
        "Bars are the probabilities of the classes, outlines those with the noise off. Much "
        "mutual information means that the passes disagree; little, that each pass by itself is "
        "unsure.",
    ),
    (
        "ranking_side",
        SURE,
        "The least sure images by three scores",
        "Entropy with the noise off, entropy over the passes, and how far the passes disagree. "
        "Without a frame: among the first by all three; where nearly all are, the noise adds "
        "little to the ranking.",
    ),
    (
        "selective",
        SURE,
        "Accuracy of the images kept",
        "Leaving out the least sure images: a good uncertainty leaves out the mistakes first, as "
        "the oracle does; at random the accuracy stays what it is.",
    ),
    (
        "ranking_convergence",
        SURE,
        "Convergence of the Monte Carlo figures",
        "Figures against the passes drawn, with bands of one standard error; dashed, the network "
        "with the noise off. Where the line is flat and the band thin, more passes change "
        "nothing.",
    ),
    (
        "ranking_classes",
        SURE,
        "The surest and the least sure images of each class",
        "One line per true class, the surest left, the least sure right.",
    ),
    (
        "rank",
        SURE,
        "Entropy ranking",
        "Test images ordered by the entropy of the prediction, averaged over passes with the "
        "noise on: those the network is surest of, and those it is least sure of. What two "
        "half-runs share tells how much of the order is luck.",
    ),
    (
        "entrop",
        SURE,
        "Entropy of the prediction",
        "How the entropy in nats is spread over the test images; mistakes should lie to the "
        "right.",
    ),
    (
        OOD,
        OUTLIERS,
        "Outliers",
        "How the entropy is spread over test images and images of another kind, and how well "
        "each score tells them apart: the more the curve hugs the upper left corner, the better.",
    ),
    (
        "corruptions",
        CORRUPTIONS,
        "Error and entropy against severity",
        "A network that knows what it does not know gets less sure as it gets worse. Solid: over "
        "passes with the noise on; dashed: with the noise off.",
    ),
    (
        "corruption_sheet",
        CORRUPTIONS,
        "The corruptions",
        "The same images in every corruption and severity.",
    ),
    (
        "ensemble",
        ENSEMBLE,
        "Error and NLL against the number of networks",
        "Each point averages the predictions of so many runs. Several networks are the honest "
        "baseline of Monte Carlo dropout.",
    ),
    (
        "pruning",
        PRUNING,
        "Weights against their noise",
        "How many weights have how much noise. Those far to the right carry nothing and can be "
        "set to zero.",
    ),
)
WORDS = (
    "and by calibration classes confusion convergence corruption corruptions curves depth "
    "diagram ensemble entropy error errors explain explanation explanations heat heatmap "
    "heatmaps information kl map maps matrix mistakes nats ood overall overlay plane probe "
    "pruning quality ranking selective sheet side signals uncertain variances"
)
PLAIN = frozenset(WORDS.split())
"""Words of a file's name that the title says already."""
