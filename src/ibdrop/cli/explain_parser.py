"""The words and flags of `ibdrop explain`."""

from __future__ import annotations

import argparse

from ibdrop.cli.counts import count, indices, positive, shares
from ibdrop.cli.parsing import RUN_HELP, add_output, new

__all__ = ["FILLS", "METHODS", "SCORES", "explain"]

METHODS = ("meaningful", "extremal")
PRESETS = ("default", "paper", "blog")
FILLS = ("constant", "noise", "blur", "average", "pyramid", "rerender")
SCORES = ("prob", "logp", "margin", "logit")
GAMES = ("deletion", "preservation")


def explain(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop explain`."""
    made = new(
        command,
        "Seeks the smallest part of an image that must go for its class to go, by optimising a\n"
        "mask (Meaningful Perturbation; extremal perturbations). Writes masks, what is left of\n"
        "the image, the trace, deletion and insertion curves, and the same images' KL maps.",
        EPILOG,
    )
    made.usage = "ibdrop explain [options] RUN|PICTURE [KEY=VALUE ...]"
    made.add_argument(
        "run", metavar="RUN|PICTURE", help=f"{RUN_HELP}; or a picture file, for model=torchvision"
    )
    made.add_argument(
        "changes",
        metavar="KEY=VALUE",
        nargs="*",
        help="of a run: dataset.*, trainer.*; of a picture: model.*, trainer.*, seed",
    )
    _add_images(made.add_argument_group("which images (default: 6 right ones over the classes)"))
    _add_question(made.add_argument_group("what is asked"))
    _add_means(made.add_argument_group("how it is answered"))
    _add_rest(made.add_argument_group("what is made of it"))
    add_output(made)
    return made


def _add_images(made: argparse._ArgumentGroup) -> None:
    made.add_argument(
        "--index", type=indices, metavar="I,J,...", help="test images with these numbers"
    )
    made.add_argument(
        "--class", dest="of_class", metavar="NAME", help="right ones of a class, name or number"
    )
    made.add_argument(
        "--uncertain",
        type=positive,
        metavar="N",
        help="those of highest entropy: of the run's ranking.csv, else noise off",
    )
    made.add_argument(
        "--wrong", type=positive, metavar="N", help="mistakes, the surest of them first"
    )
    made.add_argument(
        "--images", type=positive, metavar="N", help="how many right ones, alone or of --class"
    )
    made.add_argument(
        "--picture",
        action="append",
        metavar="FILE",
        help="a picture file, cropped to the shape of the run's images; may be repeated",
    )


def _add_question(made: argparse._ArgumentGroup) -> None:
    made.add_argument(
        "--target", metavar="CLASS", help="the class to explain, name or number (the predicted)"
    )
    made.add_argument(
        "--score",
        choices=SCORES,
        help="how it is scored: probability, its logarithm, margin, logit (as in the preset)",
    )
    made.add_argument(
        "--game", choices=GAMES, help="delete the least (default), or preserve the least"
    )
    made.add_argument(
        "--draws",
        type=count,
        default=0,
        metavar="S",
        help="draws of the network's noise to average the score over; 0 for none",
    )


def _add_means(made: argparse._ArgumentGroup) -> None:
    made.add_argument(
        "--method",
        choices=METHODS,
        default="meaningful",
        help="meaningful (Fong & Vedaldi 2017), extremal (Fong et al. 2019)",
    )
    made.add_argument(
        "--preset",
        choices=PRESETS,
        help="settings of --method meaningful: ours, the paper's, those of a well-known blog",
    )
    made.add_argument("--fill", choices=FILLS, help="what stands where a mask deletes")
    made.add_argument(
        "--second", choices=FILLS, help="another fill, on which the masks are only judged"
    )
    made.add_argument("--optimiser", choices=("adam", "lbfgsb"), help="of meaningful")
    made.add_argument("--steps", type=positive, metavar="N", help="most steps of the optimiser")
    made.add_argument(
        "--grid", type=positive, metavar="N", help="cells along the shorter side of a mask"
    )
    made.add_argument(
        "--areas", type=shares, metavar="A,B,...", help="of extremal: shares of the picture"
    )
    made.add_argument(
        "--together", type=positive, metavar="N", help="images at once (default: by their size)"
    )


def _add_rest(made: argparse._ArgumentGroup) -> None:
    made.add_argument(
        "--no-baselines",
        dest="baselines",
        action="store_false",
        help="without gradient, integrated gradients, occlusion and Grad-CAM beside",
    )
    made.add_argument(
        "--quality",
        action="store_true",
        help="measure masks, KL maps and baselines on many test images, beside floors",
    )


EPILOG = """\
examples:
  ibdrop explain latest                                six images, rightly classified
  ibdrop explain RUN --wrong 4 --fill rerender         clutter drawn anew: stays in distribution
  ibdrop explain RUN --class 7 --images 3 --method extremal --areas .05,.1,.2
  ibdrop explain RUN --index 17 --target 3             why not a 3?
  ibdrop explain RUN --picture cat.jpg --preset paper
  ibdrop explain RUN --quality --images 64             a table with floors and intervals
  ibdrop explain macaque.jpg model=torchvision model.name=vgg19 --target macaque

next: `ibdrop report RUN` puts all pictures of the run on one page."""
