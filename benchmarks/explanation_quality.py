"""The quality of explanations as `docs/explanations.md` tells it: every row of its tables.

    python benchmarks/explanation_quality.py RUN --output FOLDER
    python benchmarks/explanation_quality.py RUN --output FOLDER --only kl,meaningful

RUN is the folder of a finished run on cluttered canvases; the page says how its two were trained.
Masks are sought on black, on the average of three fills, and on clutter drawn again, each on the
first images of the same 1,000. A row depends on no other, so a part of them can be made alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from ibdrop.files import write_json
from ibdrop.runs.explanation_quality import quality
from ibdrop.runs.folder import Run
from ibdrop.runs.provenance import device_name, git, versions
from ibdrop.runs.reload import trained

FEW = {"l1": 0.1, "tv": 0.0003, "patience": 25, "steps": 100}
CHANGES = {
    "meaningful:constant": FEW,
    "meaningful:rerender": FEW,
    "extremal:constant": {"steps": 200, "areas": [0.05, 0.1, 0.2]},
}
COUNTS = {
    "meaningful": 96,
    "meaningful:constant": 128,
    "meaningful:rerender": 32,
    "extremal:constant": 48,
    "integrated_gradients": 256,
    "occlusion": 128,
}
METHODS = ("kl", *COUNTS, "gradient", "grad_cam")


def main() -> None:
    """Measures and writes the tables, the picture, and how they were made."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--output", type=Path, required=True, help="folder to write into")
    parser.add_argument("--only", default=",".join(METHODS), help="methods, with commas")
    parser.add_argument("--images", type=int, default=1000, help="most images of a row")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = trained(Run.open(arguments.run))
    arguments.output.mkdir(parents=True, exist_ok=True)
    started, said = time.monotonic(), ""

    def tell(what: str, share: float) -> None:
        nonlocal said
        if what != said:
            print(f"{time.monotonic() - started:6.0f} s  {share:4.0%}  {what}", flush=True)
            said = what

    quality(
        network,
        arguments.output,
        images=arguments.images,
        methods=arguments.only.split(","),
        counts=COUNTS,
        controls=0.125,
        curves=16,
        second=("constant", "blur", "rerender"),
        changes=CHANGES,
        progress=tell,
    )
    facts = {
        "command": f"python benchmarks/explanation_quality.py RUN --images {arguments.images}"
        f" --only {arguments.only}",
        "data": network.data.name,
        "device": device_name(network.device),
        "threads": 1,
        "versions": versions(),
        "git": git(Path(__file__).parent),
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(arguments.output / "how.json", facts)


if __name__ == "__main__":
    main()
