from __future__ import annotations

import numpy as np

from ibdrop.artifacts.mosaic import mosaic, to_bytes


def test_images_stand_row_by_row() -> None:
    images = np.arange(1.0, 6.0)[:, None, None, None] * np.ones((1, 1, 2, 3))
    sheet = mosaic(images, 2, gap=1, blank=0)
    assert sheet.shape == (1, 8, 7)
    assert sheet[0, ::3].tolist() == [
        [1, 1, 1, 0, 2, 2, 2],
        [3, 3, 3, 0, 4, 4, 4],
        [5, 5, 5, 0, 0, 0, 0],
    ]
    assert not sheet[0, 2].any()


def test_fewer_images_than_columns_make_a_short_row() -> None:
    assert mosaic(np.ones((2, 3, 4, 4)), 5, gap=0).shape == (3, 4, 8)


def test_pixels_become_bytes() -> None:
    assert to_bytes(np.array([-1.0, 0.0, 0.5, 1.0, 2.0, np.nan])).tolist() == [
        0,
        0,
        128,
        255,
        255,
        0,
    ]
