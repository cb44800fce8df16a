"""The central recipe: a config and a folder become a finished run."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ibdrop import build
from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.errors import IbdropError, Interrupted
from ibdrop.learning.determinism import reproducible
from ibdrop.learning.fit import finish, fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.loggers import make_loggers
from ibdrop.learning.monitor import collapse_warnings
from ibdrop.learning.patience import Patience
from ibdrop.learning.progress import TrainingProgress, bar, say
from ibdrop.learning.recorder import Recorder
from ibdrop.learning.task import Task
from ibdrop.learning.trainer import TrainerOptions
from ibdrop.models.generative import Autoencoder
from ibdrop.runs import provenance
from ibdrop.runs.evaluate import fitting, images_to_see, infer
from ibdrop.runs.folder import Run
from ibdrop.runs.notes import has_information, of_costs, without_effect
from ibdrop.runs.pretrain import pretrain
from ibdrop.runs.probe import check_probe, probe
from ibdrop.runs.report import report

__all__ = ["resume", "train"]

log = logging.getLogger(__name__)


def train(
    config: dict[str, Any],
    folder: Path,
    *,
    command: Sequence[str],
    overrides: Sequence[str],
) -> float:
    """Trains, tests and reports a run.

    Arguments:
        config: The resolved config of plain values.
        folder: The run folder.
        command: The command line, word by word.
        overrides: The overrides of this very run.

    Returns:
        What a sweep minimises: the test error, in [0, 1], or the test cost in nats per image.

    Raises:
        IbdropError: What the user can mend. Where the data or the network cannot be made, no run
            is created; later, the run is marked failed or interrupted.
    """
    experiment = build.experiment(config)
    check_probe(experiment, config["probe"])
    run = Run.create(folder, config, command=command, overrides=overrides)
    return _carry_out(run, experiment)


def resume(run: Run) -> float:
    """Continues an interrupted run to the same end as if nothing had happened.

    Returns:
        As `train`.
    """
    experiment = build.experiment(run.config)
    run.update(status="running", error=None, ended=None, **provenance.process())
    return _carry_out(run, experiment)


def _carry_out(run: Run, experiment: build.Experiment) -> float:
    """The recipe: train, go back to the best epoch, test, report."""
    with Interruption() as interruption, _recording(run) as close:
        artifacts = fitting(build.artifacts(run.config), experiment.module.task)
        _describe(run, experiment)
        with reproducible(experiment.options.deterministic) as irreproducible:
            trained = _learn(run, experiment, interruption)
        figures = _test(run, trained, artifacts, experiment.options, interruption)
        run.update(notes=[*run.record["notes"], *map(_irreproducible, irreproducible)])
        close("finished")
    report(run.folder)
    _farewell(run, experiment.module.task, figures)
    return experiment.module.task.score(figures)


def _learn(run: Run, experiment: build.Experiment, interruption: Interruption) -> Trained:
    module, options, data = experiment.module, experiment.options, experiment.data
    progress = TrainingProgress(
        module.position, module.epochs, module.steps, shown=options.progress
    )
    recorder = Recorder(
        run.checkpoints,
        run.metrics_csv,
        interruption,
        options.checkpoint_minutes,
        lambda row, better: _after_epoch(run, progress, module.task, row, better),
    )
    if recorder.last.exists():
        recorder.restore(module)
    else:
        probe(run, experiment)
        pretrain(run, experiment, interruption)
    loggers = make_loggers(run.config["loggers"], run.folder, run.name)
    exact: dict[str, bool] = {"reestimate_batchnorm": run.config["reestimate_batchnorm"]}
    epochs = run.config.get("patience")
    patience = None if epochs is None else Patience(epochs)
    fit(
        module,
        data,
        options,
        recorder,
        patience=patience,
        callbacks=[progress],
        loggers=loggers,
        **exact,
    )
    interruption.check()
    finish(module, data, options, recorder, **exact)
    return Trained(
        module.model,
        data,
        experiment.device,
        run.config["seed"],
        lambda: experiment.fresh_model().eval(),
        run.folder,
    )


def _test(
    run: Run,
    trained: Trained,
    artifacts: Mapping[str, Artifact],
    options: TrainerOptions,
    interruption: Interruption,
) -> dict[str, object]:
    count = images_to_see(trained, artifacts, options.limit_images)
    with bar(shown=options.progress) as progress:
        task = progress.add_task("test", total=count, figures="")

        def on_batch(images: int) -> None:
            interruption.check()
            progress.advance(task, images)

        figures, files = infer(
            trained,
            artifacts,
            run.artifacts,
            batch_size=options.eval_batch_size,
            limit=options.limit_images,
            on_batch=on_batch,
        )
    run.update(
        metrics=figures,
        artifacts=[str(path.relative_to(run.folder)) for path in files],
        warnings=[*run.record["warnings"], *collapse_warnings(_per_layer(figures))],
    )
    return figures


def _per_layer(figures: Mapping[str, object]) -> dict[str, float]:
    """The tables of `infer` as `quantity/layer`, the form of `metrics.csv`."""
    return {
        f"{quantity}/{layer}": value
        for quantity, table in figures.items()
        if isinstance(table, Mapping)
        for layer, value in table.items()
    }


def _irreproducible(operation: str) -> str:
    return f"{operation} has no deterministic form on this device: a repeat may differ slightly"


def _describe(run: Run, experiment: build.Experiment) -> None:
    """Notes in `run.json` what was decided, and tells the user."""
    module = experiment.module
    b = module.weight.b
    device = provenance.device_name(experiment.device)
    parameters = sum(p.numel() for p in module.model.parameters() if p.requires_grad)
    notes = [experiment.data.note] if experiment.data.note else []
    if isinstance(module.model, Autoencoder):
        notes.append(of_costs(module.model, experiment.data, b))
    run.update(
        device=device,
        effective_beta=b,
        parameters=parameters,
        train_images=len(experiment.data.train),
        notes=notes,
    )
    units = run.config["beta_units"]
    run.update(warnings=without_effect(module.model, run.config, run.record["overrides"]))
    say(
        f"{run.name} on {device}: {parameters:,} parameters, "
        f"{len(experiment.data.train):,} training images, {module.epochs} epochs"
        + (
            f"; beta {run.config['beta']:g} in {units} units: one nat of KL costs b = {b:.3g}"
            if has_information(module.model)
            else ""
        )
    )


def _after_epoch(
    run: Run, progress: TrainingProgress, task: Task, row: dict[str, float], better: bool
) -> None:
    progress.show(row, task.words(row))
    for sentence in collapse_warnings(row):
        log.warning(sentence)
    fields: dict[str, Any] = {"epoch": int(row["epoch"])}
    if better:
        fields["best"] = {name: row[name] for name in ("epoch", *task.kept) if name in row}
    run.update(**fields)


Close = Callable[..., None]


@contextmanager
def _recording(run: Run) -> Iterator[Close]:
    """Leaves `run.json` saying how the run ended, whatever ends it."""
    before, started = float(run.record.get("seconds") or 0.0), time.monotonic()

    def close(status: str, error: str | None = None) -> None:
        seconds = round(before + time.monotonic() - started, 1)
        run.update(status=status, error=error, ended=provenance.now(), seconds=seconds)

    try:
        yield close
    except Interrupted as error:
        sentence = f"{error}; `ibdrop resume {run.folder}` continues it"
        close("interrupted", sentence)
        raise Interrupted(sentence, error.status - 128) from error
    except IbdropError as error:
        close("failed", str(error))
        raise
    except Exception as error:
        log.exception("the run failed")
        close("failed", traceback.format_exception_only(error)[-1].strip())
        raise


def _farewell(run: Run, task: Task, figures: dict[str, object]) -> None:
    say(task.verdict(figures))
    for sentence in run.record["warnings"]:
        say(f"warning: {sentence}", style="yellow")
    say(f"folder  {run.folder}")
    say(f"report  {run.report}")
    say(f"repeat  {provenance.repeat(run.record['command'], run.record['overrides'])}")
