"""Files of explanations: their numbers, the alarm, and pictures for every kind of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from ibdrop.artifacts.explanations import Explained, write_explanations
from ibdrop.artifacts.explanations_content import Shown, load, percent
from ibdrop.artifacts.explanations_overview import draw_overview, layer_shown
from ibdrop.artifacts.explanations_pictures import change, draw_explanation
from ibdrop.artifacts.explanations_tables import (
    adversarial,
    archive,
    changed,
    curve_rows,
    image_rows,
    trace_rows,
)
from ibdrop.explain.base import Explanation
from ibdrop.explain.curves import BoxScores, Curve
from ibdrop.files import read_csv, write_bytes, write_csv

NUMBERS = ["explanations.npz", "explanations.csv", "explain_curves.csv", "explain_trace.csv"]


def made(areas: int = 1, channels: int = 1, images: int = 2) -> Explained:
    """Explanations of random images of 10 x 12 pixels."""
    g = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=g)

    def curve() -> Curve:
        return Curve(torch.linspace(0, 1, 6), draw(images, 6))

    size = (images, 10, 12)
    masks = draw(images, areas, 10, 12)
    steps = torch.arange(images * areas).view(images, areas) % 3 + 1
    trace = torch.rand(3, images, areas, generator=g)
    asked = tuple(0.1 * (place + 1) for place in range(areas)) if areas > 1 else ()
    boxes = BoxScores(
        torch.tensor([0.0, 0.5]),
        torch.zeros(images, 2, 4),
        torch.tensor([1.0, 0.25]).repeat(images, 1),
        torch.tensor([0.0, 0.05]).repeat(images, 1),
    )
    return Explained(
        pixels=draw(images, channels, 10, 12),
        index=torch.tensor([7, 123456])[:images],
        labels=torch.tensor([1, 0])[:images],
        classes=torch.tensor([1, 2])[:images],
        class_names=["cat", "dog", "macaque"],
        predictions=torch.tensor([1, 2])[:images],
        p_start=torch.full((images,), 0.8),
        explanation=Explanation(masks, 1 - masks.mean(1), trace, trace.sqrt(), steps, asked),
        composites=draw(images, areas, channels, 10, 12),
        composites_second=draw(images, areas, channels, 10, 12),
        p_optimised=torch.full((images, areas), 0.04),
        p_second=torch.full((images, areas), 0.2),
        p_blank=torch.full((images,), 0.3),
        p_blank_second=torch.full((images,), 0.1),
        game="deletion",
        method="meaningful",
        fill="constant",
        second_fill="blur",
        seed=3,
        settings={"score": "prob", "l1": 0.5},
        deletion=curve(),
        insertion=curve(),
        deletion_second=curve(),
        insertion_second=curve(),
        box_scores=boxes,
        kl={"D0": draw(images, 8, 9), "D1": draw(images, 3, 3)},
        baselines={"gradient": draw(*size), "integrated gradients": draw(*size) - 0.5},
        boxes=torch.tensor([[1, 2, 7, 9], [0, 0, 4, 5]])[:images],
    )


def read(found: Explained, folder: Path) -> list[Shown]:
    paths = [folder / name for name in NUMBERS]
    write_bytes(paths[0], archive(found))
    rows = (image_rows(found), curve_rows(found), trace_rows(found))
    for path, part in zip(paths[1:], rows, strict=True):
        write_csv(path, part)
    return load(*paths)


def words(figure: Figure) -> list[str]:
    """All that is written on a sheet."""
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_files_hold_numbers_and_a_picture_for_each_image(tmp_path: Path) -> None:
    found = made()
    names = [path.name for path in write_explanations(found, tmp_path)]
    assert names == ["explanations.png", "explain_000007.png", "explain_123456.png", *NUMBERS]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    with np.load(tmp_path / "explanations.npz") as numbers:
        assert numbers["images"].dtype == np.uint8
        np.testing.assert_allclose(numbers["masks"], found.explanation.masks, atol=1e-3)
        np.testing.assert_array_equal(numbers["kl_D1"], found.kl["D1"])
        assert numbers["baselines"].tolist() == ["gradient", "integrated gradients"]


def test_table_has_a_row_for_each_image_and_area(tmp_path: Path) -> None:
    found = made(areas=3)
    rows = read_csv(write_csv(tmp_path / "rows.csv", image_rows(found)))
    assert [row["index"] for row in rows] == ["7"] * 3 + ["123456"] * 3
    first, last = rows[0], rows[-1]
    assert (first["label"], first["class"], first["prediction"]) == ("dog", "dog", "dog")
    assert (last["label"], last["class"], last["prediction"]) == ("cat", "macaque", "macaque")
    assert first["asked_area"] == "0.1"
    share = 1 - float(found.explanation.masks[1, 2].mean())
    assert float(last["area"]) == pytest.approx(share, rel=1e-4)
    assert float(first["ratio"]) == pytest.approx(0.05)
    assert float(first["deletion_auc"]) == pytest.approx(float(found.deletion.auc()[0]), rel=1e-4)
    second = found.insertion_second.auc()[1]
    assert float(last["insertion_auc_second"]) == pytest.approx(float(second), rel=1e-4)
    assert (float(first["box_90"]), float(first["box_99"])) == (0.25, 1.0)
    told = [first[name] for name in ("method", "game", "fill", "second_fill", "seed", "settings")]
    assert told == ["meaningful", "deletion", "constant", "blur", "3", "score=prob l1=0.5"]


def test_steps_not_taken_leave_no_rows() -> None:
    found = made(areas=3)
    rows = trace_rows(found)
    assert len(rows) == int(found.explanation.steps.sum())
    of_one = [row for row in rows if row["index"] == 7 and row["area_number"] == 1]
    assert [row["step"] for row in of_one] == [0, 1]
    expected = found.explanation.trace[:2, 0, 1].tolist()
    assert [row["objective"] for row in of_one] == pytest.approx(expected, rel=1e-5)


def test_area_is_what_goes_or_what_stays_and_the_alarm_follows_the_game() -> None:
    found = made()
    kept = replace(found, game="preservation")
    assert torch.allclose(changed(found) + changed(kept), torch.ones(2, 1, dtype=torch.double))
    p = torch.tensor([[0.07], [0.09]])
    fooled = replace(found, p_optimised=p, p_second=torch.tensor([[0.41], [0.41]]))
    assert adversarial(fooled).tolist() == [[True], [False]]
    assert adversarial(found).tolist() == [[False], [False]]
    assert adversarial(replace(fooled, game="preservation")).tolist() == [[False], [False]]
    swapped = replace(kept, p_optimised=fooled.p_second, p_second=p)
    assert adversarial(swapped).tolist() == [[True], [False]]


def test_what_is_drawn_is_read_from_the_files(tmp_path: Path) -> None:
    found = made(areas=2)
    one, two = read(found, tmp_path)
    assert (one.number, two.number) == (7, 123456)
    assert (one.layers, one.baselines) == (["D0", "D1"], ["gradient", "integrated gradients"])
    np.testing.assert_allclose(two.curves["deletion"], found.deletion.p[1], rtol=1e-5)
    assert [len(trace) for trace in two.traces] == found.explanation.steps[1].tolist()
    np.testing.assert_allclose(two.arrays["heat"], found.explanation.heat[1])
    assert layer_shown(one) == "D0"


def test_area_shown_is_the_smallest_that_works(tmp_path: Path) -> None:
    p = torch.tensor([[0.5, 0.04, 0.01], [0.5, 0.4, 0.3]])
    masks = torch.tensor([0.9, 0.8, 0.7])[:, None, None].expand(2, 3, 10, 12)
    found = made(areas=3)
    explained = found.explanation._replace(masks=masks)
    one, two = read(replace(found, p_optimised=p, explanation=explained), tmp_path)
    assert (one.best, two.best) == (1, 2)
    said = "probability 80 % → 4 % with the fill constant, → 20 % with blur; 20 % of the picture"
    assert change(one.result) == f"{said} deleted"
    kept = replace(found, p_optimised=p, explanation=explained, game="preservation")
    assert read(kept, tmp_path)[0].best == 0


def test_title_tells_when_the_second_fill_disagrees(tmp_path: Path) -> None:
    found = replace(made(), p_second=torch.tensor([[0.7], [0.1]]))
    one, two = read(found, tmp_path)
    assert "adversarial: the second fill disagrees" in words(draw_explanation(one))
    assert not any("adversarial" in text for text in words(draw_explanation(two)))
    overview = words(draw_overview([one, two]))
    assert sum("adversarial" in text for text in overview) == 1
    assert "below a tenth of its start in 2 of 2 images with the fill constant, " in overview[1]


@pytest.mark.parametrize(("areas", "channels"), [(1, 3), (3, 1)])
def test_pictures_of_any_images(areas: int, channels: int, tmp_path: Path) -> None:
    bare = replace(
        made(areas, channels, images=1),
        kl={},
        baselines={},
        boxes=None,
        labels=torch.tensor([-1]),
        names=["macaque.jpg"],
        p_blank=torch.tensor([0.9]),
        deletion=Curve(torch.linspace(0, 1, 3), torch.full((1, 3), torch.nan)),
    )
    (shown,) = read(bare, tmp_path)
    text = words(draw_explanation(shown))
    assert text[0] == "macaque.jpg, asked for “dog”: deletion, meaningful"
    assert any(line == "p = 80 %" for line in text)
    assert "heat" in words(draw_overview([shown]))


def test_percentages_are_short() -> None:
    shares = (0.9607, 0.0126, 0.99999, 1.0, 0.0, 3e-5, 0.5, float("nan"))
    said = ["96.1 %", "1.3 %", "> 99.9 %", "100 %", "0 %", "< 0.01 %", "50 %", "n/a"]
    assert [percent(share) for share in shares] == said
