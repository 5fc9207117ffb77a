"""Watches the processes that Ray needs, and ends the search in seconds when one has died.

Ray itself takes no notice: without its raylet trials wait for ever, and without its control service (GCS) its library
ends this process after a minute, without a word of ours.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

from metamixer.errors import ResourceError
from metamixer.search.execution.interrupt import Interrupt

NEEDED = ("raylet", "gcs_server")
LOOK_SECONDS = 0.5
# A head that does not answer so often in a row is gone.
HEAD_TRIES, HEAD_SECONDS = 3, 2.0
# How long Ray's library may hold this process after the search was told to end.
STUCK_SECONDS = 20.0
EXIT_CODE = 2
ADVICE = "nothing is lost: start the same command again; if it happens again, see whether the machine lacks memory"


class Guard:
    """A thread beside a search on Ray.

    Args:
        address: Of a cluster, `host:port`; None where Ray was started here.
        interrupt: Ends the search at its next safe moment.
    """

    def __init__(self, address: str | None, interrupt: Interrupt) -> None:
        self._address = address
        self._interrupt = interrupt
        self._end = threading.Event()
        self.died: str | None = None
        self._thread = threading.Thread(target=self._watch, name="ray-guard", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Watch no more."""
        self._end.set()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            self.died = _dead_here() if self._address is None else _dead_there(self._address, self._end)
            if self.died is not None:
                break
        else:
            return
        place = None if self._address is None else f"--address {self._address}"
        error = ResourceError(f"Ray is gone: {self.died}; the search ends", place, ADVICE)
        self._interrupt.fail(error)
        if self._end.wait(STUCK_SECONDS):
            return
        # The main thread is within Ray's library, which waits for what has died.
        print(f"error: {error}", file=sys.stderr, flush=True)
        os._exit(EXIT_CODE)


def _dead_here() -> str | None:
    """Which of the needed processes that were started here has died."""
    from ray._private import worker

    node = worker._global_node
    dead = [] if node is None else [kind for kind, _ in node.dead_processes() if kind in NEEDED]
    return f"its process {dead[0]} has died" if dead else None


def _dead_there(address: str, end: threading.Event) -> str | None:
    """Whether the head of a cluster does not answer any more."""
    host, _, port = address.rpartition(":")
    for _ in range(HEAD_TRIES):
        if end.wait(HEAD_SECONDS):
            return None
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return None
        except OSError:
            continue
    return "the cluster's head does not answer"


def shut_down(ray: object, guard: Guard | None, seconds: float = 10.0) -> None:
    """Shut Ray down; where it has lost a process that it would wait for, not for long."""
    if guard is None or guard.died is None:
        ray.shutdown()  # type: ignore[attr-defined]
        return
    from ray._private import worker

    node = worker._global_node
    if node is not None:
        try:
            node.kill_all_processes(check_alive=False, allow_graceful=False)
        except Exception:  # Ray's own trouble with what is dead already
            time.sleep(0)
    quiet = threading.Thread(target=ray.shutdown, name="ray-shutdown", daemon=True)  # type: ignore[attr-defined]
    quiet.start()
    quiet.join(seconds)
