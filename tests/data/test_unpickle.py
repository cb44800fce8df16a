from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ibdrop.data.unpickle import Refused, read_pickle


class Harm:
    """What an attacker would write."""

    def __init__(self, call: Callable[..., Any], *words: Any) -> None:
        self.plan = call, words

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.plan


def refusal(content: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read_pickle(content)
    return str(caught.value)


@pytest.mark.parametrize("protocol", [3, 4])
def test_plain_values_and_arrays_of_bytes_are_read(protocol: int) -> None:
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    said = {b"data": data, b"labels": [1, 2, 3], b"batch_label": b"one", b"filenames": [b"a"]}
    found = read_pickle(pickle.dumps(said, protocol))
    pixels = found.pop(b"data")
    assert isinstance(pixels, Tensor)
    assert torch.equal(pixels, torch.arange(12, dtype=torch.uint8).view(3, 4))
    assert found == {b"labels": [1, 2, 3], b"batch_label": b"one", b"filenames": [b"a"]}


def test_the_words_of_python_2_are_read() -> None:
    """Written out: protocol 2 with byte strings and numpy's old module name, as CIFAR's are."""
    string = (b"U%c" % 4, b"data", b"U%c" % 2, b"u1", b"U%c" % 1, b"|", b"U%c" % 6, b"abcdef")
    data, kind, order, content = (a + b for a, b in zip(string[::2], string[1::2], strict=True))
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n"
    array = reconstruct + b"(cnumpy\nndarray\n(K\x00tU\x01btR"
    dtype = b"cnumpy\ndtype\n(" + kind + b"K\x00K\x01tR(K\x03" + order + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01(K\x02K\x03t" + dtype + b"I00\n" + content + b"tb"
    found = read_pickle(b"\x80\x02}(" + data + array + state + b"u.")
    pixels = found[b"data"]
    assert isinstance(pixels, Tensor)
    assert pixels.tolist() == [[97, 98, 99], [100, 101, 102]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Harm(eval, "1 + 1"), "it asks for builtins.eval"),
        (Harm(np.load, "file"), "it asks for numpy.load"),
        (Harm(bytearray, 1 << 40), "it asks for builtins.bytearray"),
        (np.float64(3), "it asks for numpy"),
        (torch.zeros(2), "it asks for torch"),
        (np.zeros(3), "it holds an array of 'f8', not of bytes"),
        (np.zeros(3, np.int8), "it holds an array of 'i1', not of bytes"),
        (np.array([None]), "it holds an array of 'O8', not of bytes"),
        (np.zeros((3, 4), np.uint8, order="F"), "it holds an array in an unknown order"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_is_not_understood_is_refused(value: object, message: str) -> None:
    assert refusal(pickle.dumps({b"data": value}, 4)).startswith(message)


def test_nothing_is_called_before_the_refusal(tmp_path: Any) -> None:
    place = tmp_path / "made"
    content = pickle.dumps({b"data": np.zeros(3, np.uint8), b"x": Harm(open, str(place), "w")}, 4)
    assert "it asks for" in refusal(content)
    assert not place.exists()


def test_a_reference_to_the_outside_is_refused() -> None:
    class Outside(pickle.Pickler):
        def persistent_id(self, obj: object) -> str | None:
            return "elsewhere" if obj == b"secret" else None

    stream = io.BytesIO()
    Outside(stream).dump({b"data": b"secret"})
    assert refusal(stream.getvalue()) == "it refers to something outside"


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", pickle.dumps({b"a": b"b" * 99})[:-20], b"\x80\x02}(U\x04data"],
)
def test_a_damaged_pickle_is_refused(content: bytes) -> None:
    assert refusal(content).startswith("it cannot be read: ")


def test_an_array_shorter_than_its_shape_is_refused() -> None:
    content = pickle.dumps({b"data": np.zeros((3, 4), np.uint8)}, 4)
    assert refusal(content.replace(b"K\x03K\x04", b"K\x03K\x05")).startswith("it cannot be read: ")


def test_what_is_no_dictionary_is_refused() -> None:
    assert refusal(pickle.dumps([1, 2])) == "it holds a list, not a dictionary"
