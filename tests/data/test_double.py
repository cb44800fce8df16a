from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.data.base import ImageData
from ibdrop.data.canvases import Digits
from ibdrop.data.double import double_mnist, doubled
from ibdrop.data.pairs import PairedImages, Task


def small(digits: tuple[Tensor, Tensor], seed: int = 0, task: Task = "even") -> ImageData:
    return doubled(
        "doubles",
        [Digits(*digits)] * 3,
        seed=seed,
        task=task,
        canvas=45,
        smallest=0.8,
        largest=2.0,
        sizes=(50, 20, 10),
        redraw=True,
    )


def test_the_task_names_the_classes(digits: tuple[Tensor, Tensor]) -> None:
    for task, classes in (("even", "02468"), ("odd", "13579")):
        data = small(digits, task="even" if task == "even" else "odd")
        assert data.spec == (1, 45, 45, tuple(classes))
        assert data.name == f"doubles ({task})"
        assert [len(split) for split in (data.train, data.val, data.test)] == [50, 20, 10]


def test_only_training_canvases_are_redrawn(digits: tuple[Tensor, Tensor]) -> None:
    data = small(digits)
    for split, redrawn in ((data.train, True), (data.val, False), (data.test, False)):
        first, second = (split.batch(torch.arange(10), epoch).images for epoch in (0, 1))
        assert torch.equal(first, second) is not redrawn


def test_the_test_does_not_depend_on_the_seed(digits: tuple[Tensor, Tensor]) -> None:
    one, other = small(digits, 0), small(digits, 1)
    index = torch.arange(10)
    assert torch.equal(one.test.batch(index).images, other.test.batch(index).images)
    assert not torch.equal(one.val.batch(index).images, other.val.batch(index).images)
    assert not torch.equal(one.train.batch(index).images, other.train.batch(index).images)


def test_double_mnist(mnist_root: str) -> None:
    even, odd = (double_mnist(3, root=mnist_root, task=task) for task in ("even", "odd"))
    assert even.spec.classes == tuple("02468")
    assert odd.spec.classes == tuple("13579")
    for name, size, kinds in (
        ("train", 50_000, (24_552, 25_448)),
        ("val", 10_000, (4_940, 5_060)),
        ("test", 10_000, (4_926, 5_074)),
    ):
        one, other = getattr(even, name), getattr(odd, name)
        assert isinstance(one, PairedImages)
        assert len(one) == len(other) == size
        assert tuple(len(kind) for kind in one.kinds) == kinds
        assert (one.sizes.least, len(one.sizes.first)) == (23, 34)
        index = torch.arange(300)
        asked, other_way = one.batch(index), other.batch(index)
        assert torch.equal(asked.images, other_way.images)
        layout = one.layout(torch.arange(size))
        end = layout.corners + layout.extents
        gap = torch.maximum(layout.corners[:, 0] - end[:, 1], layout.corners[:, 1] - end[:, 0])
        assert int(gap.amax(1).min()) >= 1
        assert int(end.max()) <= 96
