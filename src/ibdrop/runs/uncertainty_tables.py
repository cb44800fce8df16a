"""Tables of how sure a network is, from the numbers that rankings and evaluations wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ibdrop.runs.cells import MISSING, Row, known, number, rows, with_error
from ibdrop.runs.page import Table

__all__ = ["corruptions", "ensemble", "outliers", "predictions", "pruning", "selective"]

FIGURES = {
    "error": ("error ↓", "{:.2%}"),
    "nll": ("NLL [nats] ↓", "{:.4f}"),
    "brier": ("Brier score ↓", "{:.4f}"),
    "ece": ("ECE ↓", "{:.2%}"),
    "aurc": ("AURC ↓", "{:.5f}"),
    "mean_entropy": ("mean entropy [nats]", "{:.4f}"),
    "mean_mutual_information": ("mean mutual information [nats]", "{:.4f}"),
    "auroc_of_error_by_entropy": ("AUROC of mistakes by entropy ↑", "{:.4f}"),
    "auroc_of_error_by_mutual_information": ("AUROC of mistakes by MI ↑", "{:.4f}"),
    "error_of_most_uncertain": ("error of the least sure", "{:.1%}"),
}
PREDICTIONS = (
    "One pass with the noise off beside the mean over passes with the noise on; sampling need "
    "not be better. ±: Monte Carlo standard error, what more passes would change. AUROC: the "
    "chance that a mistake is less sure than a success."
)
SELECTIVE = {
    "aurc": ("AURC ↓", "{:.5f}"),
    "excess_aurc": ("above the oracle ↓", "{:.5f}"),
    "auroc_of_error": ("AUROC of mistakes ↑", "{:.4f}"),
    **{
        f"accuracy_at_{share}": (f"accuracy, surest {100 * float(share):.0f} % ↑", "{:.2%}")
        for share in ("0.99", "0.95", "0.9", "0.8")
    },
}
DETECTION = {
    "auroc": ("AUROC ↑", "{:.4f}"),
    "aupr_out": ("AUPR, outliers ↑", "{:.4f}"),
    "aupr_in": ("AUPR, known ↑", "{:.4f}"),
    "fpr95": ("FPR at 95 % TPR ↓", "{:.1%}"),
}
DETECTORS = ("max_probability", "entropy", "mutual_information", "energy")
CORRUPTED = ("error", "nll", "ece", "mean_entropy", "auroc_of_error_by_entropy")
MEMBERS = ("error", "nll", "brier", "ece", "mean_entropy", "mean_mutual_information")


def predictions(folder: Path) -> list[Table]:
    """The deterministic column beside the Monte Carlo one, and what the ranking says."""
    found = rows(folder / "ranking_summary.csv") or rows(folder / "figures.csv")
    names = known(found, FIGURES)
    if not names:
        return []
    body = [
        [FIGURES[name][0], *(with_error(row, name, FIGURES[name][1]) for row in found)]
        for name in names
    ]
    said = [PREDICTIONS, *_sentences(found)]
    return [Table(("", *map(_prediction, found)), body, caption=" ".join(said))]


def _prediction(row: Row) -> str:
    passes = row.get("passes") if row.get("prediction") != "deterministic" else ""
    return f"{row.get('prediction', '')}{f', T = {passes}' if passes else ''}"


def _sentences(found: Sequence[Row]) -> list[str]:
    """How much the entropy finds, how stable the order is, and where the sampler fell back."""
    said = [sentence for row in found if (sentence := _least_sure(row))]
    last = found[-1]
    stable = [number(last, f"stability_{end}_30") for end in ("top", "bottom")]
    if stable[0] is not None and stable[1] is not None:
        said.append(
            f"Two half-runs share {30 * stable[0]:.0f} of the 30 least sure images and "
            f"{30 * stable[1]:.0f} of the 30 surest{_per_class(last)}."
        )
    note = last.get("note")
    return [*said, f"Note: {note}."] if note else said


def _least_sure(row: Row) -> str:
    count, share, times = (
        number(row, name)
        for name in ("most_uncertain", "error_of_most_uncertain", "times_overall_error")
    )
    if count is None or share is None or times is None:
        return ""
    return (
        f"{str(row.get('prediction', '')).capitalize()}: of the {count:.0f} images with the most "
        f"entropy {100 * share:.1f} % are wrong, {times:.1f} times the overall error."
    )


def _per_class(row: Row) -> str:
    ends = [number(row, f"stability_{end}_30_per_class") for end in ("top", "bottom")]
    if ends[0] is None or ends[1] is None:
        return ""
    return f", of each class {30 * ends[0]:.1f} and {30 * ends[1]:.1f} on average"


def selective(folder: Path) -> list[Table]:
    """How right the network is on the images it is surest of."""
    found = [row for row in rows(folder / "selective_summary.csv") if row.get("score") != "random"]
    caption = (
        "Accuracy of the surest images where the least sure are left out. AURC: area under error "
        "against the share kept; an oracle leaves out the mistakes first."
    )
    return _table(found, SELECTIVE, ("prediction", "score"), caption)


def outliers(folder: Path) -> list[Table]:
    """How well each score tells images of another kind from test images."""
    found = [row for row in rows(folder / "ood.csv") if row.get("score") in DETECTORS]
    caption = (
        "Whether a score tells images of another kind from the test images. FPR: the share of "
        "the test images that are flagged when 95 % of the outliers are."
    )
    return _table(found, DETECTION, ("outliers", "prediction", "score"), caption)


def corruptions(folder: Path) -> list[Table]:
    """Figures against severity, as means over the corruptions."""
    found = rows(folder / "corruptions_mean.csv")
    chosen = {name: FIGURES[name] for name in CORRUPTED}
    caption = "Means over the corruptions at each severity; 0 is the test set as it is."
    return _table(found, chosen, ("severity", "prediction"), caption)


def pruning(folder: Path) -> list[Table]:
    """How many weights each layer keeps, and what the network is worth without the others."""
    layers = {
        "weights": ("weights", "{:.0f}"),
        "kept": ("kept", "{:.0f}"),
        "sparsity": ("sparsity ↑", "{:.1%}"),
        "compression": ("compression ↑", "{:.3g}"),
    }
    networks = {"weights": ("weights", "{:.0f}"), "error": FIGURES["error"], "nll": FIGURES["nll"]}
    caption = "A weight goes where its noise is far larger than itself (log alpha above 3)."
    return [
        *_table(rows(folder / "pruning.csv"), layers, ("layer",), _threshold(folder, caption)),
        *_table(rows(folder / "pruning_summary.csv"), networks, ("network",), "On the test set."),
    ]


def _threshold(folder: Path, caption: str) -> str:
    """The caption with the threshold that was really used."""
    used = [number(row, "threshold") for row in rows(folder / "pruning.csv")]
    value = next((value for value in used if value is not None), 3.0)
    return caption.replace("above 3", f"above {value:g}")


def ensemble(folder: Path) -> list[Table]:
    """The members beside their mean, with its standard deviation, and the whole."""
    found = rows(folder / "ensemble.csv")
    chosen = {name: FIGURES[name] for name in MEMBERS}
    caption = "Runs alone, their mean ± standard deviation, and the mean of their predictions."
    named = [{**row, "network": row.get("run") or row.get("of", "")} for row in found]
    return _table(named, chosen, ("network", "prediction"), caption, "_sd")


def _table(
    found: Sequence[Row],
    figures: Mapping[str, tuple[str, str]],
    words: Sequence[str],
    caption: str,
    ending: str = "_se",
) -> list[Table]:
    """A line per row, with those of the figures that occur."""
    names = known(found, figures)
    if not names:
        return []
    body = []
    for row in found:
        cells = [with_error(row, name, figures[name][1], ending) for name in names]
        body.append([*((row.get(word) or MISSING).replace("_", " ") for word in words), *cells])
    heads = (*words, *(figures[name][0] for name in names))
    return [Table(heads, body, text=range(len(words)), caption=caption)]
