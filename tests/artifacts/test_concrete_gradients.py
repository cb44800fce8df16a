from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.artifacts.concrete_gradients import ConcreteGradients, gradients, relaxed
from ibdrop.files import read_csv
from ibdrop.merit.gradients import scalar_law
from ibdrop.models.discrete_vae import DiscreteVAE
from ibdrop.models.vae import VAE
from ibdrop.noise.baselines import NoNoise
from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.random import Rows
from ibdrop.seeds import key

INDEX = torch.arange(6)
ALIKE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-6}


def network(**parameters: Any) -> DiscreteVAE:
    torch.manual_seed(0)
    parameters = {"units": [5], "binarise": "threshold", **parameters}
    return DiscreteVAE(1, (16, 16), 3, NoNoise, **parameters).eval()


def pixels() -> Tensor:
    return torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def test_paths_are_the_parts_of_one_gradient() -> None:
    model, x = network(), pixels()
    found = gradients(model, x, INDEX, 3, 7)
    assert {path: g.shape for path, g in found.items()} == dict.fromkeys(
        ("unit", "decoder", "KL", "total"), (3, 6, 5)
    )
    draws = Draws(key(7, "concrete_gradients"), (3,), "row", "independent", x.device)
    with drawing_from(Rows(draws, range(1, 2), INDEX, lifted=False)):
        logits = model.encode(x).detach().requires_grad_()
        y = model.relax(logits, 2 / 3)
    (model.decoder_term(y, x) + model.kl_term(y, logits)).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(found["total"][1], logits.grad, **ALIKE)


@pytest.mark.parametrize("temperature", [2.0, 0.5, 0.02])
def test_the_kl_path_does_not_know_the_temperature(temperature: float) -> None:
    r"""With densities it is r tanh((r (a + L) - b) / 2), r the ratio of the temperatures."""
    ratio = 0.75
    model = network(posterior_temperature=temperature, prior_temperature=ratio * temperature)
    assert model.prior is not None
    with torch.no_grad():
        model.prior.top.copy_(torch.linspace(-1, 1, 5))
    found = gradients(model, pixels(), INDEX, 1, 3)["KL"][0]
    draws = Draws(key(3, "concrete_gradients"), (1,), "row", "independent", found.device)
    with drawing_from(Rows(draws, range(1), INDEX, lifted=False)), torch.no_grad():
        above = model.relax(model.encode(pixels()), 1.0)
    exact = ratio * torch.tanh((ratio * above - model.prior.top.detach()) / 2)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-5)


def test_a_unit_alone_follows_the_exact_law() -> None:
    model = network(posterior_temperature=0.1)
    last = model.chain.maps[0][-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(1.0)
    g, law = gradients(model, pixels(), INDEX, 4000, 0)["unit"], scalar_law(1.0, 0.1)
    assert float(g.mean()) == pytest.approx(law.mean, rel=0.05)
    assert float(g.square().mean()) == pytest.approx(law.second, rel=0.05)
    assert float((g == 0).float().mean()) == pytest.approx(law.zeros, abs=0.01)


def test_the_decoder_path_passes_through_the_unit() -> None:
    found = gradients(network(posterior_temperature=0.02), pixels(), INDEX, 16, 0)
    stopped = found["unit"] == 0
    assert 0.3 < float(stopped.float().mean()) < 0.9
    assert bool((found["decoder"][stopped] == 0).all())
    assert not bool((found["KL"] == 0).any())


@pytest.mark.parametrize("parameters", [{}, {"states": 4}, {"binarise": "dynamic"}])
def test_draws_belong_to_images(parameters: dict[str, Any]) -> None:
    model, x = network(**parameters), pixels()
    together = gradients(model, x, INDEX, 2, 0)
    apart = gradients(model, x[3:5], INDEX[3:5], 2, 0)
    for path, g in together.items():
        torch.testing.assert_close(apart[path], g[:, 3:5], **ALIKE)
    assert not torch.equal(gradients(model, x, INDEX, 2, 1)["KL"], together["KL"])


def test_figures_are_those_of_the_gradients(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    model = network(posterior_temperature=0.4, prior_temperature=0.3)
    what = synthetic.trained(tmp_path, model)
    with torch.no_grad():
        files = synthetic.run(ConcreteGradients(images=30, draws=8), what, tmp_path / "made")
    assert [file.name for file in files] == [
        "concrete_gradients.png",
        "concrete_gradients.csv",
        "concrete_gradients_histogram.csv",
    ]
    rows = {row["path"]: row for row in read_csv(files[1])}
    assert [*rows] == ["unit", "decoder", "KL", "total"]
    index = torch.arange(30)
    x = what.data.inputs(what.data.test.batch(index).images)
    g = gradients(model, x, index, 8, what.seed)["total"].double()
    row = {name: float(rows["total"][name]) for name in ("median", "mean", "noise", "naive_snr")}
    assert row["median"] == pytest.approx(float(g.abs().median()))
    assert row["mean"] == pytest.approx(float(g.abs().mean()))
    assert row["noise"] == pytest.approx(float(g.var(0).mean().sqrt()))
    assert row["naive_snr"] == pytest.approx(float(g.mean(0).abs().mean() / g.std(0).mean()))
    assert float(rows["unit"]["temperature"]) == pytest.approx(0.4)
    assert float(rows["unit"]["prior_temperature"]) == pytest.approx(0.3)
    p = torch.sigmoid(model.encode(model.target(x)).detach().double())
    assert float(rows["unit"]["limit_mean"]) == pytest.approx(float((p * (1 - p)).mean()))
    assert rows["total"]["limit_mean"] == ""
    shares = read_csv(files[2])
    for path, row_of_path in rows.items():
        total = sum(float(each[path]) for each in shares)
        assert total == pytest.approx(1 - float(row_of_path["zeros"]))


def test_a_signal_is_told_from_what_noise_leaves_of_a_mean(
    tmp_path: Path, synthetic: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = torch.randn(64, 40, 500, generator=torch.Generator().manual_seed(0))
    made = {"unit": noise.abs(), "decoder": noise, "KL": noise + 0.5, "total": 2 * noise}
    name = "ibdrop.artifacts.concrete_gradients.gradients"
    monkeypatch.setattr(name, lambda *_: made)
    files = synthetic.run(ConcreteGradients(), synthetic.trained(tmp_path, network()), tmp_path)
    rows = {row["path"]: row for row in read_csv(files[1])}
    assert float(rows["decoder"]["snr"]) < 0.02
    assert float(rows["decoder"]["naive_snr"]) == pytest.approx(math.sqrt(2 / math.pi / 64), 0.02)
    assert float(rows["KL"]["snr"]) == pytest.approx(0.5, 0.02)


def test_other_models_get_no_files(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    others = [
        network(units=[5, 4]),
        network(target="bottom"),
        network(estimator="straight_through", objective="analytic"),
        VAE(1, (16, 16), 3, NoNoise).eval(),
    ]
    for model in others:
        assert not relaxed(model)
        assert (
            synthetic.run(ConcreteGradients(), synthetic.trained(tmp_path, model), tmp_path) == []
        )
    assert relaxed(network(estimator="gumbel_softmax", objective="analytic"))
    assert ConcreteGradients.task == "reconstruction"


def test_an_analytic_price_has_no_noise() -> None:
    model = network(objective="analytic")
    kl = gradients(model, pixels(), INDEX, 3, 0)["KL"]
    torch.testing.assert_close(kl[0], kl[1])


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match="^images=0: must be at least 1.$"):
        ConcreteGradients(images=0)
    with pytest.raises(ValueError, match="^draws=1: must be at least 2, for a deviation.$"):
        ConcreteGradients(draws=1)
