"""Fashion-MNIST: MNIST's shape and size, but articles of clothing."""

from __future__ import annotations

from ibdrop.data import sources
from ibdrop.data.base import ImageData, ImageSpec, StaticImages
from ibdrop.data.idx import read_idx
from ibdrop.data.splits import held_out
from ibdrop.seeds import generator

__all__ = ["fashion_mnist"]

CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def fashion_mnist(seed: int, *, root: str, val_images: int = 5_000) -> ImageData:
    """The 70,000 articles of Fashion-MNIST, 28 x 28 pixels.

    Arguments:
        seed: Chooses the validation pictures.
        root: The folder that holds `FashionMNIST/raw`, as torchvision lays it out.
        val_images: The number of validation pictures, out of the 60,000 for training.

    Raises:
        DataError: The files are missing or damaged.
        ValueError: `val_images` is out of range.

    Reference:
        Xiao et al., Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
        Algorithms (arXiv 1708.07747).
    """
    (images, labels), test = read_idx(sources.FASHION_MNIST, root)
    chooser = generator(seed, "fashion_mnist", "val")
    train, val = held_out(images[:, None], labels, val_images, chooser)
    held_back = StaticImages(test.images[:, None], test.labels)
    return ImageData("Fashion-MNIST", ImageSpec(1, 28, 28, CLASSES), train, val, held_back)
