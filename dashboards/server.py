"""The live page: a few routes that read, behind `safety.Guard`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from metamixer.dashboards import page
from metamixer.dashboards.architecture import drawn_mixer
from metamixer.dashboards.insight import Insights
from metamixer.dashboards.published import compared
from metamixer.dashboards.runs import Runs
from metamixer.dashboards.safety import Guard
from metamixer.errors import UserError

# That a space cannot be read is an answer to what is asked there, not a missing page: browsers log those as errors.
WORKED_OUT = ("/why/{number}", "/effects", "/words", "/space")


def application(runs: Runs, address: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """The application that shows these runs to who may see them.

    Args:
        runs: What is shown.
        address: The address it will be bound to.
        token: What a request must carry; None for nothing.
    """
    insights = Insights()

    def index(request: Request) -> Response:
        return Response(page.index(), media_type="text/html")

    def static(request: Request) -> Response:
        found = page.asset(request.path_params["name"])
        return Response(found[0], media_type=found[1]) if found else _missing("no such file")

    def plotly(request: Request) -> Response:
        # Its address names its version, so that it can be kept for ever.
        headers = {"Cache-Control": "private, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(page.plotly(), media_type="text/javascript", headers=headers)
        return Response(_packed_plotly(), media_type="text/javascript", headers=headers | {"Content-Encoding": "gzip"})

    def listed(request: Request) -> Response:
        return _json({"place": runs.place, "runs": runs.summaries()})

    def data(request: Request) -> Response:
        revision = request.query_params.get("since", "-1")
        since = int(revision) if revision.lstrip("-").isdecimal() and len(revision) < 10 else -1
        return _json(_view(request).since(since, request.query_params.get("generation", "")))

    def texts(request: Request) -> Response:
        return _json(_view(request).texts())

    def architecture(request: Request) -> Response:
        found = runs.architecture(_name(request), request.path_params["key"])
        return _json(found) if found is not None else _missing("the run has no such architecture")

    def published(request: Request) -> Response:
        return _json(compared(_view(request).attributes["settings"]["task"]))

    def why(request: Request) -> Response:
        view = _view(request)
        number = view.number_of(request.path_params["number"])
        return _json(insights.why(view, number)) if number is not None else _missing("the run has no such trial")

    def effects(request: Request) -> Response:
        return _json(insights.effects(_view(request)))

    def words(request: Request) -> Response:
        return _json(insights.words(_view(request)))

    def space(request: Request) -> Response:
        return _json(insights.space(_view(request)))

    def atlas(request: Request) -> Response:
        return _json(insights.atlas())

    def mixer(request: Request) -> Response:
        return _json({"drawing": drawn_mixer(request.path_params["name"])})

    def _name(request: Request) -> str:
        names = request.query_params.get("run")
        return names if names is not None else next(iter(runs.names()), "")

    def _view(request: Request) -> Any:
        return runs.view(_name(request))

    routes = {
        "/": index,
        "/static/{name:path}": static,
        "/plotly.js": plotly,
        "/runs": listed,
        "/data": data,
        "/texts": texts,
        "/architecture/{key}": architecture,
        "/published": published,
        "/why/{number}": why,
        "/effects": effects,
        "/words": words,
        "/space": space,
        "/atlas": atlas,
        "/atlas/{name}": mixer,
    }
    return Starlette(
        routes=[
            Route(path, _told(answer, 200 if path in WORKED_OUT else 404), methods=["GET"])
            for path, answer in routes.items()
        ],
        middleware=[Middleware(Guard, address=address, token=token)],
    )


@cache
def _packed_plotly() -> bytes:
    return gzip.compress(page.plotly().encode(), compresslevel=6)


def _told(answer: Callable[[Request], Response], code: int) -> Callable[[Request], Response]:
    """The user's errors as JSON: the page says them in their own words."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(request)
        except UserError as error:
            return _json({"error": error.message, "place": error.place, "advice": error.advice}, code)

    return endpoint


def _json(value: Any, code: int = 200) -> Response:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Response(text, code, media_type="application/json")


def _missing(what: str) -> Response:
    return _json({"error": what}, 404)
