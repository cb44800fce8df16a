from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ibdrop.initialisers import delta_orthogonal, orthogonal


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_rows_are_orthonormal_times_the_gain_of_relu() -> None:
    conv = nn.Conv2d(12, 40, 3).double()
    orthogonal(conv)
    rows = conv.weight.detach().flatten(1)
    assert torch.allclose(rows @ rows.T, 2 * torch.eye(40).double(), atol=1e-12)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_more_rows_than_weights_keep_lengths() -> None:
    layer = nn.Linear(30, 50).double()
    orthogonal(layer, gain=1.0)
    x = torch.randn(7, 30).double()
    assert torch.allclose(layer(x).norm(dim=1), x.norm(dim=1), atol=1e-12)


def test_each_group_has_a_matrix_of_its_own() -> None:
    conv = nn.Conv2d(12, 8, 3, groups=2).double()
    orthogonal(conv, gain="linear")
    for block in conv.weight.detach().flatten(1).chunk(2):
        assert torch.allclose(block @ block.T, torch.eye(4).double(), atol=1e-12)


def test_a_deep_orthogonal_linear_net_is_an_isometry() -> None:
    net = nn.Sequential(*(nn.Linear(20, 20) for _ in range(50))).double()
    orthogonal(net, gain="linear")
    x = torch.randn(5, 20).double()
    assert torch.allclose(net(x).norm(dim=1), x.norm(dim=1), rtol=1e-11)


def norms(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1)


def test_delta_orthogonal_keeps_the_norm_of_an_image_through_depth() -> None:
    later = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(40))
    net = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), *later).double()
    delta_orthogonal(net)
    x = torch.randn(4, 3, 9, 7).double()
    assert torch.allclose(norms(net(x)), norms(x), rtol=1e-11)
    kernel = net[1].weight.detach()
    assert (kernel != 0).any(0).any(0).tolist() == [
        [False, False, False],
        [False, True, False],
        [False, False, False],
    ]


def test_a_stride_keeps_the_norm_of_what_it_looks_at() -> None:
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False).double()
    delta_orthogonal(conv, gain=2.0)
    x = torch.randn(4, 4, 8, 8).double()
    assert torch.allclose(norms(conv(x)), 2 * norms(x[..., ::2, ::2]), rtol=1e-11)


def test_no_padding_keeps_the_norm_of_the_inside() -> None:
    conv = nn.Conv2d(4, 4, 3, bias=False).double()
    delta_orthogonal(conv)
    x = torch.randn(4, 4, 8, 8).double()
    assert torch.allclose(norms(conv(x)), norms(x[..., 1:-1, 1:-1]), rtol=1e-11)


def test_groups_turn_their_own_channels() -> None:
    conv = nn.Conv2d(6, 12, (3, 5), padding=(1, 2), groups=3).double()
    delta_orthogonal(conv)
    x = torch.randn(2, 6, 7, 7).double()
    assert torch.allclose(norms(conv(x)), norms(x), rtol=1e-11)


def test_what_is_all_centre_becomes_orthogonal_of_any_shape() -> None:
    net = nn.Sequential(nn.Conv2d(20, 5, 1), nn.Flatten(), nn.Linear(45, 10)).double()
    delta_orthogonal(net)
    for layer in (net[0], net[2]):
        rows = layer.weight.detach().flatten(1)
        assert torch.allclose(rows @ rows.T, torch.eye(len(rows)).double(), atol=1e-12)


@pytest.mark.parametrize(
    ("conv", "message"),
    [
        (
            nn.Conv2d(4, 8, 2),
            "^delta_orthogonal needs odd kernels, and 1 has 2 x 2: without a centre it would "
            r"shift the image; init=orthogonal takes it\.$",
        ),
        (nn.Conv2d(4, 8, (3, 4)), "^delta_orthogonal needs odd kernels, and 1 has 3 x 4: "),
        (
            nn.Conv2d(4, 3, 3),
            "^delta_orthogonal needs as many channels out as in, and 1 makes 3 of 4; "
            r"init=orthogonal takes it\.$",
        ),
    ],
)
def test_a_kernel_without_room_is_refused_before_anything_changes(
    conv: nn.Conv2d, message: str
) -> None:
    first = nn.Conv2d(4, 4, 3)
    before = first.weight.detach().clone()
    with pytest.raises(ValueError, match=message):
        delta_orthogonal(nn.Sequential(first, conv))
    assert torch.equal(first.weight, before)


def test_the_gain_of_tanh_is_read_by_name() -> None:
    layer = nn.Linear(30, 30).double()
    delta_orthogonal(layer, gain="tanh")
    singular = torch.linalg.svdvals(layer.weight.detach())
    assert torch.allclose(singular, torch.full((30,), 1.59254).double(), atol=1e-4)
    assert math.isclose(float(singular.max()), float(singular.min()), rel_tol=1e-9)
