"""`metamixer dashboard`."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from pathlib import Path

from metamixer.dashboards.runs import Runs
from metamixer.dashboards.safety import is_loopback
from metamixer.errors import ResourceError, StudyError

SHORTEST = 16  # characters of a token


def dashboard(place: str | Path, host: str, port: int, token: str | None, browse: bool) -> int:
    """Serve the page until it is interrupted.

    Args:
        place: A folder of runs, a run, or the URL of a database.
        host: The address to listen at.
        port: The port; the next free one if it is taken, any with 0.
        token: What a request must carry; "new" for one that is made here.
        browse: Whether to open a browser.

    Raises:
        RecordError: There is no such folder or record.
        StudyError: Another address than this machine's own without a token, or with one that is too short.
        ResourceError: The address cannot be listened at.
    """
    import uvicorn

    from metamixer.dashboards.server import application

    if token == "new":
        token = secrets.token_urlsafe(24)
    if token is None and not is_loopback(host):
        raise StudyError(
            f"at {host} the whole network could read the runs",
            "--host",
            "add --token new, and share its address",
        )
    if token is not None and len(token) < SHORTEST:
        raise StudyError("the token is too short to keep anybody out", "--token", "write --token new")
    runs = Runs(place)
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else socket.gethostname() if host in ("0.0.0.0", "::") else host
    address = f"http://{shown}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
    count = len(runs.names())
    found = f"{count} run{'' if count == 1 else 's'} in {runs.place}"
    print(f"{found}\ndashboard: {address}   (Ctrl-C ends it; searches go on)", flush=True)
    if browse:
        webbrowser.open(address)
    settings = uvicorn.Config(application(runs, host, token), log_level="warning", access_log=False)
    uvicorn.Server(settings).run(sockets=[listening])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in (port, *range(port + 1, port + 20)) if port else (0,):
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, candidate))
        except OSError as error:
            listening.close()
            failure = error
        else:
            return listening
    raise ResourceError(f"cannot listen at {host}, port {port}: {failure}", "--port", "name another port")
