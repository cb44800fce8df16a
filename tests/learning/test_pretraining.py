from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import StaticImages
from ibdrop.errors import ConfigError, Interrupted, TrainingError
from ibdrop.files import read_csv
from ibdrop.learning.loader import batches
from ibdrop.learning.pretraining import Options, Row, fused_step, pixels, pretrain, read_by
from ibdrop.models.likelihood import floor
from ibdrop.models.stacked import StackedAutoencoder
from ibdrop.noise.baselines import NoNoise

COUNT, SIDE = 46, 5


def tiny(**options: Any) -> StackedAutoencoder:
    torch.manual_seed(0)
    given: dict[str, Any] = {
        "hidden": [9, 7, 6],
        "corruption": [0.2, 0.0, 0.3],
        "pretrain_epochs": 2,
        "pretrain_lr": 0.5,
        "pretrain_batch": 8,
    }
    return StackedAutoencoder(1, (SIDE, SIDE), 3, NoNoise, **{**given, **options}).double()


def images() -> StaticImages:
    source = torch.Generator().manual_seed(1)
    grey = torch.randint(0, 256, (COUNT, 1, SIDE, SIDE), generator=source, dtype=torch.uint8)
    return StaticImages(grey, torch.arange(COUNT) % 3)


def unit(pictures: Tensor) -> Tensor:
    return pictures.double() / 255


def run(
    model: StackedAutoencoder, folder: Path, options: Options | None = None, **given: Any
) -> list[Row]:
    return pretrain(
        model,
        images(),
        given.pop("inputs", unit),
        options or Options(**given),
        checkpoint=folder / "pretraining.ckpt",
        table=folder / "pretraining.csv",
    )


def without_time(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def weights(model: StackedAutoencoder) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("corruption", [0.0, 0.4])
def test_the_fused_step_is_that_of_autograd(corruption: float) -> None:
    stage = tiny(corruption=[corruption] * 3).pretraining()[0]
    stage.visible.uniform_(-1, 1)
    x = unit(images().images[:8]).flatten(1)
    for _ in range(3):
        seen = stage.corrupt(x)
        parts = [stage.weight, stage.bias, stage.visible.requires_grad_()]
        cost = stage.cost(x, seen)
        gradients = torch.autograd.grad(cost, parts)
        stage.visible.requires_grad_(False)
        expected = [p.detach() - 0.3 * g for p, g in zip(parts, gradients, strict=True)]
        with torch.no_grad():
            found = fused_step(stage, x, seen, 0.3)
        assert torch.allclose(found, cost.detach(), rtol=1e-12)
        for part, wanted in zip(parts, expected, strict=True):
            assert torch.allclose(part.detach(), wanted, rtol=0, atol=1e-13)


def test_what_is_kept_for_a_layer_is_what_the_network_computes(tmp_path: Path) -> None:
    model = tiny()
    run(model, tmp_path)
    with torch.no_grad():
        x = pixels(images(), unit, COUNT)
        for number, stage in enumerate(model.pretraining(), start=1):
            x = read_by(stage, x)
            assert torch.allclose(x, model.encode(unit(images().images), number), atol=1e-14)


def naive(model: StackedAutoencoder, epochs: int) -> Iterator[float]:
    """Recomputes the layers below for every batch, and lets autograd and SGD do the rest."""
    for number, stage in enumerate(model.pretraining()):
        stage.visible.requires_grad_()
        optimizer = torch.optim.SGD([stage.weight, stage.bias, stage.visible], model.pretrain_lr)
        for _ in range(epochs):
            costs = []
            for batch in list(batches(images(), model.pretrain_batch))[: COUNT // 8]:
                with torch.no_grad():
                    x = model.encode(unit(batch.images), number)
                optimizer.zero_grad()
                cost = stage.cost(x, x)
                cost.backward()
                optimizer.step()
                costs.append(float(cost.detach()))
            yield sum(costs) / len(costs)


def test_it_equals_the_naive_loop(tmp_path: Path) -> None:
    plain = {"corruption": [0.0, 0.0, 0.0], "pretrain_epochs": 3}
    ours, theirs = tiny(**plain), tiny(**plain)
    rows = run(ours, tmp_path, shuffle=False)
    costs = list(naive(theirs, 3))
    assert [row["cost"] for row in rows] == pytest.approx(costs, rel=1e-12)
    for one, other in zip(weights(ours), weights(theirs), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_rows_and_their_file(tmp_path: Path) -> None:
    seen: list[Row] = []
    steps: list[tuple[int, int]] = []
    rows = run(tiny(), tmp_path, on_epoch=seen.append, on_step=lambda *told: steps.append(told))
    assert seen == rows
    places = [(row["layer"], row["epoch"]) for row in rows]
    assert places == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert steps == [(5 * number, 30) for number in range(1, 7)]
    least = float(floor(unit(images().images), "bernoulli").mean())
    assert rows[0]["floor"] == pytest.approx(least, rel=1e-12)
    assert all(row["cost"] > row["floor"] for row in rows)
    written = read_csv(tmp_path / "pretraining.csv")
    assert list(written[0]) == ["layer", "epoch", "cost", "floor", "seconds"]
    assert [float(row["cost"]) for row in written] == [row["cost"] for row in rows]


def test_pretraining_lowers_the_cost_of_each_layer(tmp_path: Path) -> None:
    rows = run(tiny(pretrain_epochs=30), tmp_path)
    for layer in (1, 2, 3):
        costs = [row["cost"] for row in rows if row["layer"] == layer]
        assert costs[-1] < costs[0]


def test_a_seed_repeats_itself_and_another_does_not(tmp_path: Path) -> None:
    results = []
    for number, seed in enumerate([3, 3, 4]):
        folder = tmp_path / str(number)
        folder.mkdir()
        torch.manual_seed(number)
        model = tiny()
        results.append((without_time(run(model, folder, seed=seed)), weights(model)))
    (first, one), (again, two), (other, three) = results
    assert first == again
    assert equal(one, two)
    assert first != other
    assert not equal(one, three)


def test_the_softmax_stays_as_it_was(tmp_path: Path) -> None:
    model = tiny()
    run(model, tmp_path)
    assert not model.out.weight.any()
    assert not model.out.bias.any()
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("calls", [1, 3, 5])
def test_a_stopped_run_goes_on_at_the_layer_to_the_same_end(tmp_path: Path, calls: int) -> None:
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.mkdir()
    part.mkdir()
    model = tiny()
    rows = run(model, whole)
    left = calls

    def check() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Interrupted("stopped by SIGTERM", 15)

    with pytest.raises(Interrupted):
        run(tiny(), part, check=check)
    resumed = tiny()
    steps: list[int] = []
    again = run(resumed, part, on_step=lambda done, _: steps.append(done))
    assert without_time(again) == without_time(rows)
    layers_done = (calls - 1) // 2
    assert steps == [5 * number for number in range(1 + 2 * layers_done, 7)]
    assert equal(weights(model), weights(resumed))
    assert len(read_csv(part / "pretraining.csv")) == 6


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    model, again = tiny(), tiny()
    rows = run(model, tmp_path)
    steps: list[int] = []
    assert run(again, tmp_path, on_step=lambda done, _: steps.append(done)) == rows
    assert steps == []
    assert equal(weights(model), weights(again))


def test_no_epochs_leave_the_network_and_the_folder_alone(tmp_path: Path) -> None:
    model = tiny(pretrain_epochs=0)
    before = weights(model)
    assert run(model, tmp_path) == []
    assert equal(before, weights(model))
    assert list(tmp_path.iterdir()) == []


def test_limits_and_batches_larger_than_the_set(tmp_path: Path) -> None:
    steps: list[int] = []
    limited = Options(limit_epochs=1, limit_steps=2, on_step=lambda done, _: steps.append(done))
    rows = run(tiny(), tmp_path, limited)
    assert len(rows) == 3
    assert steps == [2, 4, 6]
    folder = tmp_path / "all"
    folder.mkdir()
    assert len(run(tiny(pretrain_batch=1000), folder)) == 6


def test_pixels_out_of_range_are_refused_before_a_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"reach the network as -1 to 1; .*normalise=unit"):
        run(tiny(), tmp_path, inputs=lambda pictures: 2 * unit(pictures) - 1)
    assert list(tmp_path.iterdir()) == []


def test_a_cost_that_is_no_number_says_where(tmp_path: Path) -> None:
    model = tiny()
    with torch.no_grad():
        model.hidden[1].bias.fill_(float("nan"))  # type: ignore[operator]
    with pytest.raises(TrainingError, match=r"layer 2 became nan in epoch 1; .*pretrain_lr"):
        run(model, tmp_path)
