"""Experiment trackers that get one row per epoch beside `metrics.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning.loggers import Logger

from ibdrop.errors import ConfigError

__all__ = ["make_loggers"]


def make_loggers(names: Sequence[str], folder: Path, name: str) -> list[Logger]:
    """Creates the trackers that are asked for; `csv` is ours and always written.

    Arguments:
        names: Any of `csv`, `tensorboard`, `mlflow`.
        folder: The run folder, in which the trackers keep their files.
        name: The name of the run.

    Raises:
        ConfigError: The tracker's package is not installed.
    """
    makers = {"tensorboard": _tensorboard, "mlflow": _mlflow}
    return [makers[tracker](folder, name) for tracker in names if tracker in makers]


def _tensorboard(folder: Path, name: str) -> Logger:
    try:
        from pytorch_lightning.loggers import TensorBoardLogger

        return TensorBoardLogger(folder, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise _missing("tensorboard") from error


def _mlflow(folder: Path, name: str) -> Logger:
    """MLflow's SQLite store: its plain file store is no longer supported."""
    try:
        from pytorch_lightning.loggers import MLFlowLogger

        uri = f"sqlite:///{folder / 'mlflow.db'}"
        return MLFlowLogger("ibdrop", run_name=name, tracking_uri=uri)
    except ModuleNotFoundError as error:
        raise _missing("mlflow") from error


def _missing(name: str) -> ConfigError:
    return ConfigError(
        [f"loggers: {name} is not installed; `pip install 'ibdrop[{name}]'` brings it"]
    )
