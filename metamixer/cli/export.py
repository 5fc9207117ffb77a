"""`metamixer export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metamixer.cli.program import Json, Runs, command, parse_grid


@command(
    epilog="Examples: metamixer export digits#41 winner; metamixer export poolformer_s12 folder; "
    "metamixer export 'patch(2,32) >> res(norm >> ffn(2)) >> mean >> lin(10)' folder --channels 3 --grid 32x32"
)
def export(
    subject: Annotated[
        str,
        typer.Argument(metavar="RUN#N|NAME|SENTENCE", help="A trial (also RUN#best, RUN#knee), an entry, a sentence."),
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to write; made if it is not there.")],
    channels: Annotated[int | None, typer.Option(metavar="C", min=1, help="The sentence's input channels.")] = None,
    grid: Annotated[str | None, typer.Option(metavar="HxW", help="The sentence's input grid.")] = None,
    opset: Annotated[int, typer.Option(metavar="N", min=18, help="ONNX's operator set.")] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the weights of what is not trained.")] = 0,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace an earlier export.")] = False,
    runs: Runs = Path("runs"),
    as_json: Json = False,
) -> int | None:
    """Write a network for others: plain torch source, weights, torch.export, ONNX, a model card.

    What cannot be written is said with the word at fault; the other files are written all the same. A trial needs
    kept weights; a sentence or an entry is exported with random ones.
    """
    from metamixer.cli.output.export import run

    size = None if grid is None else parse_grid(grid)
    return run(subject, folder, channels, size, opset, seed, force, runs, as_json)
