"""The student family as torch modules, against what ships; and the report's student."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from acutance.engine import float_network  # noqa: E402
from acutance.engine.enlargement import enlarge  # noqa: E402
from acutance.engine.numpy_engine import NumpyEngine  # noqa: E402
from acutance.errors import ConfigError, ModelError, UsageError  # noqa: E402
from acutance.students.spec import StudentShape, StudentSpec, load_student, save_student  # noqa: E402
from acutance.training.distill.options import load_config  # noqa: E402
from acutance.training.distill.run import student_shape  # noqa: E402
from acutance.training.models.cost import count_parameters, measure_cost, measure_speed  # noqa: E402
from acutance.training.models.report2025 import Report2025  # noqa: E402
from acutance.training.models.students import TIERS, UPSCALERS, StudentNet  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _torch_kernel(monkeypatch):
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "torch")  # the compiled one has its own tests


def _spec(shape):
    return StudentSpec(name="test-clean-x2", tier="fast", task="clean", factors=(2.0,), shape=shape)


@pytest.mark.parametrize("block", ["plain", "collapsible"])
@pytest.mark.parametrize("shape", [StudentShape(2, 8, 2), StudentShape(3, 6, 0), StudentShape(1, 4, 1)])
def test_the_exported_student_computes_what_was_trained(shape, block, tmp_path):
    torch.manual_seed(3)
    net = StudentNet(shape, block=block)
    with torch.no_grad():
        for slope in net.slopes:
            slope.uniform_(-0.5, 1.0)
        for conv in net.convs:
            conv.bias.normal_(std=0.1)
    save_student(net.to_student(_spec(shape)), tmp_path / "s.safetensors")
    luma = np.random.default_rng(1).uniform(16, 235, (24, 36)).astype(np.float32)
    with torch.no_grad():
        expected = (net(torch.from_numpy(luma / 255)[None, None])[0, 0] * 255).numpy()
    student = load_student(tmp_path / "s.safetensors")
    residual = float_network.residual(student, luma / np.float32(255)) * np.float32(255)
    np.testing.assert_allclose(luma + residual, expected, atol=2e-3)


@pytest.mark.parametrize("shape", [StudentShape(1, 4, 1, 3), StudentShape(2, 6, 1, 3), StudentShape(1, 5, 0, 4)])
def test_an_upscaler_computes_in_integers_what_was_trained(shape):
    """To within the rounding of integers, of the enlargement and of the output."""
    torch.manual_seed(3)
    net = StudentNet(shape, block="plain")
    with torch.no_grad():
        for conv in net.convs:
            conv.bias.normal_(std=0.02)
    low = np.random.default_rng(1).integers(16, 236, (12, 18), dtype=np.uint8)
    enlarged = enlarge(low, shape.unshuffle, shape.shuffle, 8)
    x, base = (torch.from_numpy(plane.astype(np.float32) / 255)[None, None] for plane in (low, enlarged))
    with torch.no_grad():
        expected = net(x, base)[0, 0].mul(255).clamp(0, 255).numpy()
    assert np.abs(expected - enlarged).max() > 1  # the residual is not nothing
    out = NumpyEngine(net.to_student(_spec(shape))).process(low)
    assert np.abs(out - expected).max() < 0.5 + 1 / 16


def test_an_upscaler_asks_for_the_enlarged_picture_and_others_refuse_it():
    x = torch.rand(1, 1, 6, 6)
    with pytest.raises(UsageError, match="takes an enlarged picture"):
        StudentNet(StudentShape(1, 2, 0, 2))(x)
    with pytest.raises(UsageError, match="takes no enlarged picture"):
        StudentNet(StudentShape(1, 2, 0))(x, x)


@pytest.mark.parametrize("tier", UPSCALERS)
def test_upscalers_have_the_factors_and_about_the_cost_of_their_tier(tier):
    for factor, shape in UPSCALERS[tier].items():
        assert shape.scale == factor
        assert 0.85 < shape.macs_per_pixel / TIERS[tier].macs_per_pixel < 1.02


@pytest.mark.parametrize("tier", UPSCALERS)
def test_the_upscalers_recipes_have_their_shapes(tier):
    for factor, shape in UPSCALERS[tier].items():
        options = load_config(ROOT / f"configs/{tier}-clean-up{factor:g}.toml")
        assert student_shape(options) == shape


def test_an_upscaler_of_another_factor_than_its_pictures_is_refused():
    options = load_config(ROOT / "configs/fast-clean-up3.toml", ["student.shuffle=4"])
    with pytest.raises(ConfigError, match="an upscaler by 4 learns from pictures of that factor alone, not of 3"):
        student_shape(options)


def test_tiers_cost_what_the_design_says():
    assert {name: shape.macs_per_pixel for name, shape in TIERS.items()} == {
        "fast": 1152,
        "balanced": 2484,
        "quality": 9504,
    }


@pytest.mark.parametrize("tier", TIERS)
def test_a_plain_students_parameters_and_cost_are_those_of_its_shape(tier):
    net = StudentNet(TIERS[tier], block="plain")
    assert count_parameters(net) == TIERS[tier].parameters
    macs = sum(c.weight.numel() for c in net.convs) / TIERS[tier].unshuffle ** 2
    assert macs == TIERS[tier].macs_per_pixel


def test_weights_that_are_not_finite_are_not_exported():
    net = StudentNet(StudentShape(2, 8, 1))
    with torch.no_grad():
        net.convs[0].bias[0] = float("nan")
    with pytest.raises(ModelError, match=r"conv0\.bias"):
        net.to_student(_spec(net.shape))


def test_the_reports_student_has_944323_parameters_and_upscales_by_four():
    net = Report2025()
    assert count_parameters(net) == 944_323
    assert round(measure_cost(net).macs_per_pixel, -2) == 60_500
    with torch.no_grad():
        out = net(torch.rand(1, 3, 8, 12))
    assert out.shape == (1, 3, 32, 48)
    assert out.abs().max() <= 1


def test_cost_is_counted_without_touching_weights_mode_or_random_state():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
        torch.nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1),
    ).train()
    state = torch.get_rng_state()
    cost = measure_cost(net)
    assert cost.macs_per_pixel == (27 * 8 + 9 * 8 + 16 * 8 * 3) / 4
    assert cost.gmacs_at(1920, 1080) == pytest.approx(cost.macs_per_pixel * 1920 * 1080 / 1e9)
    speed = measure_speed(net, size=16, repeats=1)
    assert speed.output_pixels == 32 * 32
    assert speed.fps_1080p == pytest.approx(1024 / speed.seconds / 2_073_600)
    assert net.training
    assert net[0].weight.device.type == "cpu"
    assert torch.equal(torch.get_rng_state(), state)


def test_cost_of_a_network_that_looks_at_values_is_counted_by_running_it():
    class Looks(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.conv(x) if float(x.sum()) >= 0 else x

    assert measure_cost(Looks()).macs_per_pixel == 9
