"""Training gives the same weights however it is cut, and wherever it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop import build
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.data.base import Batch, ImageSet
from ibdrop.errors import Interrupted
from ibdrop.files import read_csv
from ibdrop.learning import loader
from ibdrop.learning.batchnorm import reestimate
from ibdrop.learning.fit import finish, fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.recorder import Recorder

TINY = (
    "model=mlp",
    "model.width=16",
    "model.batch_norm=true",
    "dataset=digits",
    "epochs=3",
    "batch_size=200",
    "trainer=cpu",
    "name=test",
)


class StopsAt(Interruption):
    """A signal that comes at a given check."""

    def __init__(self, check: int) -> None:
        super().__init__()
        self.left = check

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted("stopped by SIGTERM", 15)


def experiment(*overrides: str) -> build.Experiment:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = OmegaConf.to_container(compose("train", [*TINY, *overrides]), resolve=True)
    assert isinstance(config, dict)
    return build.experiment({str(key): value for key, value in config.items()})


def recorder(folder: Path, interruption: Interruption) -> Recorder:
    return Recorder(folder, folder / "metrics.csv", interruption, 5, lambda *_: None)


def whole(folder: Path, *overrides: str) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    built = experiment(*overrides)
    written = recorder(folder, Interruption())
    fit(built.module, built.data, built.options, written)
    return _result(built, written, folder)


def _result(
    built: build.Experiment, written: Recorder, folder: Path
) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    finish(built.module, built.data, built.options, written, reestimate_batchnorm=True)
    rows = read_csv(folder / "metrics.csv")
    for row in rows:
        del row["seconds"]
    return built.module.model.state_dict(), rows


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    tracked = "num_batches_tracked"
    names = [name for name in first if not name.endswith(tracked)]
    return all(torch.equal(first[name], second[name]) for name in names)


@pytest.mark.parametrize("check", range(1, 19))
def test_an_interrupted_run_ends_like_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: int
) -> None:
    """Every fifth of an epoch and every validation is a place to be interrupted at."""
    monkeypatch.setattr(loader, "MOST_STEPS", 1)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    weights, rows = whole(tmp_path / "a")
    built = experiment()
    with pytest.raises(Interrupted):
        fit(built.module, built.data, built.options, recorder(tmp_path / "b", StopsAt(check)))
    again = experiment()
    written = recorder(tmp_path / "b", Interruption())
    written.restore(again.module)
    fit(again.module, again.data, again.options, written)
    resumed, resumed_rows = _result(again, written, tmp_path / "b")
    assert equal(weights, resumed)
    assert resumed_rows == rows


def test_chunking_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "MOST_STEPS", 1)
    one, rows = whole(tmp_path)
    monkeypatch.setattr(loader, "MOST_STEPS", 256)
    many, more_rows = whole(tmp_path)
    assert equal(one, many)
    for row, other in zip(rows, more_rows, strict=True):
        for name, value in row.items():
            assert float(value) == pytest.approx(float(other[name]), rel=1e-9)


@pytest.mark.parametrize("workers", [1, 3])
def test_pictures_on_disk_teach_what_pictures_in_memory_teach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(loader, "MOST_STEPS", 1)
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    images = random.integers(0, 200, (300, 8, 8, 3), dtype=np.uint8) + labels[:, None, None, None]
    np.savez(tmp_path / "my.npz", images=images.astype(np.uint8), labels=labels)
    found = []
    for resident in (4.0, 0.0):
        own = ("dataset=arrays", f"dataset.file={tmp_path / 'my.npz'}", "augment=shift_flip")
        how = (f"dataset.resident={resident}", f"dataset.workers={workers}", "batch_size=32")
        found.append(whole(tmp_path, *own, *how, "dataset.normalise=standard"))
    (kept, rows), (streamed, other_rows) = found
    assert equal(kept, streamed)
    assert rows == other_rows


@pytest.mark.parametrize(("resident", "times"), [(4.0, 1), (0.0, 3)])
def test_only_what_fits_in_memory_is_kept_between_validations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resident: float, times: int
) -> None:
    images = np.zeros((60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "my.npz", images=images, labels=np.arange(60) % 3)
    file = f"dataset.file={tmp_path / 'my.npz'}"
    built = experiment("dataset=arrays", file, f"dataset.resident={resident}", "batch_size=8")
    val, asked = built.data.val, []
    plain = type(val).batch

    def counted(self: ImageSet, index: torch.Tensor, epoch: int = 0) -> Batch:
        if self is val:
            asked.append(index)
        return plain(self, index, epoch)

    monkeypatch.setattr(type(val), "batch", counted)
    fit(built.module, built.data, built.options, recorder(tmp_path, Interruption()))
    assert len(asked) == times


def test_clipping_and_warm_up_are_heard(tmp_path: Path) -> None:
    plain, _ = whole(tmp_path)
    clipped, _ = whole(tmp_path, "trainer.gradient_clip=1e-6")
    assert not equal(plain, clipped)
    _, rows = whole(tmp_path, "beta=2", "beta_units=nats", "beta_warmup=4")
    assert [float(row["beta_effective"]) for row in rows] == pytest.approx([0.5, 1.0, 1.5])


def test_zero_beta_never_pulls_at_alpha(tmp_path: Path) -> None:
    """With beta 0 the loss is the cross-entropy exactly."""
    _, rows = whole(tmp_path, "beta=0")
    assert all(row["train_loss"] == row["train_ce"] for row in rows)


def test_validation_sees_the_moments_of_the_noise_switched_off(tmp_path: Path) -> None:
    """Without that, single epochs look like chance, as the Keras port's did."""
    built = experiment("epochs=1")
    fit(built.module, built.data, built.options, recorder(tmp_path, Interruption()))
    model = built.module.model
    seen = {name: value.clone() for name, value in model.named_buffers() if "running" in name}
    inputs = [
        built.data.inputs(built.data.train.batch(index).images)
        for index in torch.arange(1000).split(built.options.eval_batch_size)
    ]
    reestimate(model, inputs)
    assert seen
    for name, value in model.named_buffers():
        if name in seen:
            torch.testing.assert_close(value, seen[name], msg=name)


def test_no_epoch_is_the_best_before_beta_has_risen(tmp_path: Path) -> None:
    built = experiment("beta=1", "beta_warmup=2", "epochs=4", "optim.lr=0")
    written = recorder(tmp_path, Interruption())
    fit(built.module, built.data, built.options, written)
    assert written.best is not None
    assert written.best["epoch"] == 2
