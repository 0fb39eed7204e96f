"""The project's promises about itself."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if "python check.py" in line)
    assert command.strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_links_between_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_bundled_student_has_a_card_and_a_recipe() -> None:
    from acutance import bundled_models, load_student

    for name, path in bundled_models().items():
        spec = load_student(path).spec
        assert spec.name == name
        assert (ROOT / "configs" / f"{name}.toml").exists()
        card = (ROOT / "docs" / "models" / f"{name}.md").read_text(encoding="utf-8")
        assert f"{spec.quality['Set5']['psnr_y']:.2f}" in card
        assert path.stat().st_size < 300_000


def test_a_shipped_student_names_the_recipe_that_made_it() -> None:
    pytest.importorskip("torch")
    from acutance import bundled_models, load_student
    from acutance.distill.options import load_config

    for name, path in bundled_models().items():
        assert load_student(path).spec.config_sha256 == load_config(ROOT / "configs" / f"{name}.toml").sha256
