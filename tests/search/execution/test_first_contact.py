"""What a cluster lacks is said in one message that names it, before the first trial."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from metamixer.search.execution import dispatcher, ray_session

pytestmark = pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")


class Cluster:
    """Refuses to be joined as Ray does."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def init(self, **options: object) -> None:
        raise self.error


def refusal(error: Exception, tmp_path: Path) -> str:
    with pytest.raises(ray_session.ResourceError) as caught:
        ray_session._start(Cluster(error), None, "10.0.0.1:6379", tmp_path)
    return str(caught.value)


def test_a_cluster_with_another_python_is_told_with_both_versions(tmp_path: Path) -> None:
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as caught:  # Ray's own words
        check_version_info({"ray_version": "2.9.1", "python_version": "3.9.2"}, "node 10.0.0.2")
    message = refusal(caught.value, tmp_path)
    ray = __import__("ray").__version__
    python = ".".join(map(str, sys.version_info[:3]))
    assert f"it runs Ray 2.9.1 on Python 3.9.2, and this process Ray {ray} on Python {python}" in message
    assert "one and the same version of both" in message


def test_a_cluster_that_asks_for_a_token_says_where_it_belongs(tmp_path: Path) -> None:
    from ray.exceptions import AuthenticationError

    for error in (
        AuthenticationError("Token authentication is enabled but no authentication token was found"),
        RuntimeError("RPC error: InvalidAuthToken: Authentication token is missing or incorrect"),
    ):
        message = refusal(error, tmp_path)
        assert "it asks for a token" in message
        assert "~/.ray/auth_token" in message
        assert "RAY_AUTH_MODE=token" in message


def test_a_long_message_of_rays_is_not_cut_within_a_word(tmp_path: Path) -> None:
    words = ["resources"] * 200
    (line, *_) = refusal(RuntimeError("\n".join(words)), tmp_path).splitlines()
    assert line.endswith("resources ..")
    assert len(line) < 500


def test_a_machine_without_metamixer_can_say_so(tmp_path: Path) -> None:
    """The question is sent to a Python that has Ray alone; an empty folder of its name is not the package."""
    import ray
    from ray import cloudpickle

    from metamixer.search.execution.ray_probe import looking

    sent, bare = tmp_path / "question", tmp_path / "bare"
    sent.write_bytes(cloudpickle.dumps(looking()))
    for folder in ("metamixer", "mine"):
        (bare / folder).mkdir(parents=True)
    (bare / "mine" / "net.py").touch()
    package = bare / "heavy"
    package.mkdir()
    (package / "__init__.py").write_text("import not_installed_there")
    code = f"""
import sys
sys.path.append({str(Path(ray.__file__).parents[1])!r})
from ray import cloudpickle
looking = cloudpickle.loads(open({str(sent)!r}, "rb").read())()
print(looking.lacking(["metamixer.errors", "mine.net", "mine.loss", "heavy.net", "nowhere"]))
"""
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code], cwd=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['metamixer.errors', 'mine.loss', 'not_installed_there', 'nowhere']"


def test_a_machine_that_starts_no_worker_is_named_with_what_to_compare() -> None:
    from metamixer.search.execution.ray_probe import unusable

    message = str(unusable("node-7", RuntimeError("The actor died")))
    assert "the machine node-7 of the cluster starts no worker for this search: The actor died" in message
    assert "RAY_AUTH_MODE and the token must be the same here and there" in message
