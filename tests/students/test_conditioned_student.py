from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from acutance.engine import open_engine
from acutance.errors import InputNotFoundError, ModelError
from acutance.students.conditioned import ConditionedStudent, is_conditioned_file, load_conditioned, rounded_mixture
from acutance.students.spec import StudentShape, StudentSpec

SHAPE = StudentShape(unshuffle=2, channels=4, depth=1)
SPEC = StudentSpec(name="tiny", tier="fast", task="call", factors=(1.0, 2.0), shape=SHAPE)
SETS, HIDDEN, FEATURES = 3, 5, 7

Tensors = dict[str, NDArray[np.float32]]


def _tensors(seed: int = 1) -> Tensors:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0, 0.2, shape).astype(np.float32)

    out: Tensors = {}
    for look in ("faithful", "natural"):
        for i, (inputs, outputs) in enumerate(SHAPE.layer_channels):
            out[f"{look}.conv{i}.weight"] = draw(SETS, outputs, inputs, 3, 3)
            out[f"{look}.conv{i}.bias"] = draw(SETS, outputs)
            if i < 2:
                out[f"{look}.conv{i}.slope"] = draw(SETS, outputs)
        out[f"{look}.conv2.weight"][0] = 0
        out[f"{look}.conv2.bias"][0] = 0
    return out | {
        "condition.mean": draw(FEATURES),
        "condition.deviation": np.abs(draw(FEATURES)) + np.float32(0.1),
        "condition.inner.weight": draw(HIDDEN, FEATURES),
        "condition.inner.bias": draw(HIDDEN),
        "condition.outer.weight": draw(SETS, HIDDEN),
        "condition.outer.bias": draw(SETS),
    }


def _write(path: Path, tensors: Tensors) -> Path:
    save_file(tensors, path, metadata={"acutance": SPEC.to_json()})
    return path


@pytest.fixture
def student(tmp_path: Path) -> ConditionedStudent:
    return load_conditioned(_write(tmp_path / "tiny.safetensors", _tensors()))


def test_a_file_is_recognised_by_its_header(tmp_path: Path) -> None:
    path = _write(tmp_path / "tiny.safetensors", _tensors())
    assert is_conditioned_file(path)
    (tmp_path / "text.safetensors").write_text("no")
    assert not is_conditioned_file(tmp_path / "text.safetensors")


def test_mixtures_are_shares_that_add_up_to_one(student: ConditionedStudent) -> None:
    rng = np.random.default_rng(2)
    for scale in (0.0, 1.0, 1e6):
        mixture = student.mixture(rng.normal(0, 1, FEATURES).astype(np.float32) * np.float32(scale))
        assert mixture.shape == (SETS,)
        assert (mixture >= 0).all()
        assert mixture.sum() == 1
        assert (mixture * 512 == np.rint(mixture * 512)).all()


def test_tiny_differences_of_features_give_the_same_mixture(student: ConditionedStudent) -> None:
    features = np.random.default_rng(3).normal(0, 1, FEATURES).astype(np.float32)
    assert (student.mixture(features) == student.mixture(np.nextafter(features, np.float32(9)))).all()


def test_the_identity_leaves_a_plane_as_it_is(student: ConditionedStudent) -> None:
    plane = np.random.default_rng(4).integers(16, 236, (32, 48)).astype(np.uint8)
    plain = student.student(student.identity)
    engine = open_engine(plain, "numpy")
    assert (engine.process(plane) == plane).all()


def test_a_mixture_of_one_set_has_the_weights_of_that_set(student: ConditionedStudent) -> None:
    tensors = _tensors()
    second = np.array([0, 1, 0], np.float32)
    assert (student.student(second, look="faithful").layers[0].weight == tensors["faithful.conv0.weight"][1]).all()
    assert (student.student(second, look="natural").layers[0].weight == tensors["natural.conv0.weight"][1]).all()


def test_looks_are_the_ends_of_a_line(student: ConditionedStudent) -> None:
    mixture = np.array([0.25, 0.25, 0.5], np.float32)
    ends = [student.student(mixture, look=look).layers[1].weight for look in ("faithful", "natural")]
    middle = student.student(mixture, look=0.5).layers[1].weight
    np.testing.assert_allclose(middle, (ends[0] + ends[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("look", ["sharp", -0.1, 1.1, float("nan")])
def test_a_look_that_is_none_is_refused(student: ConditionedStudent, look: str | float) -> None:
    with pytest.raises(ModelError, match="look must be one of faithful, natural or from 0 to 1"):
        student.student(student.identity, look=look)  # type: ignore[arg-type]


@pytest.mark.parametrize("mixture", [[1, 0], [0.5, 0.5, 0.5], [-0.5, 0.5, 1.0], [float("nan")] * 3])
def test_a_mixture_that_is_none_is_refused(student: ConditionedStudent, mixture: list[float]) -> None:
    with pytest.raises(ModelError, match="3 shares that add up to 1"):
        student.student(np.array(mixture, np.float32))


def test_features_that_are_not_finite_are_refused(student: ConditionedStudent) -> None:
    with pytest.raises(ModelError, match="7 finite features"):
        student.mixture(np.full(FEATURES, np.nan, np.float32))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("faithful.conv0.weight", np.zeros((2, 4, 4, 3, 3), np.float32), "expected"),
        ("natural.conv1.bias", np.full((SETS, 4), np.inf, np.float32), "not finite"),
        ("condition.deviation", np.zeros(FEATURES, np.float32), "not above 0"),
        ("condition.outer.weight", np.full((SETS, HIDDEN), np.nan, np.float32), "not finite"),
        ("natural.conv2.bias", np.ones((SETS, 4), np.float32), "not the identity"),
        ("condition.mean", np.zeros((7, 1), np.float32), "no vector"),
        ("surplus", np.zeros(1, np.float32), "unknown tensors"),
        ("condition.outer.bias", np.zeros(1, np.float32), "1 weight sets"),
    ],
)
def test_a_file_with_wrong_tensors_is_refused(
    tmp_path: Path, name: str, value: NDArray[np.float32], message: str
) -> None:
    path = _write(tmp_path / "bad.safetensors", _tensors() | {name: value})
    with pytest.raises(ModelError, match=message) as raised:
        load_conditioned(path)
    assert "bad.safetensors" in str(raised.value)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    tensors = _tensors()
    del tensors["natural.conv1.slope"]
    with pytest.raises(ModelError, match=r"natural\.conv1\.slope is missing"):
        load_conditioned(_write(tmp_path / "bad.safetensors", tensors))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such model file"):
        load_conditioned(tmp_path / "none.safetensors")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = _write(tmp_path / "tiny.safetensors", _tensors())
    student = load_conditioned(path)
    assert student.spec == SPEC
    assert (student.looks["natural"][1].slope == load_file(path)["natural.conv1.slope"]).all()  # type: ignore[comparison-overlap]


def test_rounding_keeps_the_sum_for_any_shares() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        shares = rng.dirichlet(np.full(7, 0.3))
        rounded = rounded_mixture(shares)
        assert rounded.sum() == 1
        assert (rounded >= 0).all()
        assert np.abs(rounded - shares).max() < 0.01
