"""Students that train in the arithmetic of int8."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from acutance.errors import ConfigError  # noqa: E402
from acutance.students.spec import StudentSpec, load_student, save_student  # noqa: E402
from acutance.training.distill.options import load_config  # noqa: E402
from acutance.training.distill.run import distill  # noqa: E402
from acutance.training.models.quantized import QuantizedStudentNet  # noqa: E402
from acutance.training.models.students import StudentNet  # noqa: E402
from miniature import CONFIG  # noqa: E402

SHORT = ("schedule.epochs=1", "schedule.steps_per_epoch=30", "schedule.warmup_steps=5", "optimizer.lr=2e-3")


@pytest.fixture
def net(student_file: Path) -> QuantizedStudentNet:
    net = QuantizedStudentNet(load_student(student_file))
    net.calibrate([_luma(1), _luma(2)])
    return net


def _luma(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:32, 0:40]
    plane = 0.5 + 0.2 * np.sin(x / 3 + seed) * np.cos(y / 4) + rng.normal(0, 0.02, (32, 40))
    return torch.from_numpy(np.clip(plane, 0, 1)[None, None].astype(np.float32))


def test_it_begins_as_its_student_but_for_rounding(net: QuantizedStudentNet, student_file: Path) -> None:
    plain = StudentNet(net.shape, block="plain")
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("log_")})
    with torch.no_grad():
        difference = (net(_luma(1)) - plain(_luma(1))).abs()
    assert 0 < float(difference.mean()) < 1 / 255
    assert load_student(student_file).spec.shape == net.shape


def test_activations_lie_on_256_values_and_zero_is_one_of_them(net: QuantizedStudentNet) -> None:
    scales, zeros = net._scales()
    with torch.no_grad():
        for i, x in enumerate(net.features(_luma(3))[:-1]):
            codes = x / scales[i] + zeros[i]
            assert float((codes - codes.round()).abs().max()) < 1e-3
            assert 0 <= float(codes.min()) <= float(codes.max()) <= 255
            assert float(zeros[i]).is_integer()


def test_gradients_reach_weights_and_ranges(net: QuantizedStudentNet) -> None:
    net(_luma(4)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().max()) > 0, name


def test_what_ships_is_what_was_trained(net: QuantizedStudentNet, student_file: Path, tmp_path: Path) -> None:
    student = net.to_student(load_student(student_file).spec)
    assert student.quantized
    save_student(student, tmp_path / "q.safetensors")
    again = QuantizedStudentNet(load_student(tmp_path / "q.safetensors"))
    for ours, theirs in zip(again.convs, net.convs, strict=True):
        weight = ours.weight  # on the grid already: quantising it again changes nothing
        from acutance.training.models.quantized import _quantized_weight

        torch.testing.assert_close(_quantized_weight(weight), weight)
        torch.testing.assert_close(weight, _quantized_weight(theirs.weight))


def test_pictures_without_contrast_set_no_ranges(student_file: Path) -> None:
    student = load_student(student_file)
    dead = tuple(
        replace(layer, weight=np.zeros_like(layer.weight), bias=np.zeros_like(layer.bias)) for layer in student.layers
    )
    with pytest.raises(ConfigError, match="gives the same for every pixel"):
        QuantizedStudentNet(replace(student, layers=dead)).calibrate([_luma(1)])


def test_a_run_makes_an_int8_student_of_a_trained_one(miniature_root: Path, tmp_path: Path) -> None:
    first = distill(
        load_config(CONFIG, SHORT), data_root=miniature_root, cache=miniature_root / "cache", out=tmp_path / "float"
    )
    options = load_config(CONFIG, (*SHORT, "train.precision=int8", f"student.start={first.student_file}"))
    made = distill(options, data_root=miniature_root, cache=miniature_root / "cache", out=tmp_path / "int8")
    assert made.student_file is not None
    student = load_student(made.student_file)
    assert student.quantized
    assert made.training.best_psnr > first.training.best_psnr - 1.0
    again = distill(options, data_root=miniature_root, cache=miniature_root / "cache", out=tmp_path / "int8")
    assert again.training.best_psnr == made.training.best_psnr


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("train.precision=int8",), "needs student.start"),
        (("train.precision=int8", "student.start=x", "student.tier=lkdn"), "int8 is for students"),
        (("student.start=x",), "student.start is for lkdn, srresnet and int8 students"),
        (("train.precision=int4",), "'int4' is unknown"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(overrides: tuple[str, ...], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_config(CONFIG, overrides)


def test_a_student_for_another_degradation_is_no_start(
    miniature_root: Path, tmp_path: Path, student_file: Path
) -> None:
    student = load_student(student_file)
    spec: StudentSpec = replace(student.spec, task="call")
    save_student(replace(student, spec=spec), tmp_path / "call.safetensors")
    options = load_config(CONFIG, (*SHORT, "train.precision=int8", f"student.start={tmp_path / 'call.safetensors'}",
                                   "student.channels=8"))  # fmt: skip
    with pytest.raises(ConfigError, match="was trained for another degradation"):
        distill(options, data_root=miniature_root, cache=miniature_root / "cache", out=tmp_path / "run")
