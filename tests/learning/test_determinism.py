"""What cannot be reproduced bit by bit is named, and nothing else is swallowed."""

from __future__ import annotations

import warnings

import pytest
import torch

from ibdrop.learning.determinism import reproducible

MISSING = (
    "some_backward_cuda does not have a deterministic implementation, but you set "
    "'torch.use_deterministic_algorithms(True, warn_only=True)'."
)


def test_operations_without_a_deterministic_form_are_named_once() -> None:
    with reproducible(True) as names:
        for _ in range(2):
            warnings.warn(MISSING, stacklevel=1)
    assert names == ["some_backward_cuda"]


def test_other_warnings_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_, **__: shown.append(message))
    with reproducible(True) as names:
        warnings.showwarning(UserWarning("mind the gap"), UserWarning, "file.py", 1)
    assert names == []
    assert [str(message) for message in shown] == ["mind the gap"]


def test_torch_is_left_as_it_was() -> None:
    before = torch.are_deterministic_algorithms_enabled(), warnings.showwarning
    with reproducible(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert (torch.are_deterministic_algorithms_enabled(), warnings.showwarning) == before
