"""Figures of merit: how right a network is, and how well it knows when it is not."""

from __future__ import annotations

from ibdrop.merit.calibration import (
    adaptive_calibration_error,
    brier_score,
    calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
)
from ibdrop.merit.rows import figures, most_uncertain, plain_figures
from ibdrop.merit.selection import (
    aurc,
    auroc,
    auroc_of_error,
    error_of_most_uncertain,
    excess_aurc,
    risk_coverage,
)
from ibdrop.merit.uncertainty import detection, scores

__all__ = [
    "adaptive_calibration_error",
    "aurc",
    "auroc",
    "auroc_of_error",
    "brier_score",
    "calibration_error",
    "detection",
    "error_of_most_uncertain",
    "excess_aurc",
    "expected_calibration_error",
    "figures",
    "most_uncertain",
    "negative_log_likelihood",
    "plain_figures",
    "reliability",
    "risk_coverage",
    "scores",
]
