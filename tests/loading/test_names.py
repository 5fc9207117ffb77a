"""Names of tensors follow the sentence, and a file of every released scheme loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import metamixer as mm
from metamixer.compile import plan as planning
from metamixer.compile.names import SCHEME, named_tensors
from metamixer.errors import RecordError
from metamixer.training import weights

FOLDER = Path(__file__).parent
SENTENCES = (
    "lin(16) >> res(norm >> att(lin,lin,lin)@h(2) >> lin)^2",
    "tie b = res(lin) in b >> b",
    "let q = lin in lin(64) + att(q,q,lin)@h(2)",
    "fconv(3,8) >> bn >> res(lin >> gelu >> lin)",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_every_tensor_has_one_name(sentence: str) -> None:
    net = mm.build(sentence, 64, (4, 4))
    names = named_tensors(net)
    storage = {(value.data_ptr(), value.numel()) for value in names.values()}
    assert len(storage) == len(names)
    owned = {id(value): value.numel() for value in (*net.parameters(), *net.buffers(recurse=True))}
    persistent = {id(value): value.numel() for value in net.state_dict(keep_vars=True).values()}
    assert persistent.items() <= owned.items()
    assert sum(value.numel() for value in names.values()) == sum(persistent.values())


def test_names_do_not_follow_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def network() -> torch.nn.Module:
        return mm.build(mm.parse("lin(16) >> att(lin,lin,lin)@h(2) >> bn"), 8, (4, 4))

    planned = network()
    monkeypatch.setattr("metamixer.compile.modules.plan", lambda t: planning.STAGED)
    staged = network()
    assert set(planned.state_dict()) != set(staged.state_dict())
    assert {name: value.shape for name, value in named_tensors(planned).items()} == {
        name: value.shape for name, value in named_tensors(staged).items()
    }


@pytest.mark.parametrize("scheme", range(1, int(SCHEME) + 1))
def test_a_file_of_each_scheme_loads(scheme: int) -> None:
    file = FOLDER / f"names-{scheme}.safetensors"
    expected = json.loads(weights.metadata_of(file)["logits"])
    found = mm.load(file)(torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)).detach().flatten()
    assert (found - torch.tensor(expected)).abs().max() <= 1e-5 * max(map(abs, expected))


def test_weights_of_another_shape_name_what_differs() -> None:
    from metamixer.compile.names import load_tensors

    small, large = mm.build("lin(8)", 4, (2, 2)), mm.build("lin(9) >> bn", 4, (2, 2))
    with pytest.raises(RecordError, match="another network") as error:
        load_tensors(small, named_tensors(large), "there")
    assert "weight is missing" in (error.value.place or "")
