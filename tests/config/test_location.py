from __future__ import annotations

from pathlib import Path

import pytest

import ibdrop
from ibdrop.config.location import conf_dir


def test_finds_the_primary_config() -> None:
    assert (conf_dir() / "train.yaml").is_file()
    assert (conf_dir() / "noise" / "information.yaml").is_file()


def test_a_conf_in_the_package_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "src" / "ibdrop"
    for place in (package / "conf", tmp_path / "conf"):
        place.mkdir(parents=True)
    (tmp_path / "conf" / "train.yaml").touch()
    monkeypatch.setattr(ibdrop, "__file__", str(package / "__init__.py"))
    assert conf_dir() == tmp_path / "conf"  # A folder without train.yaml is not ours.
    (package / "conf" / "train.yaml").touch()
    assert conf_dir() == package / "conf"


def test_an_incomplete_installation_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ibdrop, "__file__", str(tmp_path / "src" / "ibdrop" / "__init__.py"))
    with pytest.raises(FileNotFoundError, match=r"no train\.yaml in .* install ibdrop again"):
        conf_dir()
