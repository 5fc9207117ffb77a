"""The command line: one command, one file.

Nothing heavy is imported before a command runs, so `metamixer --help` answers at once. Exit codes: 0 done, 1 the
command ran and the answer is bad, 2 the input is wrong (one message, no traceback), 130 interrupted.
"""

from __future__ import annotations

from metamixer.cli import (
    catalog,
    dashboard,
    data,
    diff,
    export,
    report,
    retrain,
    search,
    show,
    simulate,
    space,
    study,
    table,
    task,
    words,
)
from metamixer.cli.program import app, order

# --help lists them in this order: the way of somebody who begins.
_COMMANDS = (
    search,
    data,
    dashboard,
    report,
    show,
    retrain,
    export,
    study,
    space,
    task,
    catalog,
    words,
    diff,
    simulate,
    table,
)
order(module.__name__.rpartition(".")[2] for module in _COMMANDS)


def main() -> None:
    """The program `metamixer`."""
    app()
