import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from acutance.errors import ConfigError, InputNotFoundError
from acutance.training.data.calls import CallBatch
from acutance.training.distill.conditioned import call_loss, distill_conditioned
from acutance.training.distill.conditioned_options import (
    CallOptions,
    ConditionedLoss,
    ConditionedOptions,
    ConditionedTraining,
    ShapeOptions,
    is_conditioned,
    load_conditioned_config,
)
from acutance.training.distill.losses.spectrum import ring_sums, spectrum_loss
from acutance.training.distill.options import ScheduleOptions
from acutance.training.models.conditioned import ConditionedNet, Layers
from io_clips import make_clip

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    for name in ("a", "b"):
        make_clip(folder / f"{name}.mp4", size=(480, 288), pts=list(range(0, 30 * 512, 512)))
    (folder / "photos").mkdir()
    rng = np.random.default_rng(7)
    for name in ("one", "two"):
        texture = Image.fromarray(rng.integers(0, 255, (60, 60, 3), np.uint8))
        texture.resize((420, 420), Image.Resampling.BICUBIC).save(folder / "photos" / f"{name}.png")
    return folder


def _options(**changes: object) -> ConditionedOptions:
    calls = CallOptions(clips=("a.mp4",), pictures=("photos",), count=10, soft=0, seed=5)
    options = ConditionedOptions(
        name="tiny",
        student=ShapeOptions(channels=4, depth=1, sets=3, hidden=4),
        calls=calls,
        validation=dataclasses.replace(calls, clips=("b.mp4",), count=2, seed=6),
        losses=ConditionedLoss(anchor_steps=4),
        schedule=ScheduleOptions(epochs=3, steps_per_epoch=4, warmup_steps=2),
        train=ConditionedTraining(crop=96, batch=4, groups=2),
    )
    return dataclasses.replace(options, **changes)  # type: ignore[arg-type]


def _run(options: ConditionedOptions, root: Path, out: Path, **arguments: int) -> ConditionedNet:
    result = distill_conditioned(options, data_root=root, cache=root / "cache", out=out, **arguments)
    return result.network


def test_a_run_that_was_killed_ends_with_the_same_bits(root: Path, tmp_path: Path) -> None:
    whole = _run(_options(), root, tmp_path / "whole")
    _run(_options(), root, tmp_path / "killed", stop_after=6)
    resumed = _run(_options(), root, tmp_path / "killed")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_second_look_starts_with_the_first_and_keeps_its_condition_network(root: Path, tmp_path: Path) -> None:
    faithful = _run(_options(), root, tmp_path / "faithful")
    natural = _options(
        name="tiny-natural",
        student=dataclasses.replace(
            _options().student, start=str(tmp_path / "faithful" / "last.pt"), frozen_condition=True
        ),
        losses=ConditionedLoss(error=0.5, spectrum=1.0),
    )
    second = _run(natural, root, tmp_path / "natural")
    for name, value in faithful.condition_tensors().items():
        assert torch.equal(value, second.condition_tensors()[name]), name
    assert not torch.equal(faithful.folded()[0][0], second.folded()[0][0])


def test_a_run_of_other_options_is_not_resumed(root: Path, tmp_path: Path) -> None:
    _run(_options(), root, tmp_path, stop_after=5)
    other = _options(train=dataclasses.replace(_options().train, lr=1e-3))
    with pytest.raises(ConfigError, match="other options"):
        _run(other, root, tmp_path)


def test_a_missing_teacher_is_named(root: Path, tmp_path: Path) -> None:
    options = _options(losses=ConditionedLoss(teacher=1.0), teachers={"2": "nobody.safetensors"})
    with pytest.raises(InputNotFoundError, match=r"nobody\.safetensors"):
        _run(options, root, tmp_path)


def _batch(*, factor: float, codec: str | None) -> CallBatch:
    rng = np.random.default_rng(3)
    sharp = rng.random((2, 1, 96, 96), np.float32)
    record = {"factor": factor, "codec": codec}
    return CallBatch(sharp * 0.9, sharp, sharp, np.zeros((1, 55), np.float32), [record])


def test_what_needs_nothing_is_drawn_to_the_set_that_does_nothing() -> None:
    torch.manual_seed(1)
    network = ConditionedNet(_options().shape, sets=3, hidden=4)
    late = 1000
    untouched = call_loss(network, _batch(factor=1.0, codec=None), _options(), step=late)["loss"]
    encoded = call_loss(network, _batch(factor=1.0, codec="h264"), _options(), step=late)["loss"]
    assert untouched > encoded


def test_the_control_puts_the_truth_in_the_teachers_place() -> None:
    options = _options(losses=ConditionedLoss(error=1.0, teacher=0.7), teachers={"2": "x"})
    control = options.without_teacher()
    assert control.losses.error == pytest.approx(1.7)
    assert control.losses.teacher == 0
    assert not control.teachers
    assert control.schedule == options.schedule
    assert control.train == options.train


def test_ring_sums_are_those_of_the_metric() -> None:
    from acutance.metrics.acutance import AcutanceMeter

    rng = np.random.default_rng(2)
    truth = rng.integers(16, 235, (128, 160)).astype(np.uint8)
    output = np.clip(truth * 0.7 + rng.normal(0, 9, truth.shape) + 30, 0, 255).astype(np.float32)
    meter = AcutanceMeter()
    meter.add(output, truth)
    tensors = [torch.from_numpy(p.astype(np.float32) / 255)[None, None] for p in (output, truth)]
    sums = torch.stack(ring_sums(*tensors, groups=1))[:, 0].double().numpy() * 255**2
    np.testing.assert_allclose(sums, meter.sums, rtol=2e-3)


def test_the_spectrum_loss_is_least_where_the_power_is_the_truths() -> None:
    truth = torch.rand(2, 1, 96, 96)
    mean = truth.mean()
    powers = {gain: spectrum_loss(mean + gain * (truth - mean), truth, groups=1)[0] for gain in (0.7, 1.0, 1.4)}
    assert powers[1.0] < 1e-4
    assert min(powers[0.7], powers[1.4]) > 0.1


def test_the_spectrum_loss_asks_for_coherence() -> None:
    torch.manual_seed(1)
    truth, other = torch.rand(2, 1, 96, 96), torch.rand(2, 1, 96, 96)
    mixed = truth.mean() + 0.8 * (truth - truth.mean()) + 0.6 * (other - other.mean())
    exact, half = (spectrum_loss(output, truth, groups=1)[1] for output in (truth, mixed))
    assert exact < 1e-3
    assert half == pytest.approx(1 - 0.8, abs=0.05)


def test_flat_crops_have_no_spectrum_to_learn_from() -> None:
    flat = torch.full((2, 1, 96, 96), 0.5)
    power, coherence = spectrum_loss(flat.clone().requires_grad_(), flat, groups=2)
    assert float(power.detach()) == float(coherence.detach()) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"student": ShapeOptions(tier="huge")}, "student.tier must be one of"),
        ({"student": ShapeOptions(sets=1)}, "student.sets must lie from 2 to 16, not 1"),
        ({"train": ConditionedTraining(batch=5, groups=2)}, "must be a multiple of train.groups"),
        ({"train": ConditionedTraining(crop=50)}, "train.crop must be a multiple of 12, not 50"),
        ({"losses": ConditionedLoss(teacher=1.0)}, "losses.teacher needs teachers"),
        ({"teachers": {"1.5": "x"}}, "teachers are for factors 2, 3 and 4"),
        ({"calls": CallOptions()}, "must name sources"),
        ({"student": ShapeOptions(frozen_condition=True)}, "needs student.start"),
    ],
)
def test_bad_options_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _options(**changes)


def test_a_clip_cannot_be_trained_on_and_validated_on() -> None:
    with pytest.raises(ConfigError, match=r"validated on: a\.mp4"):
        _options(validation=_options().calls)


def test_shipped_recipes_of_conditioned_students_are_read() -> None:
    recipes = [path for path in CONFIGS.glob("*.toml") if is_conditioned(path)]
    assert recipes
    for path in recipes:
        options = load_conditioned_config(path)
        assert options.name == path.stem
        assert load_conditioned_config(path, ["train.seed=7"]).train.seed == 7


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('name = "bad"\n[calls]\nclip = ["a.mp4"]\n')
    with pytest.raises(ConfigError, match="unknown key clip"):
        load_conditioned_config(path)


def test_harm_counts_only_where_the_output_is_worse_than_the_input() -> None:
    class Darker(ConditionedNet):
        def run(self, x: torch.Tensor, network: Layers) -> torch.Tensor:
            return super().run(x, network) * 0 + x * 0.95

    network = Darker(_options().shape, sets=3, hidden=4)
    options = _options(losses=ConditionedLoss(error=0.0, harm=1.0, anchor=0.0))
    batch = _batch(factor=2.0, codec="h264")
    for factor, harmed in ((1.1, False), (1.0, True)):
        shown = dataclasses.replace(batch, degraded=batch.sharp * np.float32(factor))
        harm = float(call_loss(network, shown, options, step=0)["harm"].detach())
        assert (harm > 1) == harmed
        assert harmed or harm == 0
