from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ibdrop.cli.completion import SCRIPTS
from ibdrop.cli.main import COMMANDS, main


def complete(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    monkeypatch.setenv("COMP_LINE", line)
    assert main(["-sc", "query=bash"]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ibdrop ", list(COMMANDS)),
        ("ibdrop re", ["reconstruct", "report", "resume"]),
        ("/opt/ibdrop/bin/ibdrop tr", ["train"]),
        ("ibdrop zzz", []),
        ("ibdrop zzz ", []),
        ("ibdrop data ", ["list", "fetch", "show"]),
        ("ibdrop completion z", ["zsh"]),
        ("ibdrop train noise=inf", ["noise=information", "noise=information_binary"]),
        ("ibdrop train be", ["beta=", "beta_units=", "beta_warmup="]),
        ("ibdrop train model=mlp noise=binary noise.r", ["noise.rate="]),
        ("ibdrop train train", ["trainer.", "trainer="]),
    ],
)
def test_offers(
    line: str,
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert complete(line, monkeypatch, capsys) == expected


def test_offers_every_option_of_a_group(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkout: Path
) -> None:
    options = sorted(path.stem for path in (checkout / "conf" / "noise").glob("*.yaml"))
    assert len(options) >= 5
    found = complete("ibdrop train noise=", monkeypatch, capsys)
    assert found == [f"noise={option}" for option in options]


def test_offers_folders_where_a_run_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "outputs" / "day" / "run"
    run.mkdir(parents=True)
    (run / "run.json").touch()
    (tmp_path / "outputs" / ".hidden").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    assert complete("ibdrop evaluate ", monkeypatch, capsys) == ["other/", "outputs/"]
    assert complete("ibdrop report out", monkeypatch, capsys) == ["outputs/"]
    assert complete("ibdrop compare a outputs/", monkeypatch, capsys) == ["outputs/day/"]
    assert complete("ibdrop rank outputs/day/", monkeypatch, capsys) == ["outputs/day/run"]
    assert complete("ibdrop rank nowhere/x", monkeypatch, capsys) == []


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_prints_a_script_that_the_shell_can_read(
    shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    assert "-sc query=bash" in script.read_text()
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(script)], check=True)


def test_help_says_how_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["completion", "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for shell in SCRIPTS:
        assert f"ibdrop completion {shell}" in text
    assert "Next:" in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_fills_in_the_word(tmp_path: Path) -> None:
    program = tmp_path / "ibdrop"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ibdrop "$@"\n')
    program.chmod(0o755)
    query = """
    compopt() { :; }
    eval "$(ibdrop completion bash)"
    COMP_LINE="ibdrop train noise=gau and more"; COMP_POINT=22; _ibdrop
    printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", f'PATH="{tmp_path}:$PATH"\n{query}'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "noise=gaussian\n"
