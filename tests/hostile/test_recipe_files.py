"""A recipe that is nested too deeply for the parser is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")

from acutance.errors import ConfigError
from acutance.training.distill.conditioned_options import is_conditioned, load_conditioned_config
from acutance.training.distill.options import load_config


@pytest.mark.parametrize("load", [load_config, load_conditioned_config])
def test_a_deeply_nested_recipe_is_refused_in_one_line(tmp_path: Path, load: Callable[[Path], object]) -> None:
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 100_000)
    assert not is_conditioned(path)
    with pytest.raises(ConfigError, match=r"deep\.toml: not a TOML file") as caught:
        load(path)
    assert "\n" not in str(caught.value)
