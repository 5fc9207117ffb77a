"""Who may read, what can be asked, and that nothing can be written."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from starlette.routing import Route

from metamixer.dashboards import page
from metamixer.dashboards.command import dashboard
from metamixer.dashboards.runs import Runs
from metamixer.dashboards.server import application
from metamixer.errors import RecordError, StudyError

from .conftest import HOSTILE, Served, serve

TOKEN = "a-token-that-is-long-enough"


def test_another_address_needs_a_token(runs_folder: Path, metamixer) -> None:
    with pytest.raises(StudyError, match="whole network"):
        dashboard(runs_folder, "0.0.0.0", 0, None, False)
    with pytest.raises(StudyError, match="too short"):
        dashboard(runs_folder, "0.0.0.0", 0, "short", False)
    done = metamixer("dashboard", runs_folder, "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "--token new" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path, metamixer) -> None:
    with pytest.raises(RecordError, match="no such folder"):
        Runs(tmp_path / "nowhere")
    done = metamixer("dashboard", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_without_the_token_nothing_is_told(runs_folder: Path) -> None:
    server = serve(runs_folder, TOKEN, "0.0.0.0")
    try:
        for path in ("/", "/runs", "/data", "/static/main.js", "/plotly.js"):
            assert httpx.get(server.address + path).status_code == 401
            assert httpx.get(server.address + path, params={"token": TOKEN + "x"}).status_code == 401
            wrong = {"Authorization": "Bearer wrong", "Cookie": "metamixer_token=wrong"}
            assert httpx.get(server.address + path, headers=wrong).status_code == 401
        assert httpx.get(f"{server.address}/runs", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
        with httpx.Client(follow_redirects=True) as client:
            opened = client.get(server.address, params={"token": TOKEN})
            assert opened.status_code == 200
            assert "token" not in str(opened.url)
            assert client.get(f"{server.address}/runs").status_code == 200
            (cookie,) = client.cookies.jar
            assert cookie.has_nonstandard_attr("HttpOnly")
            assert cookie.get_nonstandard_attr("SameSite") == "strict"
    finally:
        server.stop()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8501", "127.0.0.1.evil.example", "", "10.0.0.7"])
def test_a_foreign_host_is_refused(served: Served, host: str) -> None:
    assert httpx.get(f"{served.address}/data", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1"])
def test_a_foreign_origin_is_refused(served: Served, origin: str) -> None:
    assert httpx.get(f"{served.address}/data", headers={"Origin": origin}).status_code == 403
    assert httpx.get(f"{served.address}/data", headers={"Origin": served.address}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_no_route_writes(served: Served, method: str) -> None:
    routes = application(served.runs).routes
    assert len(routes) >= 8
    for route in routes:
        assert isinstance(route, Route)
        assert route.methods == {"GET", "HEAD"}
        assert httpx.request(method, served.address + route.path.partition("{")[0]).status_code == 405


def test_every_answer_carries_the_policy(served: Served) -> None:
    for path in ("/", "/runs", "/static/main.js", "/static/nothing.js", "/data?run=none"):
        answer = httpx.get(served.address + path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe-eval" not in policy
        assert "script-src" not in policy  # scripts: 'self' alone
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["../server.py", "%2e%2e/server.py", "/etc/passwd", "nothing.js", "data", ""])
def test_no_file_but_the_page_s_is_served(served: Served, name: str) -> None:
    answer = httpx.get(f"{served.address}/static/{name}")
    assert answer.status_code == 404
    assert "import" not in answer.text
    assert page.asset(name) is None


@pytest.mark.parametrize("key", ["999999", "x" * 64, "-1", "%2e%2e", "0;drop", "1e3"])
def test_an_architecture_that_is_not_there(served: Served, key: str) -> None:
    assert httpx.get(f"{served.address}/architecture/{key}", params={"run": "again"}).status_code == 404
    assert httpx.get(f"{served.address}/data", params={"run": f"../{key}"}).status_code == 404


def test_an_architecture_is_found_by_number_and_by_key(served: Served) -> None:
    one = httpx.get(f"{served.address}/architecture/0", params={"run": "again"}).json()
    assert one["number"] == 0
    assert httpx.get(f"{served.address}/architecture/{one['key']}", params={"run": "again"}).json() == one


def test_texts_of_a_record_stay_texts_in_every_answer(served: Served) -> None:
    for path in ("/runs", f"/texts?run={HOSTILE}", f"/data?run={HOSTILE}"):
        answer = httpx.get(served.address + path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert HOSTILE in json.dumps(answer.json())


def test_a_poll_without_news_is_small(served: Served) -> None:
    first = httpx.get(f"{served.address}/data", params={"run": "again"}).json()
    where = {"run": "again", "since": first["revision"], "generation": first["generation"]}
    assert len(httpx.get(f"{served.address}/data", params=where).content) < 200
