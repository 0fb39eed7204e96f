"""Every loss term against an independent calculation in numpy."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from acutance.errors import ConfigError  # noqa: E402
from acutance.metrics import ssim as ssim_metric  # noqa: E402
from acutance.training.distill.losses import LOSSES, Prediction  # noqa: E402
from acutance.training.distill.options import TAUGHT, LossOptions  # noqa: E402


@pytest.fixture
def arrays():
    rng = np.random.default_rng(4)
    truth = rng.uniform(0, 1, (2, 1, 30, 26))
    return {
        "output": np.clip(truth + rng.normal(0, 0.05, truth.shape), 0, 1),
        "truth": truth,
        "teacher": truth + rng.normal(0, 0.02, truth.shape),
        "degraded": truth + rng.normal(0, 0.1, truth.shape) * np.array([1.0, 1e-4]).reshape(2, 1, 1, 1),
    }


@pytest.fixture
def prediction(arrays):
    return Prediction(**{name: torch.from_numpy(a) for name, a in arrays.items()})


@pytest.mark.parametrize("name", ["relative_l1", "teacher_relative_l1"])
def test_relative_losses_need_the_input(name, prediction):
    prediction.degraded = None
    with pytest.raises(ConfigError, match="the input"):
        LOSSES[name](prediction)


def test_there_is_a_weight_for_every_term_and_no_other():
    assert set(LOSSES) == {f.name for f in dataclasses.fields(LossOptions)}


@pytest.mark.parametrize(
    ("name", "against", "formula"),
    [
        ("l1", "truth", lambda d: np.abs(d).mean()),
        ("mse", "truth", lambda d: (d**2).mean()),
        ("charbonnier", "truth", lambda d: np.sqrt(d**2 + 1e-6).mean()),
        ("teacher_l1", "teacher", lambda d: np.abs(d).mean()),
        ("teacher_mse", "teacher", lambda d: (d**2).mean()),
    ],
)
def test_pixel_losses(name, against, formula, arrays, prediction):
    assert float(LOSSES[name](prediction)) == pytest.approx(formula(arrays["output"] - arrays[against]), rel=1e-9)


@pytest.mark.parametrize(("name", "target"), [("relative_l1", "truth"), ("teacher_relative_l1", "teacher")])
def test_relative_losses_measure_each_crop_in_units_of_its_inputs_error(name, target, arrays, prediction):
    errors = np.abs(arrays["output"] - arrays[target]).mean(axis=(1, 2, 3))
    units = np.abs(arrays["degraded"] - arrays["truth"]).mean(axis=(1, 2, 3))
    floor = 0.5 / 255  # the second crop's input is nearer to the truth than that
    assert units[1] < floor < units[0]
    expected = (errors[0] / units[0] + errors[1] / floor) / 2
    assert float(LOSSES[name](prediction)) == pytest.approx(expected)


def test_edge_loss_compares_first_differences(arrays, prediction):
    def gradients(p):
        return np.diff(p, axis=3), np.diff(p, axis=2)

    pairs = zip(gradients(arrays["output"]), gradients(arrays["truth"]), strict=True)
    assert float(LOSSES["edge"](prediction)) == pytest.approx(sum(np.abs(a - b).mean() for a, b in pairs), rel=1e-9)


def test_ssim_loss_is_one_minus_the_metric(arrays, prediction):
    planes = zip(arrays["output"][:, 0], arrays["truth"][:, 0], strict=True)
    expected = 1 - np.mean([ssim_metric(a, b, data_range=1.0) for a, b in planes])
    assert float(LOSSES["ssim"](prediction)) == pytest.approx(expected, rel=1e-6)


def test_ssim_loss_takes_colour():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 1, (2, 1, 3, 20, 20))
    expected = 1 - ssim_metric(a[0].transpose(1, 2, 0), b[0].transpose(1, 2, 0), data_range=1.0)
    assert float(LOSSES["ssim"](Prediction(torch.from_numpy(a), torch.from_numpy(b)))) == pytest.approx(expected)


def test_affinity_loss_compares_cosines_between_positions(prediction):
    rng = np.random.default_rng(2)
    student, teacher = rng.normal(size=(2, 8, 5, 6)), rng.normal(size=(2, 56, 5, 6))

    def cosines(f):
        flat = f.reshape(*f.shape[:2], -1)
        unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        return np.einsum("ncp,ncq->npq", unit, unit)

    prediction.student_features, prediction.teacher_features = torch.from_numpy(student), torch.from_numpy(teacher)
    expected = np.abs(cosines(student) - cosines(teacher)).mean()
    assert float(LOSSES["affinity"](prediction)) == pytest.approx(expected, rel=1e-9)


def test_affinity_of_large_maps_is_compared_on_a_grid_of_24(prediction):
    features = torch.randn(1, 4, 48, 72)
    prediction.student_features = features
    prediction.teacher_features = features.repeat_interleave(3, dim=1)  # the same cosines from other channels
    assert float(LOSSES["affinity"](prediction)) == pytest.approx(0, abs=1e-6)


def test_affinity_of_maps_of_different_sizes_is_compared_on_what_both_have(prediction):
    prediction.student_features = torch.ones(1, 4, 12, 16)
    prediction.teacher_features = torch.ones(1, 9, 6, 32)
    assert float(LOSSES["affinity"](prediction)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_gradient_and_none_without_an_error(name, arrays):
    truth = torch.from_numpy(arrays["truth"])
    output = torch.from_numpy(arrays["output"]).requires_grad_()
    features = torch.randn(2, 8, 5, 5, requires_grad=True)
    others = {"degraded": torch.from_numpy(arrays["degraded"])}
    prediction = Prediction(
        output, truth, torch.from_numpy(arrays["teacher"]), features, torch.randn(2, 8, 5, 5), **others
    )
    LOSSES[name](prediction).backward()
    gradient = features.grad if name == "affinity" else output.grad
    assert gradient is not None
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient.abs().sum()) > 0
    equal = Prediction(truth, truth, truth, prediction.teacher_features, prediction.teacher_features, **others)
    assert float(LOSSES[name](equal)) == pytest.approx(1e-3 if name == "charbonnier" else 0, abs=1e-6)


@pytest.mark.parametrize("name", TAUGHT)
def test_losses_to_a_teacher_need_one(name, prediction):
    prediction.teacher = None
    with pytest.raises(ConfigError, match="teacher"):
        LOSSES[name](prediction)
