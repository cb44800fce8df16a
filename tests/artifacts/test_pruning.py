from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ibdrop.artifacts.pruning import Pruning, prune, sparse_layers
from ibdrop.files import read_csv
from ibdrop.models.mlp import MLP
from ibdrop.noise.baselines import GaussianNoise
from ibdrop.noise.sparse import SparseVariationalNoise


def network(threshold: float = 3.0) -> MLP:
    """Two sparse layers; of the first every weight below the tenth column is noise."""
    torch.manual_seed(0)
    made = MLP(
        1, (16, 16), 3, lambda width: SparseVariationalNoise(width, threshold=threshold), width=8
    )
    first = made.hidden["D1"]
    with torch.no_grad():
        first.affine.weight.fill_(0.1)
        first.noise.log_sigma2.fill_(-10)
        first.noise.log_sigma2[:, 10:] = 0
    return made.eval()


def test_counts_are_those_of_the_network(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    model = network()
    model.hidden = nn.ModuleDict({name: model.hidden[name] for name in ("D1", "D2")})
    files = synthetic.run(Pruning(), synthetic.trained(tmp_path, model), tmp_path)
    assert [file.name for file in files] == [
        "pruning.png",
        "pruning.csv",
        "pruning_summary.csv",
        "pruning_histogram.csv",
    ]
    rows = {row["layer"]: row for row in read_csv(tmp_path / "pruning.csv")}
    assert [*rows] == ["D1", "D2", "dense layers", "total"]
    first, total = rows["D1"], rows["total"]
    assert (first["weights"], first["kept"], first["threshold"]) == ("2048", "80", "3.0")
    assert float(first["sparsity"]) == pytest.approx(1 - 80 / 2048)
    assert float(first["compression"]) == pytest.approx(2048 / 80)
    assert (rows["dense layers"]["weights"], rows["dense layers"]["kept"]) == ("24", "24")
    assert int(total["weights"]) == 2048 + 64 + 24
    assert int(total["kept"]) == 80 + int(rows["D2"]["kept"]) + 24
    assert total["threshold"] == ""


def test_the_summary_is_both_networks_on_the_same_images(
    tmp_path: Path, synthetic: SimpleNamespace
) -> None:
    model = network()
    trained = synthetic.trained(tmp_path, model)
    synthetic.run(Pruning(), trained, tmp_path)
    batch = trained.data.test.batch(torch.arange(synthetic.count))
    cut = copy.deepcopy(model)
    for layer in sparse_layers(cut).values():
        layer.affine.weight.data *= layer.noise.kept(layer.affine)
    for row, net in zip(read_csv(tmp_path / "pruning_summary.csv"), (model, cut), strict=True):
        logits = net(trained.data.inputs(batch.images), sample=False).logits.double()
        accuracy = float((logits.argmax(1) == batch.labels).double().mean())
        assert float(row["accuracy"]) == pytest.approx(accuracy)
        assert float(row["error"]) == pytest.approx(1 - accuracy)
        nll = nn.functional.cross_entropy(logits, batch.labels)
        assert float(row["nll"]) == pytest.approx(float(nll.detach()), rel=1e-5)
        assert row["images"] == str(synthetic.count)


def test_the_histogram_has_every_weight(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    model = network()
    model.hidden["D2"].affine.weight.data[0, 0] = 1e6
    synthetic.run(Pruning(), synthetic.trained(tmp_path, model), tmp_path)
    rows = read_csv(tmp_path / "pruning_histogram.csv")
    for name, weights in (("D1", 2048), ("D2", 64), ("D3", 64)):
        counts = [int(row["weights"]) for row in rows if row["layer"] == name]
        assert len(counts) == 64
        assert sum(counts) == weights
        above = sum(
            int(row["weights"])
            for row in rows
            if row["layer"] == name and float(row["from"]) >= 3.0
        )
        table = {row["layer"]: row for row in read_csv(tmp_path / "pruning.csv")}
        assert above == weights - int(table[name]["kept"])


def test_the_trained_network_is_untouched(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    synthetic.run(Pruning(), synthetic.trained(tmp_path, model), tmp_path)
    assert not model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_pruning_zeroes_what_is_above_the_threshold_and_nothing_else() -> None:
    model = network()
    pruned = prune(model)
    for old, new in zip(
        sparse_layers(model).values(), sparse_layers(pruned).values(), strict=True
    ):
        kept = old.noise.kept(old.affine)
        assert torch.equal(new.affine.weight, old.affine.weight * kept)
    assert torch.equal(pruned.out.weight, model.out.weight)


def test_a_network_can_lose_every_weight(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    model = network(threshold=-8.0)
    synthetic.run(Pruning(), synthetic.trained(tmp_path, model), tmp_path)
    rows = {row["layer"]: row for row in read_csv(tmp_path / "pruning.csv")}
    assert rows["D1"]["kept"] == "0"
    assert float(rows["D1"]["sparsity"]) == 1
    assert float(rows["D1"]["compression"]) == float("inf")
    assert (tmp_path / "pruning.png").stat().st_size > 10_000


def test_other_networks_get_no_files(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    gaussian = MLP(1, (16, 16), 3, GaussianNoise, width=4).eval()
    for model in (None, gaussian):
        assert synthetic.run(Pruning(), synthetic.trained(tmp_path, model), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_layers_of_one_name_are_told_apart() -> None:
    both = nn.ModuleDict({"left": network(), "right": network()})
    assert [*sparse_layers(network())] == ["D1", "D2", "D3"]
    assert [*sparse_layers(both)][:2] == ["left.hidden.D1", "left.hidden.D2"]


def test_the_same_network_gives_the_same_bytes(tmp_path: Path, synthetic: SimpleNamespace) -> None:
    for name in ("one", "two"):
        synthetic.run(Pruning(), synthetic.trained(tmp_path, network()), tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
