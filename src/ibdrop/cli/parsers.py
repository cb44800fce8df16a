"""The words and flags of each command on runs but `explain`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ibdrop.cli.counts import indices, positive
from ibdrop.cli.parsing import RUN_HELP, add_output, add_run, as_run, new

__all__ = ["compare", "evaluate", "heatmap", "rank", "reconstruct", "report", "resume", "runs"]


def evaluate(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop evaluate`."""
    made = new(
        command,
        "Tests a run again, noise off, with the same function as at the end of training:\n"
        "on the same device the figures are identical. With more words it asks how sure the\n"
        "network is: Monte Carlo beside deterministic, other data, corrupted images, images of\n"
        "other kinds; with several runs, as a deep ensemble.",
        EVALUATE_WORDS,
    )
    made.usage = "ibdrop evaluate [options] RUN [RUN ...] [KEY=VALUE ...]"
    made.add_argument(
        "words",
        metavar="RUN",
        nargs="+",
        help=f"{RUN_HELP}; several, or a SWEEP, make an ensemble; then KEY=VALUE words",
    )
    made.add_argument(
        "--artifacts",
        action="store_true",
        help="write all artifacts of a run again; those of other data go to RUN/other_data",
    )
    made.add_argument(
        "--config-dir", type=Path, metavar="DIR", help="your own folder of options, for data sets"
    )
    made.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where to write (default: RUN/evaluations/WORDS, or ensemble_N_members beside "
        "the runs)",
    )
    return made


def rank(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop rank`."""
    made = new(
        command,
        "Orders the test images by the entropy of the prediction, averaged over passes with\n"
        "the noise on (Monte Carlo dropout; batch norm stays as it is). The network with the\n"
        "noise off always stands beside: sampling need not be better.",
        "examples:\n"
        "  ibdrop rank latest\n"
        "  ibdrop rank RUN --passes 200 --images 10 --output rankings\n"
        "  ibdrop rank RUN --mask-sharing row         sharper means, less sharp rankings\n"
        "  ibdrop rank RUN dataset.root=/data/mine    the data lie elsewhere now\n\n"
        "next: `ibdrop heatmap RUN --index 3,17` shows what the network saw in those images.",
    )
    add_run(made)
    made.add_argument("--passes", type=positive, metavar="T", help=as_run("passes per image, 50"))
    made.add_argument(
        "--images", type=positive, metavar="N", help=as_run("images at each end, 30 per class")
    )
    made.add_argument(
        "--mask-sharing",
        choices=("batch", "row"),
        help=as_run("batch, one mask of each pass for all images; row, one for each image"),
    )
    made.add_argument(
        "--design",
        choices=("balanced", "antithetic", "independent"),
        help=as_run("how the masks of a group of passes go together, balanced"),
    )
    add_output(made)
    return made


def heatmap(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop heatmap`."""
    made = new(
        command,
        "Draws where the information passes: KL in nats per position of every noisy layer.",
        "examples:\n"
        "  ibdrop heatmap latest\n"
        "  ibdrop heatmap RUN --images 12\n"
        "  ibdrop heatmap RUN --index 3,17,256 --output hard_cases\n\n"
        "next: `ibdrop report RUN` puts all pictures of the run on one page.",
    )
    add_run(made)
    made.add_argument(
        "--images", type=positive, metavar="N", help=as_run("test images to draw, 8")
    )
    made.add_argument(
        "--index", type=indices, metavar="I,J,...", help="numbers of the test images to draw"
    )
    add_output(made)
    return made


def reconstruct(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop reconstruct`."""
    made = new(
        command,
        "Draws what an autoencoder gives back: originals, corrupted, reconstructed, beside PCA\n"
        "of the same width; filters; codes and their noise; the decoded manifold,\n"
        "interpolations and draws from the prior.",
        "examples:\n"
        "  ibdrop reconstruct latest\n"
        "  ibdrop reconstruct RUN --images 20 --output pictures\n"
        "  ibdrop reconstruct RUN dataset.root=/data/mine    the data lie elsewhere now\n\n"
        "next: `ibdrop report RUN` puts all pictures of the run on one page.",
    )
    add_run(made)
    made.add_argument(
        "--images", type=positive, metavar="N", help=as_run("test images to draw large, 10")
    )
    add_output(made)
    return made


def report(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop report`."""
    made = new(
        command,
        "Writes report.html, one page that holds its pictures, and REPORT.md beside it.\n"
        "For a sweep the table and its pictures are brought up to date first.",
        "examples:\n"
        "  ibdrop report latest\n"
        "  ibdrop report outputs/sweeps/2026-11-20/20-31-04_sweep-beta\n\n"
        "next: open report.html in a browser, or print it.",
    )
    made.add_argument("run", metavar="RUN|SWEEP", help="folder of a run or a sweep, or `latest`")
    return made


def compare(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop compare`."""
    made = new(
        command,
        "Sets runs side by side: the parameters that differ, what came out, how they went.",
        "examples:\n"
        "  ibdrop compare RUN RUN\n"
        "  ibdrop compare outputs/sweeps/2026-11-20/*/*/ --csv table.csv\n\n"
        "next: `ibdrop report RUN` shows one of them in full.",
    )
    made.add_argument("runs", metavar="RUN", nargs="+", help=f"{RUN_HELP}; at least two")
    made.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV too")
    return made


def runs(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop runs`."""
    made = new(
        command,
        "Lists the runs in a folder and below it, newest first.",
        "examples:\n"
        "  ibdrop runs\n"
        "  ibdrop runs outputs/sweeps --csv runs.csv\n\n"
        "next: `ibdrop compare RUN RUN` sets two of them side by side.",
    )
    made.add_argument(
        "root",
        metavar="ROOT",
        nargs="?",
        type=Path,
        help="where to look (default: $IBDROP_OUTPUTS, or else outputs)",
    )
    made.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV too")
    return made


def resume(command: str) -> argparse.ArgumentParser:
    """The parser of `ibdrop resume`."""
    made = new(
        command,
        "Continues an interrupted or killed run to the same end as if nothing had happened;\n"
        "of a sweep, every job that failed, stopped or never began.",
        "examples:\n"
        "  ibdrop resume latest\n"
        "  ibdrop resume outputs/sweeps/2026-11-20/20-31-04_sweep-beta\n\n"
        "next: the run ends by naming its folder and its report.",
    )
    made.add_argument("run", metavar="RUN|SWEEP", help="folder of a run or a sweep, or `latest`")
    return made


EVALUATE_WORDS = """\
words:
  noise=on|off          on: 50 passes with the noise on beside the deterministic figures
  passes=T              the same with T passes
  mask_sharing=batch    one mask of each pass for all images; row: one for each image
  design=balanced       how masks go together; antithetic, independent
  corruption=NAME,NAME  the test images made worse; all: in every way there is
  severity=1..5         how strong; 3, or 1,3,5
  ood=NAME,NAME         tell outliers from test images: uniform, gaussian, permuted, or
                        any data set; ood.root=DIR is where its files lie
  dataset=NAME          test on another data set with the same classes
  dataset.*, trainer.*, artifacts.*   change the run's config

examples:
  ibdrop evaluate latest
  ibdrop evaluate RUN dataset.root=/data/mnist
  ibdrop evaluate RUN --artifacts             redraw every picture, then the report
  ibdrop evaluate RUN passes=50
  ibdrop evaluate RUN corruption=all severity=1,3,5 noise=on
  ibdrop evaluate RUN ood=uniform,digits
  ibdrop evaluate RUN RUN RUN                 a deep ensemble; a SWEEP is its finished runs

next: `ibdrop rank RUN` shows the images the network is least sure of."""
