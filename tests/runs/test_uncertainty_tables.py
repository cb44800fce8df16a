"""The tables of how sure a network is say what the files say."""

from __future__ import annotations

from pathlib import Path

from ibdrop.files import write_csv
from ibdrop.runs.captions import CORRUPTIONS, ENSEMBLE, OUTLIERS, PRUNING, SURE
from ibdrop.runs.cells import with_error
from ibdrop.runs.parts import sections
from ibdrop.runs.summaries import summaries

PERCENT = "\N{NO-BREAK SPACE}%"

PLAIN = {
    "prediction": "deterministic",
    "passes": 1,
    "error": 0.0176,
    "nll": 0.0546,
    "most_uncertain": 100,
    "error_of_most_uncertain": 0.41,
    "times_overall_error": 23.3,
}
SAMPLED = {
    **PLAIN,
    "prediction": "monte carlo",
    "passes": 50,
    "error": 0.018,
    "error_se": 0.0003,
    "nll_se": float("nan"),
    "stability_top_30": 0.9,
    "stability_bottom_30": 0.8,
    "stability_top_30_per_class": 0.93,
    "stability_bottom_30_per_class": 0.63,
    "note": "the network cannot be taken apart",
}


def test_predictions_with_their_errors(tmp_path: Path) -> None:
    write_csv(tmp_path / "ranking_summary.csv", [PLAIN, SAMPLED])
    (table,) = summaries(tmp_path)[SURE]
    assert table.columns == ("", "deterministic", "monte carlo, T = 50")
    assert table.rows == [
        ["error ↓", f"1.76{PERCENT}", f"1.80 ± 0.03{PERCENT}"],
        ["NLL [nats] ↓", "0.0546", "0.0546"],
        ["error of the least sure", f"41.0{PERCENT}", f"41.0{PERCENT}"],
    ]
    assert table.caption.endswith(
        "Deterministic: of the 100 images with the most entropy 41.0 % are wrong, 23.3 times the "
        "overall error. Monte carlo: of the 100 images with the most entropy 41.0 % are wrong, "
        "23.3 times the overall error. Two half-runs share 27 of the 30 least sure images and 24 "
        "of the 30 surest, of each class 27.9 and 18.9 on average. "
        "Note: the network cannot be taken apart."
    )


def test_an_evaluation_says_which_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "evaluations" / "passes-50"
    folder.mkdir(parents=True)
    write_csv(folder / "figures.csv", [PLAIN])
    ((section,), (table,)) = sections(tmp_path), sections(tmp_path)[0].tables
    assert section.title == SURE
    assert table.caption.startswith("evaluations/passes-50: One pass with the noise off")


def test_selective_outliers_corruptions(tmp_path: Path) -> None:
    row = {"prediction": "monte carlo", "score": "mutual_information", "aurc": 0.001}
    write_csv(
        tmp_path / "selective_summary.csv",
        [{**row, "accuracy_at_0.9": 0.9995}, {**row, "score": "random"}],
    )
    write_csv(
        tmp_path / "ood.csv",
        [{"outliers": "digits", **row, "auroc": 0.95, "auroc_se": 0.01, "fpr95": 0.2}],
    )
    means = {"severity": "1 to 5", "prediction": "deterministic", "error": 0.1}
    write_csv(tmp_path / "corruptions_mean.csv", [means])
    found = summaries(tmp_path)
    assert found[SURE][0].columns == ("prediction", "score", "AURC ↓", "accuracy, surest 90 % ↑")
    assert found[SURE][0].rows == [
        ["monte carlo", "mutual information", "0.00100", f"99.95{PERCENT}"]
    ]
    assert found[OUTLIERS][0].rows == [
        ["digits", "monte carlo", "mutual information", "0.9500 ± 0.0100", f"20.0{PERCENT}"]
    ]
    assert found[CORRUPTIONS][0].rows == [["1 to 5", "deterministic", f"10.00{PERCENT}"]]


def test_pruning_and_ensembles(tmp_path: Path) -> None:
    layer = {"layer": "D1", "weights": 2000, "kept": 20, "sparsity": 0.99, "compression": 100}
    write_csv(tmp_path / "pruning.csv", [{**layer, "threshold": 2.5}])
    write_csv(
        tmp_path / "pruning_summary.csv",
        [{"network": "pruned", "weights": 20, "images": 9, "error": 0.02, "nll": 0.1}],
    )
    write_csv(
        tmp_path / "ensemble.csv",
        [
            {"of": "member", "run": "a", "members": 1, "prediction": "deterministic", "nll": 1},
            {"of": "mean of members", "run": "", "members": 2, "nll": 1.5, "nll_sd": 0.5},
        ],
    )
    found = summaries(tmp_path)
    layers, networks = found[PRUNING]
    assert layers.rows == [["D1", "2,000", "20", f"99.0{PERCENT}", "100"]]
    assert layers.caption.endswith("(log alpha above 2.5).")
    assert networks.rows == [["pruned", "20", f"2.00{PERCENT}", "0.1000"]]
    assert found[ENSEMBLE][0].rows == [
        ["a", "deterministic", "1.0000"],
        ["mean of members", "–", "1.5000 ± 0.5000"],
    ]


def test_a_figure_without_an_error_stands_alone() -> None:
    assert with_error({"ece": "0.02", "ece_se": ""}, "ece", "{:.1%}") == f"2.0{PERCENT}"
    assert with_error({"ece": ""}, "ece", "{:.1%}") == "–"
