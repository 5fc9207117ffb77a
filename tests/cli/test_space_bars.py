"""The histogram of `metamixer space`, whatever a space costs."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from metamixer import cli
from metamixer.cli.output.space import bars


@pytest.mark.parametrize("values", [(0, 0), (0, 1), (0, 5, 1000), (0, 0, 3), (1, 1), (7, 10**300)])
def test_networks_that_cost_nothing_are_shown_beside_those_that_do(values):
    shown = bars(values)
    assert shown.strip()
    assert len(shown) in (1, 16)
    if values[-1] > 1 and values[0] != values[-1]:
        assert shown[0] != " "
        assert shown[-1] != " "


def test_a_space_in_which_some_networks_have_no_products_is_described(tmp_path):
    space = tmp_path / "s.toml"
    space.write_text("name = 's'\nstart = 'a'\n[rules]\na = '{lin | gelu}'\n")
    result = CliRunner().invoke(cli.app, ["space", str(space), "--channels", "4", "--grid", "2x2", "--draw", "50"])
    assert result.exit_code == 0, result.output
    assert "median" in result.stdout
