"""`metamixer report` and `metamixer show`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from metamixer import files, resources
from metamixer.cli.output.diff import attribute_table
from metamixer.cli.output.figures import Figure, print_table
from metamixer.compile.fuse import fused_sentence
from metamixer.cost import Cost, cost
from metamixer.cost.count import counts, repeats
from metamixer.errors import RecordError
from metamixer.explore import Attributes, attributes
from metamixer.language import Sentence, parse
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Field, Given, Score
from metamixer.language.syntax.nodes import X
from metamixer.record.trial import RECIPE
from metamixer.report.costs import MASKED, stages
from metamixer.report.lines import lines
from metamixer.report.picture import shorten
from metamixer.report.sketch import shape, sketch

if TYPE_CHECKING:
    from metamixer.record import Trial
    from metamixer.record.run import Run

TEXT = 16  # columns that a text has at least beside numbers
CURVE = ("train_accuracy", "validation_accuracy", "train_loss", "validation_loss")


def report(record: Path, as_json: bool, write: Callable[[Path], Path], png: Path | None = None) -> int:
    """Build a run's page again, and a PNG of its front if asked for; ``write`` makes the page and says where.

    Returns:
        0; 1 when no architecture has finished training, so that the page has no front.
    """
    from metamixer.record import run
    from metamixer.report import figure, image

    written = write(record)
    read = run.load(record)
    if png is not None:
        image.png(figure.front(read.points, read.failed, read.references, f"metamixer: {read.name}", read.stopped), png)
    if as_json:
        verdicts = {p.name: p.verdict for p in read.baselines}
        document = {"report": str(written), "png": str(png) if png else None, "front": [p.number for p in read.front]}
        print(json.dumps({**document, "baselines": verdicts, "failed": len(read.failed), "stopped": len(read.stopped)}))
    else:
        print(f"report: {written} ({written.stat().st_size / 1e6:.1f} MB, opens without a network)")
        if png is not None:
            print(f"picture: {png}")
        print(f"{len(read.front)} of {len(read.points)} architectures are on the front")
    return 0 if read.points else 1


def show(
    sentence: str, channels: int, grid: tuple[int, ...], svg: Path | None, as_json: bool, context: Given = None
) -> int:
    """Tree, types and costs of a sentence for one input (and further ones); its drawing into a file.

    Raises:
        LanguageError: the text is no sentence, or does not fit the input.
    """
    parsed = parse(sentence)
    tree, counted = parsed.typed(channels, grid, context), cost(parsed, channels, grid, context=context)
    _write_drawing(tree, svg)
    if as_json:
        print(json.dumps({"sentence": str(parsed), **_described(tree, counted), "svg": str(svg) if svg else None}))
        return 0
    show_sentence(parsed, channels, grid, context)
    if svg is not None:
        _console().print(f"drawing: {svg}", soft_wrap=True)
    return 0


def show_sentence(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Given = None) -> None:
    """Prints a sentence with its picture, tree, types, costs and attributes for one input."""
    console, tree = _console(), sentence.typed(channels, grid, context)
    _print_text(console, str(sentence))
    console.print()
    for line in lines(sketch(tree), console.width):
        console.print(line, markup=False, no_wrap=True)
    console.print()
    _print_network(console, tree, cost(sentence, channels, grid, context=context))


def draw_sentence(sentence: Sentence, channels: int, grid: tuple[int, ...], svg: Path) -> None:
    """Writes the drawing of a sentence for one input to a file."""
    _write_drawing(sentence.typed(channels, grid), svg)


def show_trial(record: Path, trial: int, svg: Path | None, as_json: bool) -> int:
    """One trial of a run: its row, sentence, derivation, costs and learning curve; its drawing into a file.

    Raises:
        RecordError: the run has no such trial.
    """
    run, row = _trial(record, trial)
    channels, grid = run.input
    network = parse(run.network(row.sentence)) if row.sentence else None
    described: dict[str, Any] = {}
    tree: Typed | None = None
    # What was refused as ill-typed has a sentence, but neither types nor costs.
    if network is not None and row.cost is not None:
        tree, counted = network.typed(channels, grid), cost(network, channels, grid)
        described = _described(tree, counted)
        _write_drawing(tree, svg)
    elif svg is not None:
        raise RecordError(
            f"trial {trial} has no drawing", place=str(record), advice=f"it is no whole architecture: {row.reason}"
        )
    if as_json:
        print(json.dumps({**asdict(row), "network": str(network) if network else None, **described}))
        return 0
    console = _console()
    repeated = f" of trial {row.replicate_of}" if row.replicate_of is not None else ""
    what = f"{row.kind}{f' {row.name}' if row.name else ''}{repeated}"
    why = f": {row.reason}" if row.reason else ""
    console.print(f"trial {trial} of {run.name}: {what}, {row.state}{why}", markup=False)
    _print_text(console, row.sentence or "(no sentence)")
    point = next((p for p in run.points if p.number == trial), None)
    if point is not None:
        spread = f" ± {point.error:.4f}" if point.error is not None else ""
        place = point.verdict or ("on the front" if point.on_front else "dominated")
        console.print(
            f"accuracy {point.accuracy:.4f}{spread} over {point.seeds} seed{'' if point.seeds == 1 else 's'}; {place}"
        )
    for name in ("seed", "device", "worker", "seconds", "epochs", "key", "weights"):
        value = getattr(row, name)
        if value is not None:
            shown = f"{value:.1f}" if name == "seconds" else value
            console.print(f"{name}: {shown}", markup=False, soft_wrap=True)
    _print_pairs(console, "recipe", ("key", "value"), [(key, str(value)) for key, value in row.recipe.items()])
    architecture = {name: value for name, value in row.choices.items() if not name.startswith(RECIPE)}
    _print_pairs(console, "derivation", ("choice", "value"), [(name, str(v)) for name, v in architecture.items()])
    if tree is not None:
        _print_network(console, tree, counted)
    _print_pairs(
        console,
        "learning curve",
        ("epoch", "training accuracy", "validation accuracy", "training loss", "validation loss"),
        [(str(epoch["epoch"]), *(_decimal(epoch.get(name)) for name in CURVE)) for epoch in row.curve],
    )
    if row.traceback:
        console.print(row.traceback, markup=False)
    if svg is not None:
        console.print(f"drawing: {svg}", soft_wrap=True)
    return 0


def diff(a: str, b: str, channels: int | None, grid: tuple[int, ...] | None, runs: Path, as_json: bool) -> int:
    """Two architectures side by side: each a sentence, a name of the catalogue, or a trial of a run as ``RUN#TRIAL``.

    Raises:
        LanguageError: one of them is no sentence, or does not fit the input.
        RecordError, ResourceError: there is no such run, or it has no such trial.
    """
    from metamixer.cli.output.diff import diff

    sentences: list[str] = []
    recipes: list[dict[str, int | str]] = []
    for text in (a, b):
        found = re.fullmatch(r"([\w./-]+)#(\d+)", text)
        if found is None:
            sentences.append(text)
            recipes.append({})
            continue
        run, row = _trial(resources.record(found[1], runs), int(found[2]))
        if not row.sentence:
            raise RecordError(f"trial {row.number} has no sentence", place=text, advice=row.reason)
        channels, grid = channels or run.input[0], grid or run.input[1]
        sentences.append(row.sentence)
        recipes.append(row.recipe)
    return diff(sentences[0], sentences[1], channels, grid, as_json, titles=(a, b), recipes=(recipes[0], recipes[1]))


def _trial(record: Path, number: int) -> tuple[Run, Trial]:
    """A run and one of its trials.

    Raises:
        RecordError: the run has no such trial.
    """
    from metamixer.record.run import load

    run = load(record)
    for row in run.trials:
        if row.number == number:
            return run, row
    have = f"it has trials 0 to {run.trials[-1].number}" if run.trials else "it has no trials yet"
    raise RecordError(f"the run has no trial {number}", place=str(record), advice=have)


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _write_drawing(tree: Typed, svg: Path | None) -> None:
    if svg is None:
        return
    from metamixer.report.drawing import draw

    files.write(svg, draw(sketch(tree)))


# -- the tree ----------------------------------------------------------------------------------------------------------


def _branches(tree: Typed) -> list[tuple[int, Typed]]:
    """(how often in a row, phrase) below a phrase; what its own line says already is left out.

    Those are bare inputs and banks, and a chain that is all there is inside.
    """
    shown = (kid for kid in tree.kids if isinstance(kid.out, (Field, Score)) or kid.context.kind == "place")
    kids = [kid for kid in shown if kid.node is not X]
    runs = [(len(list(same)), kid) for kid, same in groupby(kids)]
    if len(runs) == 1 and runs[0][0] == 1 and runs[0][1].word.form in ("chain", "read"):
        return _branches(runs[0][1])
    return runs


def _lines(tree: Typed, guide: str = "", last: str = "", n: int = 1) -> Iterator[tuple[str, Typed]]:
    times = repeats(tree)
    marks = (f"{n} × " if n > 1 else "") + tree.text + (f"   (inside: {times} times)" if times > 1 else "")
    yield guide + last + marks, tree
    inner = guide + {"": "", "├─ ": "│  ", "└─ ": "   "}[last]
    branches = _branches(tree)
    for i, (count, kid) in enumerate(branches):
        yield from _lines(kid, inner, "└─ " if i == len(branches) - 1 else "├─ ", count)


def _described(tree: Typed, counted: Cost) -> dict[str, Any]:
    return {
        "input": {"channels": tree.x.channels, "grid": list(tree.x.grid)},
        "output": _type(tree),
        "cost": {"macs": counted.macs, "executed_macs": counts(tree, "executed")[0], "flops": counted.flops,
                 "params": counted.params, "elementwise": counted.elementwise, "activations": counted.activations},
        "breakdown": [row._asdict() for row in counted.breakdown],
        "fused": _fused(tree),
        "attributes": _attributes(tree).described(),
        "tree": _json_tree(tree),
    }  # fmt: skip


def _fused(tree: Typed) -> dict[str, Any] | None:
    """The re-parameterised form for evaluation and its cost; None where there is nothing to fuse."""
    form = fused_sentence(Sentence(tree.node), tree.x.channels, tree.x.grid, tree.further)
    if str(form) == str(Sentence(tree.node)):
        return None
    counted = cost(form, tree.x.channels, tree.x.grid, context=tree.further)
    return {"sentence": str(form), "macs": counted.macs, "flops": counted.flops, "params": counted.params}


def _attributes(tree: Typed) -> Attributes:
    return attributes(Sentence(tree.node), tree.x.channels, tree.x.grid, tree.further)


def _json_tree(tree: Typed, n: int = 1) -> dict[str, Any]:
    macs, params, elementwise, activations = counts(tree)
    return {
        "word": tree.word.name,
        "text": tree.text,
        "repeated": n,
        "output": _type(tree),
        "macs": macs,
        "params": params,
        "elementwise": elementwise,
        "activations": activations,
        "parts": [_json_tree(kid, count) for count, kid in _branches(tree)],
    }


def _short(tree: Typed) -> str:
    if isinstance(tree.out, Score):
        heads = f" × {tree.out.heads} heads" if tree.out.heads > 1 else ""
        return f"{tree.out.tokens}→{tree.out.slots} scores{heads}"
    return "chooses" if tree.context.kind == "place" else shape(tree.out)


def _type(tree: Typed) -> dict[str, Any]:
    if isinstance(tree.out, Field):
        return {"grid": list(tree.out.grid), "channels": tree.out.channels, "extra": tree.out.extra}
    return {"place": tree.text} if tree.context.kind == "place" else {"score": str(tree.out)}


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    # A file or a pipe has no width of its own.
    return console if console.is_terminal else Console(highlight=False, width=120)


def _print_network(console: Any, tree: Typed, counted: Cost) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    def phrases(figure: Figure) -> Table:
        lines = [(line, _short(t), *map(figure, counts(t)[:2])) for line, t in _lines(tree)]
        heads = {"phrase": "left", "result": "left", "MACs": "right", "parameters": "right"}
        widths = [max(len(cell) for cell in column) for column in zip(heads, *lines, strict=True)]
        room = max(24, console.width - sum(widths[1:]) - 16)
        table = Table(box=box.SIMPLE_HEAD, title=f"input {shape(tree.x)}; costs for one input", title_justify="left")
        for head, justify in heads.items():
            table.add_column(head, justify=cast(Any, justify), no_wrap=True)
        for line, *cells in lines:
            table.add_row(escape(shorten(line, room)), *cells)
        return table

    def by_stage(figure: Figure) -> Table:
        table = Table(box=box.SIMPLE_HEAD, title="cost by stage", title_justify="left")
        table.add_column("stage", overflow="fold", min_width=TEXT)
        for title in ("MACs", "share", "parameters", "elementwise", "activations"):
            table.add_column(title, justify="right", no_wrap=True)
        for stage in stages(counted):
            table.add_row(
                escape(stage.text) + (f"  × {stage.times}" if stage.times > 1 else ""),
                figure(stage.macs),
                f"{stage.share:.1%}",
                *map(figure, (stage.params, stage.elementwise, stage.activations)),
            )
        return table

    print_table(console, phrases)
    print_table(console, by_stage)
    console.print(
        f"{counted.macs:,} MACs = {counted.flops:,} FLOPs (matrix products and convolutions); "
        f"{counted.params:,} parameters; {counted.elementwise:,} elementwise results; "
        f"{counted.activations:,} activations"
    )
    executed = counts(tree, "executed")[0]
    if executed != counted.macs:
        console.print(f"{executed:,} MACs run in the module: {MASKED}", soft_wrap=True)
    fused = _fused(tree)
    if fused is not None:
        console.print(
            f"fused for evaluation: {fused['macs']:,} MACs, {fused['params']:,} parameters: {fused['sentence']}",
            markup=False,
            soft_wrap=True,
        )
    console.print(attribute_table(("value", _attributes(tree))))


def _print_pairs(console: Any, title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        return
    table = Table(*heads, box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def _print_text(console: Any, sentence: str) -> None:
    console.print(sentence, markup=False, style="bold", soft_wrap=True)
