from __future__ import annotations

from pathlib import Path

import pytest

from ibdrop.cli.main import main
from ibdrop.files import read_csv

SMOKE = ("trainer=smoke", "trainer.progress=false", "trainer.precision=fp32")
AUTOENCODER = "dataset=digits noise=none model=autoencoder model.hidden=20 optim=sgd"
DISCRETE = "dataset=digits noise=none model=discrete_vae model.units=[10]"
FEW = "dataset=digits model=mlp model.width=16"

NOISES = ("none", "binary", "concrete", "constant_lognormal", "gaussian", "information")
NOISES += ("information_binary", "sparse_variational", "variational")
INITS = ("delta_orthogonal", "glorot_normal", "he_uniform", "lsuv", "noisy_he", "tutorial")

RUNS = {
    **{f"noise {name}": f"{FEW} noise={name} artifacts=default probe=true" for name in NOISES},
    **{f"init {name}": f"dataset=digits model=lenet init={name}" for name in INITS},
    "augmented": "dataset=digits model=lenet augment=strong schedule=onecycle",
    "denoising": f"{AUTOENCODER} model.variant=denoising model.emphasis=[2,0.5]",
    "sparse": f"{AUTOENCODER} model.variant=sparse model.tied=false",
    "k-sparse": f"{AUTOENCODER} model.variant=k_sparse model.k=5",
    "contractive": f"{AUTOENCODER} model.variant=contractive",
    "stacked": "dataset=digits model=stacked_autoencoder noise=none model.hidden=[16]"
    " model.corruption=[0.1] model.pretrain_epochs=1 model.pretrain_batch=50",
    "vae": "dataset=digits noise=none model=vae model.hidden=[16]",
    "vae information": "dataset=digits noise=information model=vae model.latent=information",
    "concrete": f"{DISCRETE} model.states=4 model.samples=2",
    "straight-through": f"{DISCRETE} model.objective=analytic model.estimator=straight_through",
    "bottom": f"{DISCRETE} model.target=bottom model.binarise=dynamic",
}


def trained(folder: Path, words: str) -> list[dict[str, str]]:
    """The metrics of a run, without its times."""
    assert main(["train", *words.split(), *SMOKE, f"hydra.run.dir={folder}"]) == 0
    rows = read_csv(folder / "metrics.csv")
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def same(request: pytest.FixtureRequest, folder: Path, words: str) -> None:
    here = trained(folder / "here", words)
    request.getfixturevalue("elsewhere")
    assert trained(folder / "there", words) == here


def test_a_run_on_another_device_is_the_same(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    same(request, tmp_path, f"{FEW} noise=information")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_on_another_device_is_the_same(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    same(request, tmp_path, RUNS[name])


@pytest.mark.slow
def test_commands_read_a_run_on_another_device(tmp_path: Path, elsewhere: None) -> None:
    run = str(tmp_path / "run")
    trained(tmp_path / "run", "dataset=cluttered_digits model=allcnn model.width=0.1 probe=true")
    for words in (
        "evaluate RUN passes=2 corruption=contrast severity=1 ood=gaussian",
        "evaluate RUN --artifacts",
        "rank RUN --passes 2 --mask-sharing batch",
        "rank RUN --passes 2 --mask-sharing row --design independent",
        "explain RUN --images 2 --steps 2 --fill rerender --draws 2",
    ):
        assert main([run if word == "RUN" else word for word in words.split()]) == 0, words
