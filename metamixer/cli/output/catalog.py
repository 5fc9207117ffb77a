"""What ``metamixer catalog`` prints."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from metamixer.catalog.entries import Entry, entries, get, unsaid
from metamixer.cli.output.figures import Figure, print_table
from metamixer.language import Sentence

# What a room above this one does with a sentence for one input: print its tree, types and costs, or draw it.
Show = Callable[[Sentence, int, tuple[int, ...]], None]

WIDE = 110  # columns of a console that has room for families, too
NONE = "no published figure"
FIGURES = {"params": "parameters", "macs": "MACs", "top1": "top-1", "result": "result"}


def catalog(name: str | None, as_json: bool, show: Show | None = None, draw: Show | None = None) -> int:
    """Lists the catalogue, or shows one entry; ``show`` and ``draw`` get the entry's network.

    Raises:
        LanguageError: no entry has this name.
    """
    if name:
        entry = get(name)
        if draw is not None:
            draw(entry.network, entry.channels, entry.grid)
        if as_json:
            print(json.dumps([described(entry)], indent=1))
        else:
            _print_entry(entry, show)
        return 0
    if as_json:
        print(json.dumps([described(entry) for entry in entries().values()], indent=1))
    else:
        _print_table()
    return 0


def list_unsaid(as_json: bool) -> int:
    """Prints what no sentence says, with the reason."""
    if as_json:
        print(json.dumps([asdict(item) for item in unsaid()], indent=1))
        return 0
    from rich.markup import escape

    console = _console()
    for item in unsaid():
        console.print(f"[bold]{escape(item.name)}[/] ({escape(item.source)})", soft_wrap=True)
        for title, value in (("missing", item.missing), ("reason", item.reason), ("instead", item.instead)):
            if value:
                console.print(f"  {title}: {value}", markup=False, soft_wrap=True)
    return 0


def verdict(entry: Entry) -> str:
    """Whether an entry is its authors' code: "equal", "differs" or "not compared" with any."""
    return "not compared" if not entry.checked else "differs" if entry.differs else "equal"


def page() -> str:
    """docs/catalog.md: each entry beside the code that it was compared with."""
    counts = Counter(verdict(entry) for entry in entries().values())

    def cell(text: str) -> str:
        return text.replace("|", "\\|") or "-"

    rows = [
        f"| `{entry.name}` | {verdict(entry)} | {cell(entry.checked)} | {cell(entry.differs)} |"
        for entry in entries().values()
    ]
    return "\n".join(
        [
            "# Catalogue: what is equal to the authors' code",
            "",
            "<!-- Written by `metamixer catalog --check --table`; what is written here by hand is lost. -->",
            "",
            "*Equal* means: with the same weights the sentence computes what the code does, to rounding (below 1e-10",
            "in float64 where the tests repeat it: `tests/catalog/test_timm.py` and `tests/catalog/test_official.py`).",
            "*Differs* names what is not the same. *Not compared* means that no code was found, or none was looked at.",
            "Small twins, which searches on small images compare with, are ours.",
            "",
            f"{counts['equal']} are equal, {counts['differs']} differ, {counts['not compared']} were not compared.",
            "",
            "| entry | | compared with | differs in |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def list_checked(name: str | None, as_json: bool, as_page: bool) -> int:
    """Prints of each entry, or of one, with whose code it was compared and what differs.

    Raises:
        LanguageError: no entry has this name.
    """
    shown = [get(name)] if name else list(entries().values())
    if as_page:
        print(page(), end="")
        return 0
    if as_json:
        facts = [
            {"name": entry.name, "verdict": verdict(entry), "checked": entry.checked, "differs": entry.differs}
            for entry in shown
        ]
        print(json.dumps(facts, indent=1))
        return 0
    console = _console()
    for entry in shown:
        compared = f" ({entry.checked})" if entry.checked else ""
        console.print(f"{entry.name}: {verdict(entry)}{compared}", markup=False, soft_wrap=True)
        if entry.differs:
            console.print(f"  {entry.differs}", markup=False, soft_wrap=True)
    counts = Counter(verdict(entry) for entry in shown)
    console.print(", ".join(f"{count} {state}" for state, count in counts.most_common()))
    return 0


def described(entry: Entry) -> dict[str, Any]:
    """The entry with its exact counts, as plain values."""
    cost = entry.cost
    facts = asdict(entry)
    facts["sentence"] = str(entry.sentence)
    del facts["text"]
    return facts | {
        "params": cost.params,
        "macs": cost.macs,
        "flops": cost.flops,
        "key": entry.network.key(entry.channels, entry.grid),
    }


def comparison(entry: Entry) -> list[tuple[str, str, str]]:
    """(what, counted here, published) of one entry."""
    cost = entry.cost
    counted = {"params": f"{cost.params:,}", "macs": f"{cost.macs:,}"}
    shown = [key for key in FIGURES if key in counted or key in entry.published]
    return [(FIGURES[key], counted.get(key, "-"), entry.published.get(key, NONE)) for key in shown]


def _console() -> Any:
    from rich.console import Console

    console = Console(highlight=False)
    # A file or a pipe has no width of its own.
    return console if console.is_terminal else Console(highlight=False, width=120)


def _input(entry: Entry) -> str:
    return f"{'x'.join(map(str, entry.grid))} x {entry.channels}"


def _print_table() -> None:
    from rich.table import Table

    console = _console()
    texts = ("name", "family", "input") if console.width >= WIDE else ("name", "input")

    def table(figure: Figure) -> Table:
        made = Table(
            title="Catalogue; MACs of one input, head included; published figures of computation as their source counts"
        )
        for head in texts:
            made.add_column(head, no_wrap=True)
        for head in ("params", "MACs"):
            made.add_column(head, justify="right", no_wrap=True)
        made.add_column("published (params, MACs, top-1 or result)", min_width=16, overflow="fold")
        for entry in entries().values():
            cost = entry.cost
            figures = ", ".join(entry.published.get(key, "-") for key in ("params", "macs"))
            last = entry.published.get("top1", entry.published.get("result", "-"))
            published = f"{figures}, {last}" if entry.published else f"shell {entry.shell}" if entry.shell else "none"
            cells = (figure(cost.params), figure(cost.macs))
            facts = {"name": entry.name, "family": entry.family, "input": _input(entry)}
            made.add_row(*(facts[head] for head in texts), *cells, published)
        return made

    print_table(console, table)
    console.print(
        f"{len(entries())} entries; {len(unsaid())} systems or aspects that no sentence says: "
        "metamixer catalog --unsaid",
        soft_wrap=True,
    )


def _print_entry(entry: Entry, show: Show | None) -> None:
    from rich import box
    from rich.table import Table

    console = _console()
    console.print(f"[bold]{entry.name}[/]: {entry.family}, {entry.source}", soft_wrap=True)
    where = f"input {_input(entry)}" + (f", {entry.classes} classes" if entry.classes else ", no classes")
    console.print(where + (f", in the shell {entry.shell}" if entry.shell else ""))
    if entry.mixer:
        console.print("mixer:", entry.mixer, markup=False, soft_wrap=True)
    if show is None:
        console.print("sentence:", str(entry.sentence), markup=False, soft_wrap=True)
    else:
        show(entry.network, entry.channels, entry.grid)
    table = Table("", "counted here", "published", box=box.SIMPLE_HEAD, title="against published", title_justify="left")
    for row in comparison(entry):
        table.add_row(*row)
    console.print(table)
    rows = [("counting", entry.counting), ("original", entry.original)]
    rows += [("peculiarity", text) for text in entry.peculiarities]
    rows += [("compared with", entry.checked or "no code"), ("differs", entry.differs or "in nothing that is known")]
    for title, text in rows:
        if text:
            console.print(f"{title}: {text}", markup=False, soft_wrap=True)
