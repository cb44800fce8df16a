"""What comes before training where a network's layers learn one after the other."""

from __future__ import annotations

from ibdrop.build import Experiment
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.pretraining import Options, Row
from ibdrop.learning.pretraining import pretrain as carry_out
from ibdrop.learning.progress import bar
from ibdrop.models.stacked import StackedAutoencoder
from ibdrop.runs.folder import Run

__all__ = ["pretrain"]


def pretrain(run: Run, experiment: Experiment, interruption: Interruption) -> None:
    """Pretrains a stack, or the layers of it that a stopped run has left; other networks wait.

    Leaves `pretraining.csv`, a row for each epoch of each layer, and the checkpoint
    `pretrained.ckpt`.

    Arguments:
        run: The run.
        experiment: What was built for it; its network is changed in place.
        interruption: Tells whether a signal has come.
    """
    module, options = experiment.module, experiment.options
    if not isinstance(module.model, StackedAutoencoder) or not module.model.pretrain_epochs:
        return
    with bar(shown=options.progress) as progress:
        task = progress.add_task("pretrain", total=1, figures="")

        def on_epoch(row: Row) -> None:
            words = f"layer {row['layer']}  epoch {row['epoch']:>3}  CE {row['cost']:.4f}"
            progress.console.print(words, highlight=False, soft_wrap=True)

        carry_out(
            module.model,
            experiment.data.train,
            module.inputs,
            Options(
                module.seed,
                module.shuffle,
                options.limit_epochs,
                options.limit_steps,
                lambda done, total: progress.update(task, completed=done, total=total),
                on_epoch,
                interruption.check,
            ),
            checkpoint=run.checkpoints / "pretrained.ckpt",
            table=run.folder / "pretraining.csv",
        )
