from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ibdrop.config.targets import TargetError, locate, nearest


def test_locates_classes_functions_and_nested_names() -> None:
    assert locate("torch.optim.SGD") is torch.optim.SGD
    assert locate("ibdrop.initialisers.he_normal").__name__ == "he_normal"
    assert locate("pathlib.Path.cwd").__name__ == "cwd"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("my.Noise", "cannot import 'my.Noise' (ModuleNotFoundError: No module named 'my')"),
        (
            "torch.optim.SGDD",
            "cannot import 'torch.optim.SGDD': torch.optim has no 'SGDD'; did you mean 'SGD'?",
        ),
        (
            "ibdrop.nois.information.X",
            "cannot import 'ibdrop.nois.information.X': ibdrop has no 'nois'"
            "; did you mean 'noise'?",
        ),
        ("no dots", "'no dots' is no dotted path such as package.module.Class"),
        ("torch..SGD", "'torch..SGD' is no dotted path such as package.module.Class"),
    ],
)
def test_says_what_is_not_there(path: str, words: str) -> None:
    import ibdrop.noise  # noqa: F401  (the nearest name is known once it is imported)

    with pytest.raises(TargetError) as caught:
        locate(path)
    assert str(caught.value) == words


def test_an_error_inside_the_module_shows_its_own_cause_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine_broken.py"
    file.write_text("import math\n\nx = math.sqrrt(2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError) as caught:
        locate("mine_broken.Noise")
    cause = "AttributeError: module 'math' has no attribute 'sqrrt'"
    start = f"cannot import 'mine_broken.Noise' ({cause}"
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith(f", at {file}:3)")


def test_a_module_that_lacks_another_names_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_needy").mkdir()
    (tmp_path / "mine_needy" / "__init__.py").touch()
    file = tmp_path / "mine_needy" / "noise.py"
    file.write_text("import not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError) as caught:
        locate("mine_needy.noise.Noise")
    cause = f"ModuleNotFoundError: No module named 'not_installed', at {file}:1"
    assert str(caught.value) == f"cannot import 'mine_needy.noise.Noise' ({cause})"


def test_a_syntax_error_names_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_unreadable.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TargetError, match=r"SyntaxError: .*mine_unreadable\.py, line 1"):
        locate("mine_unreadable.f")


def test_nearest_is_silent_where_nothing_is_near() -> None:
    assert nearest("widht", ["width", "blocks"]) == "; did you mean 'width'?"
    assert nearest("zzz", ["width", "blocks"]) == ""
