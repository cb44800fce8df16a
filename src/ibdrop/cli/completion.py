"""Shell completion: commands, Hydra's keys and options, and the folders of runs."""

from __future__ import annotations

import argparse
import contextlib
import glob
import io
import os
from collections.abc import Sequence
from pathlib import Path

from ibdrop.cli.main import COMMANDS

__all__ = ["complete", "main"]

BASH = r"""# ibdrop completion for bash
_ibdrop() {
    local found
    found=$(COMP_LINE="${COMP_LINE:0:$COMP_POINT}" ibdrop -sc query=bash 2>/dev/null)
    COMPREPLY=()
    [ -n "$found" ] && mapfile -t COMPREPLY <<< "$found"
    case "${COMPREPLY[0]}" in *[=/.]) compopt -o nospace ;; esac
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=}
complete -F _ibdrop ibdrop
"""
ZSH = r"""#compdef ibdrop
# ibdrop completion for zsh
_ibdrop() {
    local -a found open
    local line="${(j: :)words[1,CURRENT]}"
    found=("${(@f)$(COMP_LINE="$line" ibdrop -sc query=bash 2>/dev/null)}")
    open=(${(M)found:#*[=/.]})
    compadd -S '' -- $open
    compadd -- ${${found:|open}:#}
}
if [ "${funcstack[1]}" = "_ibdrop" ]; then _ibdrop "$@"; else compdef _ibdrop ibdrop; fi
"""
FISH = r"""# ibdrop completion for fish
function __ibdrop_complete
    set -lx COMP_LINE (commandline -cp)
    ibdrop -sc query=bash 2>/dev/null
end
complete -c ibdrop -f -a '(__ibdrop_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

INSTALL = """\
Use it now:
  bash:  eval "$(ibdrop completion bash)"
  zsh:   eval "$(ibdrop completion zsh)"
  fish:  ibdrop completion fish | source

Keep it:
  bash:  ibdrop completion bash > ~/.local/share/bash-completion/completions/ibdrop
  zsh:   ibdrop completion zsh > "${fpath[1]}/_ibdrop"
  fish:  ibdrop completion fish > ~/.config/fish/completions/ibdrop.fish

Next: type `ibdrop train noise=` and press the tabulator key."""

WORDS = {"data": ("list", "fetch", "show"), "completion": tuple(SCRIPTS)}
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
FOLDERS = (
    "evaluate",
    "rank",
    "heatmap",
    "explain",
    "reconstruct",
    "report",
    "compare",
    "runs",
    "resume",
)


def main(argv: Sequence[str]) -> int:
    """Prints the completion script of a shell."""
    parser = argparse.ArgumentParser(
        prog="ibdrop completion",
        description="Prints a script that teaches a shell to complete ibdrop's words.",
        epilog=INSTALL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=sorted(SCRIPTS))
    print(SCRIPTS[parser.parse_args(argv).shell], end="")
    return 0


def complete(words: Sequence[str]) -> int:
    """Prints what may stand at the end of the line in `COMP_LINE`, one in a line.

    Arguments:
        words: Hydra's own flags for a query; `train` passes them on.
    """
    line = os.environ.get("COMP_LINE", "")
    _, _, typed = line.lstrip().partition(" ")
    parts = typed.split()
    if not typed[-1:].isspace():
        command, last = parts[:-1], "".join(parts[-1:])
    else:
        command, last = parts, ""
    for word in _found(command, last, typed, words):
        print(word)
    return 0


def _found(before: Sequence[str], last: str, typed: str, words: Sequence[str]) -> list[str]:
    if not before:
        return [name for name in COMMANDS if name.startswith(last)]
    if before[0] == "train":
        return _hydra(typed.replace("train", "", 1), words)
    if before[0] in FOLDERS:
        flags = _flags(before, last)
        pictures = _pictures(last) if before[0] == "explain" and flags is None else []
        return [*_folders(last), *pictures] if flags is None else flags
    return [word for word in WORDS.get(before[0], ()) if word.startswith(last)]


def _hydra(typed: str, words: Sequence[str]) -> list[str]:
    """Asks Hydra, which must not see the word `train`."""
    from ibdrop.cli.train import main as train

    os.environ["COMP_LINE"] = f"ibdrop {typed.lstrip()}"
    answer = io.StringIO()
    with contextlib.redirect_stdout(answer):
        train(words)
    return sorted(answer.getvalue().split())


def _flags(before: Sequence[str], last: str) -> list[str] | None:
    """Flags that begin so, or the choices of the flag before; `None` where neither is typed."""
    from ibdrop.cli.runs import parser

    actions = {flag: a for a in parser(before[0])._actions for flag in a.option_strings}
    choices = actions[before[-1]].choices if before[-1] in actions else None
    if choices:
        return [word for word in map(str, choices) if word.startswith(last)]
    return [flag for flag in actions if flag.startswith(last)] if last.startswith("-") else None


def _pictures(last: str) -> list[str]:
    """Picture files whose names begin so."""
    head, slash, tail = last.rpartition("/")
    parent = Path(f"{head}/" if slash else ".").expanduser()
    found = parent.glob(f"{glob.escape(tail)}*") if parent.is_dir() else ()
    names = [path.name for path in found if path.suffix.lower() in SUFFIXES]
    return sorted(f"{head}{slash}{name}" for name in names)


def _folders(last: str) -> list[str]:
    """Folders that begin so; those of runs are complete, others go on."""
    head, _, tail = last.rpartition("/")
    parent = Path(f"{head}/" if "/" in last else ".").expanduser()
    if not parent.is_dir():
        return []
    found = [p for p in parent.iterdir() if p.is_dir() and p.name.startswith(tail)]
    prefix = f"{head}/" if "/" in last else ""
    return sorted(
        f"{prefix}{path.name}" + ("" if (path / "run.json").is_file() else "/")
        for path in found
        if not path.name.startswith(".")
    )
