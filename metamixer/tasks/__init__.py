"""Problems to solve: the arrays of one problem, and the head that turns a sentence into its network.

    from metamixer import tasks

    task = tasks.get("digits-hard")
    arrays = task.data()                      # numpy, channels last: training and validation part
    task.test()                               # the test part, which a search never asks for
    full = task.network(mm.parse("..."))      # the sentence >> mean >> lin(10)

Nothing here imports torch; a task's data set is computed on the first call of `data()`.
"""

from __future__ import annotations

from metamixer.tasks.registry import get, names, of
from metamixer.tasks.task import Arrays, Part, Task

__all__ = ["Arrays", "Part", "Task", "get", "names", "of"]
