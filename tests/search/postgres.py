"""A PostgreSQL server of its own for a test: Debian's package, a temporary folder, no privileges, no configuration."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest


def binaries() -> Path | None:
    """The folder of the newest installed server's programs, or None."""
    if found := shutil.which("postgres"):
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


needs_postgres = pytest.mark.skipif(
    binaries() is None, reason="no PostgreSQL server here (Debian: apt-get install postgresql)"
)


class Server:
    """A server on a port of loopback, run by somebody other than root."""

    def __init__(self) -> None:
        # Not in pytest's own folders: those are closed to other users.
        self.folder = Path(tempfile.mkdtemp(prefix="metamixer-postgres-"))
        self._programs = binaries()
        if os.getuid() == 0:  # PostgreSQL refuses to be root
            user = pwd.getpwnam("postgres" if _there("postgres") else "nobody")
            self._user: dict[str, object] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        else:
            self._user = {}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run("initdb", "--username=me", "--auth=trust", "--encoding=UTF8", "--no-sync")
        self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://me@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-s", "-l", str(self.folder / "log"), "-o", options)

    def stop(self) -> None:
        """As a crash does: connections are cut."""
        self._run("pg_ctl", "stop", "-w", "-s", "-m", "immediate")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        assert self._programs is not None
        done = subprocess.run(
            [str(self._programs / program), *arguments, "-D", str(self.folder / "data")],
            **self._user,  # type: ignore[arg-type]
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, (program, done.stdout)


def _there(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
