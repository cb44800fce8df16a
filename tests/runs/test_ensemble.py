from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ibdrop.errors import ConfigError, RunError
from ibdrop.files import read_csv
from ibdrop.runs.ensemble import Ensemble, between, by_size, pooled, write
from ibdrop.runs.folder import Run
from ibdrop.runs.members import check_same_data, members
from ibdrop.runs.subject import Answer, Network, of_probabilities
from ibdrop.runs.sweep import Sweep
from ibdrop.sampling.predictive import Predictive, entropy

NAMES = ("seed0", "seed1", "seed2")


def logits(groups: int = 3, images: int = 40, seed: int = 0) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(groups, images, 4, generator=draws, dtype=torch.float64)


def labels(images: int = 40) -> torch.Tensor:
    return torch.arange(images) % 4


def asked(sampled: bool) -> tuple[Ensemble, Answer]:
    """An ensemble that has answered already."""
    ensemble = Ensemble(NAMES, [Network(torch.nn.Identity(), 0, None)] * 3)
    ensemble.sampled = sampled
    plain = Predictive.of_logits(logits())
    passes = [Predictive.of_logits(logits(5, seed=m)) for m in range(3)]
    return ensemble, Answer(pooled(passes, plain.mean) if sampled else plain, plain)


def test_pooled_passes_are_those_of_all_members() -> None:
    passes = [Predictive.of_logits(logits(5, seed=m)) for m in range(3)]
    found = pooled(passes, passes[0].deterministic)
    whole = Predictive.of_logits(torch.cat([logits(5, seed=m) for m in range(3)]))
    assert found.sizes == (5, 5, 5)
    for name in (
        "mean",
        "entropy",
        "expected_entropy",
        "mutual_information",
        "variance",
        "variation_ratio",
        "logit_mean",
    ):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name), msg=name)


def test_a_member_without_noise_weighs_as_much_as_one_with_many_passes() -> None:
    noisy, silent = Predictive.of_logits(logits(6, seed=1)), Predictive.of_logits(logits(1))
    found = pooled([noisy, silent], noisy.deterministic)
    torch.testing.assert_close(found.mean, (noisy.mean + silent.mean) / 2)
    assert found.votes.sum(0).sum(-1).unique().tolist() == [12]


def test_information_between_members_leaves_out_that_within() -> None:
    passes = [Predictive.of_logits(logits(5, seed=m)) for m in range(3)]
    found = pooled(passes, passes[0].deterministic)
    inside = torch.stack([one.mutual_information for one in passes]).mean(0)
    torch.testing.assert_close(between(found) + inside, found.mutual_information)
    same = pooled([passes[0]] * 3, passes[0].deterministic)
    assert between(same).max() < 1e-12


def test_rows_of_an_ensemble() -> None:
    ensemble, answer = asked(sampled=True)
    rows = ensemble.table(answer, labels())
    assert [(row["of"], row["prediction"]) for row in rows] == [
        *[("member", "deterministic")] * 3,
        ("mean of members", "deterministic"),
        ("ensemble", "deterministic"),
        *[("member", "monte carlo")] * 3,
        ("mean of members", "monte carlo"),
        ("ensemble", "monte carlo"),
    ]
    errors = [row["error"] for row in rows[:3]]
    assert rows[3]["error"] == pytest.approx(np.mean(errors))
    assert rows[3]["error_sd"] == pytest.approx(np.std(errors, ddof=1))
    p = logits().softmax(-1).mean(0)
    nll = -p.gather(1, labels()[:, None]).log().mean().item()
    assert rows[4]["nll"] == pytest.approx(nll)
    information = (entropy(p) - entropy(logits().softmax(-1)).mean(0)).mean().item()
    assert rows[4]["mean_mutual_information"] == pytest.approx(information)
    assert rows[4]["mean_mutual_information_between_members"] == pytest.approx(information)
    assert [row["run"] for row in rows[:3]] == list(NAMES)
    assert not [name for row in rows for name in row if name.endswith("_se")]


def test_the_average_is_never_worse_in_nll_than_the_members_are() -> None:
    ensemble, answer = asked(sampled=False)
    *_, mean, whole = ensemble.table(answer, labels())
    assert whole["nll"] < mean["nll"]
    assert [row["prediction"] for row in ensemble.rows(answer, labels())] == ["deterministic"]


def test_sizes_run_from_one_member_to_all() -> None:
    found = Predictive.of_logits(logits())
    rows = by_size(found, labels(), 0)
    assert [(row["members"], row["subsets"]) for row in rows] == [(1, 3), (2, 3), (3, 1)]
    whole = -found.mean.gather(1, labels()[:, None]).log().mean().item()
    assert rows[2]["nll"] == pytest.approx(whole)
    assert rows[2]["nll_least"] == rows[2]["nll_most"]
    assert rows[0]["nll_least"] < rows[0]["nll"] < rows[0]["nll_most"]


def test_many_subsets_are_drawn_by_the_seed() -> None:
    found = Predictive.of_logits(logits(10))
    rows = by_size(found, labels(), 3)
    assert rows[4]["subsets"] == 60 < math.comb(10, 5)
    assert rows == by_size(found, labels(), 3)


@pytest.mark.parametrize("sampled", [False, True])
def test_files(sampled: bool, tmp_path: Path) -> None:
    ensemble, answer = asked(sampled)
    files = write(tmp_path, ensemble, answer, labels(), 0)
    assert [path.name for path in files] == [
        "ensemble.png",
        "ensemble.csv",
        "ensemble_size.csv",
        "ensemble_predictions.npz",
    ]
    assert len(read_csv(tmp_path / "ensemble.csv")) == 5 * (1 + sampled)
    with np.load(tmp_path / "ensemble_predictions.npz") as content:
        p = content["deterministic_probabilities"]
        np.testing.assert_allclose(p.sum(1), 1)
        np.testing.assert_allclose(content["deterministic_members"].mean(0), p)
        assert list(content["members"]) == list(NAMES)
        assert ("monte_carlo_members" in content) == sampled
    first = (tmp_path / "ensemble.png").read_bytes()
    write(tmp_path, ensemble, answer, labels(), 0)
    assert (tmp_path / "ensemble.png").read_bytes() == first


def run(folder: Path, status: str = "finished", **dataset: object) -> Run:
    config = {"name": folder.name, "dataset": {"_target_": "x", "root": folder.name, **dataset}}
    made = Run.create(folder, config, command=[], overrides=[])
    made.update(status=status)
    return made


def test_a_sweep_stands_for_its_finished_runs(tmp_path: Path) -> None:
    Sweep.create(tmp_path / "sweep", command=[], overrides=[], jobs=[])
    for name, status in (("0_a", "finished"), ("1_b", "failed"), ("2_c", "finished")):
        run(tmp_path / "sweep" / name, status)
    found = members([Sweep.open(tmp_path / "sweep"), run(tmp_path / "d")])
    assert [one.folder.name for one in found] == ["0_a", "2_c", "d"]


def test_an_unfinished_run_is_no_member(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        members([run(tmp_path / "a"), run(tmp_path / "b", "failed")])
    assert str(caught.value) == (f"{tmp_path}/b is failed; an ensemble is made of finished runs")


def test_a_run_cannot_be_two_members(tmp_path: Path) -> None:
    one = run(tmp_path / "a")
    with pytest.raises(RunError, match=r"/a is named twice; an ensemble needs different runs$"):
        members([one, one])


def test_one_member_is_too_few(tmp_path: Path) -> None:
    Sweep.create(tmp_path / "sweep", command=[], overrides=[], jobs=[])
    run(tmp_path / "sweep" / "0_a")
    with pytest.raises(RunError, match=r"^an ensemble needs at least two finished runs, and here"):
        members([Sweep.open(tmp_path / "sweep")])


def test_other_data_are_named_key_by_key(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", canvas=40), run(tmp_path / "b", canvas=60, border=2)]
    check_same_data([runs[0], run(tmp_path / "c", canvas=40)])
    with pytest.raises(ConfigError) as caught:
        check_same_data(runs)
    assert caught.value.problems == (
        f"dataset.canvas: 40 in {tmp_path}/a and 60 in {tmp_path}/b; "
        "the members of an ensemble need the same data",
        f"dataset.border: not there in {tmp_path}/a and 2 in {tmp_path}/b; "
        "the members of an ensemble need the same data",
    )


def test_a_distribution_that_is_sure_stays_so() -> None:
    p = torch.zeros(2, 3, 4)
    p[..., 0] = 1
    assert between(of_probabilities(p)).tolist() == [0, 0, 0]
