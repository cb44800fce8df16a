"""The table at the end of `ibdrop explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from ibdrop.cli.tables import console, new_table

__all__ = ["show_explanations"]


def show_explanations(rows: Sequence[Mapping[str, str]]) -> None:
    """Prints what masks did: a line for each image and area of `explanations.csv`."""
    if not rows:
        return
    first = rows[0]
    kept = first["game"] == "preservation"
    table = new_table("image", "label", "class asked for")
    heads = (
        "kept" if kept else "deleted",
        f"p on {first['fill']}",
        f"p on {first['second_fill']}",
    )
    for head in heads:
        table.add_column(Text(head), justify="right", no_wrap=True)
    table.add_column("")
    for row in rows:
        table.add_row(
            Text(row["name"] or row["index"]),
            Text(row["label"]),
            Text(row["class"]),
            f"{float(row['area']):.1%}",
            _way(row, "p_optimised"),
            _way(row, "p_second"),
            "works on one fill only" if row["adversarial"] == "True" else "",
        )
    console().print(table)


def _way(row: Mapping[str, str], name: str) -> str:
    return f"{float(row['p_start']):.1%} → {float(row[name]):.1%}"
