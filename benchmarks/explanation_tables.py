"""The tables of `docs/explanations.md` from what `benchmarks/explanation_quality.py` wrote.

    python benchmarks/explanation_tables.py benchmarks/results/explanations

The folder holds one folder for each network, `hard_0`, `hard_1`, ..., `ordinary_0`, ...: canvases
and training seed. Large tables are those of seed 0; others are means and ranges over seeds.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from ibdrop.artifacts.explanations_content import spoken
from ibdrop.files import read_csv

Row = dict[str, str]
KINDS = ("ordinary", "hard")
BEST = "**best without a network**"
OWN = ("trained", "floor")
ORACLES = ("24x24", "12x12", "6x6")


def read(folder: Path, table: str) -> list[Row]:
    """The rows of one table of a network."""
    return read_csv(folder / f"explanation_{table}.csv")


def number(text: str) -> float:
    """A figure of a table; NaN where there is none."""
    return float(text) if text else math.nan


def short(figure: str | float) -> str:
    """A figure as the page writes it; a dash where there is none."""
    value = number(figure) if isinstance(figure, str) else figure
    if math.isnan(value):
        return "–"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def sized(text: str) -> str:
    """A resolution with air."""
    return text.replace("x", " x ")


def lines(head: str, rows: Iterator[Sequence[str]]) -> str:
    """A table in Markdown."""
    rule = "|".join("---" for _ in head.split("|"))
    return "\n".join([f"| {head} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)])


def methods(folder: Path) -> str:
    """Every map of a network, floors and oracles."""
    rows = read(folder, "quality")
    found = {(row["network"], row["method"]): row for row in rows}

    def control(network: str, method: str) -> str:
        row = found.get((network, method))
        return "–" if row is None else short(row["rank_strokes"])

    def figures() -> Iterator[Sequence[str]]:
        for row in rows:
            kind, method = row["network"], row["method"]
            means = [short(row[k]) for k in ("pointing_box", "energy_padded", "mass_strokes")]
            rank = short(row["rank_strokes"])
            if kind == "trained":
                low, high = (short(row[f"rank_strokes_{end}"]) for end in ("low", "high"))
                yield (
                    *(spoken(method), sized(row["resolution"]), row["n"], *means),
                    *(short(row["skill_mass_strokes"]), f"{rank} ({low} to {high})"),
                    short(row["skill_rank_strokes"]),
                    *(control(network, method) for network in ("untrained", "randomised")),
                )
            elif kind == "floor" and method != "centre":
                name = BEST if method == "best" else f"*{method}*"
                yield (name, "", row["n"], *means, "", rank, "", "", "")
            elif kind == "ceiling" and method in ORACLES:
                yield ("*oracle*", sized(method), row["n"], *means, "", rank, "", "", "")

    head = "map | size | n | pointing | padded box | mass | skill | rank (95 %) | skill"
    return lines(f"{head} | rank, untrained | rank, shuffled", figures())


def curves(folder: Path) -> str:
    """The areas below deletion and insertion curves."""
    keys = [f"{game}_{fill}" for fill in ("black", "blur") for game in ("deletion", "insertion")]

    def figures() -> Iterator[Sequence[str]]:
        for row in read(folder, "quality"):
            if row["deletion_black"] != "":
                own = row["network"] == "trained"
                name = spoken(row["method"]) if own else f"*{row['network']} {row['method']}*"
                yield (name, *(short(row[key]) for key in keys))

    return lines(
        "map | deletion, black | insertion, black | deletion, blur | insertion, blur", figures()
    )


def views(folders: dict[str, Path]) -> str:
    """Whether the place of the target is the truth."""

    def figures() -> Iterator[Sequence[str]]:
        for name, folder in folders.items():
            row = {each["view"]: each for each in read(folder, "counterfactual")}
            chance = short(row["without_target"]["expected"].split()[-1])
            accuracy = {view: short(row[view]["accuracy"]) for view in row}
            without = f"{accuracy['without_target']} ({chance})"
            yield (name, accuracy["whole"], without, accuracy["moved"], accuracy["alone"])

    return lines(
        "canvases | whole | without target (chance) | distractors moved | target alone", figures()
    )


def spread(values: Sequence[float]) -> str:
    """The mean and the range of a figure over networks; a dash where one has none."""
    if any(map(math.isnan, values)):
        return "–"
    return f"{short(statistics.fmean(values))} ({short(min(values))} to {short(max(values))})"


def over_seeds(seeds: Sequence[Path]) -> str:
    """Every map, and the best without a network, over networks of different training seeds."""
    tables = [
        {row["method"]: row for row in read(folder, "quality") if row["network"] in OWN}
        for folder in seeds
    ]
    keys = ("pointing_box", "mass_strokes", "rank_strokes", "skill_rank_strokes")

    def figures() -> Iterator[Sequence[str]]:
        for method, row in tables[0].items():
            if row["network"] == "trained" or method == "best":
                rows = [table[method] for table in tables]
                yield (
                    BEST if method == "best" else spoken(method),
                    *(spread([number(row[key]) for row in rows]) for key in keys),
                )

    return lines("map | pointing | mass | rank | skill of the rank", figures())


def drops(kinds: dict[str, list[Path]]) -> str:
    """How often a mask does what it should, over training seeds: means, and a range at the end."""
    keys = ("median_area", "under_quarter", "tenth_first", "tenth_second")

    def figures() -> Iterator[Sequence[str]]:
        for kind, seeds in kinds.items():
            for rows in zip(*(read(folder, "drop") for folder in seeds), strict=True):
                means = [short(statistics.fmean(number(row[key]) for row in rows)) for key in keys]
                fills = (rows[0]["fill"], rows[0]["second_fill"])
                holds = spread([number(row["holds"]) for row in rows])
                yield (kind, *fills, rows[0]["n"], *means, f"**{holds}**")

    return lines(
        "canvases | sought on | judged on | n | median area | area < ¼ | p/p₀ < .1 | on the other"
        " | all on both",
        figures(),
    )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    kinds = {kind: sorted(folder.glob(f"{kind}_*")) for kind in KINDS}
    first = {kind: seeds[0] for kind, seeds in kinds.items()}
    named = {f"{kind}, seed {s.name[-1]}": s for kind, seeds in kinds.items() for s in seeds}
    tables = {"Counterfactual": views(named), "Drop": drops(kinds)}
    tables |= {f"Methods, {kind}": methods(each) for kind, each in first.items()}
    tables |= {f"Curves, {kind}": curves(each) for kind, each in first.items()}
    tables |= {f"Over seeds, {kind}": over_seeds(seeds) for kind, seeds in kinds.items()}
    for title, table in tables.items():
        print(f"## {title}\n\n{table}\n")


if __name__ == "__main__":
    main()
