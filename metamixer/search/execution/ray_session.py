"""Ray for one search: started on this machine, or a cluster that is joined; and what dead processes left of it.

Started here, Ray listens on loopback and dies with the search. A cluster is joined only where its address is given,
whatever the environment says.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metamixer.errors import ResourceError
from metamixer.search.execution.interrupt import Interrupt
from metamixer.search.execution.ray_guard import Guard, shut_down

_FOLDER = "metamixer-ray-"
LOCK = "lock"
# How Ray says that its versions differ: the cluster's, then those of this process.
_VERSIONS = re.compile(r"Version mismatch.*?" + r"Ray: (\S+)\s+Python: (\S+).*?" * 2, re.DOTALL)
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # Every trial has a thread of its own in its worker; glibc gives threads heaps that are never given back.
    "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
}


@dataclass(frozen=True)
class Local:
    """What a Ray of this process alone is given."""

    cpus: int
    gpus: int


@contextmanager
def joined(local: Local | None, address: str | None, interrupt: Interrupt) -> Iterator[tuple[Any, Path]]:
    """Ray, of this process alone or a cluster that runs, and a folder for Tune's files; neither is left behind.

    Args:
        local: What Ray is started with here; None to join a cluster.
        address: The cluster, `host:port`.
        interrupt: Is told when a process that Ray needs has died.

    Raises:
        ResourceError: Ray cannot be started, or the cluster not be joined.
    """
    os.environ.update(_ENVIRONMENT)
    # "No cluster": Ray listens on loopback. It replaces a loopback address that `ray.init` is given by the host's own.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0" if local else "1"
    os.environ.pop("RAY_ADDRESS", None)
    if address is not None:
        _look_for(address)
    import ray
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = local is None  # where Ray was imported before, it has not seen the line above
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        raise ResourceError("Ray is already running in this process", advice="call ray.shutdown(), or run inline")
    handlers = _Handlers()
    # Sockets lie below this folder, and their paths may have 107 characters.
    with folder("/tmp" if Path("/tmp").is_dir() else None) as files:
        guard = None
        try:
            _start(ray, local, address, files)
            handlers.restore()
            guard = Guard(address, interrupt)
            yield ray, files
        finally:
            shut_down(ray, guard)
            if guard is not None:
                guard.end()
            handlers.restore()


def _start(ray: Any, local: Local | None, address: str | None, files: Path) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    try:
        if local is None:
            ray.init(address=address, runtime_env={"env_vars": _ENVIRONMENT}, **quiet)
        else:
            _keep_token_private()
            ray.init(
                address="local",
                num_cpus=local.cpus,
                num_gpus=local.gpus,
                include_dashboard=False,
                object_store_memory=100 * 2**20,
                # Ray opens its folder to everybody; the one around it is this user's alone.
                _temp_dir=str(files / "r"),
                **quiet,
            )
    except Exception as error:  # Ray has many of its own
        said = _told(error)
        if address is not None:
            raise _refusal(address, error) from error
        raise ResourceError(
            f"Ray could not be started: {said}", advice="run without it: --dispatcher inline"
        ) from error


def _keep_token_private() -> None:
    """Give the token that Ray asks its processes for to this user alone.

    Ray keeps it in the home folder from its first start on, readable by everybody; with it other users of the machine
    could send a search work. Versions of Ray without tokens take no notice.
    """
    if any(name in os.environ for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
        return  # the user's own arrangement
    path = Path.home() / ".ray" / "auth_token"
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.exists():
            path.chmod(0o600)
            return
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except OSError:  # no home that can be written, or somebody else's file: Ray says what it needs
        return


def _look_for(address: str) -> None:
    """See that something listens there: Ray ends the process when nothing does, and after a minute."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit() or int(port) > 65535:
        raise ResourceError(
            "that is no address of a Ray cluster",
            f"--address {address}",
            "write the head's host:port, as 10.0.0.1:6379",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise _unjoined(address, str(error)) from None


def _unjoined(address: str, why: str, advice: str = "start its head: ray start --head --port=6379") -> ResourceError:
    return ResourceError(f"the Ray cluster cannot be joined: {why}", place=f"--address {address}", advice=advice)


def _refusal(address: str, error: Exception) -> ResourceError:
    """What a cluster that answers, and cannot be joined, is missing."""
    if "token" in _causes(error).lower():
        advice = "give every machine the head's ~/.ray/auth_token, and export RAY_AUTH_MODE=token"
        return _unjoined(address, "it asks for a token", advice)
    versions = _VERSIONS.search(str(error))
    if versions is not None:
        there, here = (
            f"Ray {ray} on Python {python}" for ray, python in (versions.groups()[:2], versions.groups()[2:])
        )
        advice = f"start every machine of the cluster, and this command, with one and the same version of both: {here}"
        return _unjoined(address, f"it runs {there}, and this process {here}", advice)
    return _unjoined(address, _told(error))


def _told(error: Exception, most: int = 400) -> str:
    """What an error of Ray's says, on one line, of which no word is cut in two."""
    return textwrap.shorten(str(error), most, placeholder=" ..") or type(error).__name__


def _causes(error: BaseException | None) -> str:
    """What an error and those behind it say."""
    return "" if error is None else f"{error}\n{_causes(error.__cause__)}"


class _Handlers:
    """The signal handlers of this moment; Ray and Tune put theirs in place, and leave them there."""

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1) if main else ()
        self._before = {number: signal.getsignal(number) for number in signals}

    def restore(self) -> None:
        for number, handler in self._before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextmanager
def folder(where: str | None = None) -> Iterator[Path]:
    """A temporary folder of this process; those of processes that were killed are deleted first.

    Its file `lock` is locked while the process lives, and by no other that it starts. What cannot be locked belongs to
    somebody who lives, be it in a container whose processes are not seen here; what has no lock may not be ours.

    Args:
        where: In which folder; None for the system's.
    """
    place = Path(where or tempfile.gettempdir())
    for left in place.glob(f"{_FOLDER}*"):
        _delete_if_dead(left)
    name = f"{_FOLDER}{os.getpid()}-"
    with (
        tempfile.TemporaryDirectory(prefix=name, dir=place, ignore_cleanup_errors=True) as made,
        open(Path(made) / LOCK, "w") as lock,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("held")  # not before it is: an empty file may be about to be locked
        lock.flush()
        yield Path(made)


def _delete_if_dead(folder: Path) -> None:
    """Delete a folder of this user whose lock nobody holds."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return
        with open(folder / LOCK, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if lock.read():
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # held, without a lock, or gone
        return
