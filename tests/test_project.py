"""The project's promises about itself."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_ci_runs_the_readmes_test_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = next(line for line in readme.splitlines() if "python check.py" in line)
    assert command.strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_bundled_student_has_a_card_and_a_recipe() -> None:
    from acutance import bundled_models, load_student

    for name, path in bundled_models().items():
        spec = load_student(path).spec
        assert spec.name == name
        assert (ROOT / "configs" / f"{name}.toml").exists()
        card = (ROOT / "docs" / "models" / f"{name}.md").read_text(encoding="utf-8")
        if spec.factors != (1,):  # of full size there is the call test alone
            assert f"{spec.quality['Set5']['psnr_y']:.2f}" in card
        assert path.stat().st_size < 300_000


def test_a_shipped_student_names_the_recipe_that_made_it() -> None:
    pytest.importorskip("torch")
    from acutance import bundled_models, load_student
    from acutance.training.distill.options import load_config

    for name, path in bundled_models().items():
        assert load_student(path).spec.config_sha256 == load_config(ROOT / "configs" / f"{name}.toml").sha256


def test_the_published_figures_are_of_the_bundled_weights() -> None:
    import hashlib
    import json

    from acutance import bundled_models, load_student

    report = json.loads((ROOT / "benchmarks" / "results" / "quality.json").read_text(encoding="utf-8"))
    assert {s["factor"] for s in report["sets"]} == {1.5, 2, 3, 4}
    for name, path in bundled_models().items():
        student = load_student(path)
        digest = hashlib.sha256()
        for tensor, values in sorted(student.tensors().items()):
            digest.update(tensor.encode() + values.tobytes())
        assert report["weights"][name]["weights_sha256"] == digest.hexdigest()
        first = min(f for f in student.spec.factors if f > 1) if student.spec.factors != (1,) else 0
        sets = {s["name"]: {m["name"]: m for m in s["methods"]} for s in report["sets"] if s["factor"] == first}
        assert set(sets) == (set() if not first else {"Set5", "Set14", "B100", "Kodak24", "Urban100_sub15"})
        for test_set, methods in sets.items():
            figures = student.spec.quality[test_set]
            assert figures["psnr_y"] == pytest.approx(methods[name]["mean"]["psnr_y"], abs=1e-4)
            if student.spec.teacher:
                assert f"{name}-control" in methods
            plain = [m["mean"]["psnr_y"] for n, m in methods.items() if m["kind"] in ("input", "filter")]
            assert len(plain) >= 3
            # A student for calls leaves more alone, also where nothing was compressed.
            gain = 1.0 if first == 2 else 0.8
            worth = max(plain) + gain if student.spec.task == "clean" else methods["bicubic"]["mean"]["psnr_y"]
            assert figures["psnr_y"] > worth


@pytest.mark.long  # a bicubic round trip and three students on five pictures: a few seconds
def test_the_published_set5_figures_can_be_measured_again(data_folder: Path) -> None:
    from acutance.degrade import crop_to_multiple, down_up
    from acutance.metrics import psnr_y
    from acutance.sharpening.single import FrameSharpener
    from acutance.training.data.folders import ImageFolder

    pictures = [crop_to_multiple(image.load()) for image in ImageFolder(data_folder / "test" / "Set5")]
    for tier in ("fast", "balanced", "quality"):
        sharpener = FrameSharpener(tier)
        values = [psnr_y(sharpener(down_up(p, 2).same_size), p, border=2) for p in pictures]
        assert sum(values) / 5 == pytest.approx(sharpener.student.spec.quality["Set5"]["psnr_y"], abs=2e-3)
