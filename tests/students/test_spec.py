"""Student files: what is written is read back, and what is not a student is refused by name and reason."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from acutance.errors import InputNotFoundError, ModelError
from acutance.students.spec import Student, StudentShape, StudentSpec, load_student, save_student


def test_a_saved_student_is_read_back_equal(student_file: Path, tmp_path: Path) -> None:
    student = load_student(student_file)
    save_student(student, tmp_path / "copy.safetensors")
    again = load_student(tmp_path / "copy.safetensors")
    assert again.spec == student.spec
    for name, tensor in student.tensors().items():
        np.testing.assert_array_equal(again.tensors()[name], tensor)


@pytest.mark.parametrize(
    ("shape", "macs", "parameters"),
    [((2, 8, 5), 864, 3556), ((2, 16, 3), 2016, 8196), ((1, 1, 0), 18, 21)],
)
def test_cost_follows_from_the_shape(shape: tuple[int, int, int], macs: float, parameters: int) -> None:
    made = StudentShape(*shape)
    assert made.macs_per_pixel == macs
    weights = sum(9 * i * o + o for i, o in made.layer_channels)
    assert made.parameters == weights + made.channels * (made.depth + 1) == parameters


def _tampered(student_file: Path, path: Path, **change: object) -> Path:
    tensors = load_file(student_file)
    spec = json.loads(load_student(student_file).spec.to_json())
    for name, value in change.items():
        if name.startswith("conv"):
            tensors[name.replace("_", ".")] = value  # type: ignore[assignment]
        else:
            spec[name] = value
    save_file(tensors, path, metadata={"acutance": json.dumps(spec)})
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conv0_weight": np.zeros((8, 4, 5, 5), np.float32)}, "has shape"),
        ({"conv1_bias": np.full(8, np.nan, np.float32)}, "not finite"),
        ({"conv9_weight": np.zeros(1, np.float32)}, "unknown tensors"),
        ({"conv0_bias": np.full(8, 1e300)}, "not finite"),
        ({"name": 5}, "must be text"),
        ({"quality": [1]}, "must be a table"),
        ({"threshold": -1}, "threshold must be an integer from 0, not -1"),
        ({"threshold": 1.5}, "threshold must be an integer"),
        ({"threshold": "8"}, "threshold must be an integer"),
        ({"threshold": True}, "threshold must be an integer"),
        ({"format": 99}, "format 99"),
        ({"shape": {"unshuffle": 0, "channels": 8, "depth": 1}}, "unshuffle must be"),
        ({"shape": {"unshuffle": 2, "channels": 8, "depth": 2}}, "conv2.weight has shape"),
        ({"favourite_colour": "red"}, "favourite_colour"),
    ],
)
def test_a_tampered_file_is_refused_with_its_name_and_the_reason(
    student_file: Path, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    path = _tampered(student_file, tmp_path / "bad.safetensors", **change)
    with pytest.raises(ModelError, match=reason) as caught:
        load_student(path)
    assert "bad.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_a_student_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such model file"):
        load_student(tmp_path / "none.safetensors")
    for name, content in (("empty", b""), ("text", b"hello"), ("huge-header", b"\xff" * 64)):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=f"{name}.safetensors"):
            load_student(path)
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="not an acutance student"):
        load_student(tmp_path / "other.safetensors")


def test_metadata_that_is_no_table_and_tensors_of_odd_types_are_refused(student_file: Path, tmp_path: Path) -> None:
    save_file(load_file(student_file), tmp_path / "list.safetensors", metadata={"acutance": "[1, 2]"})
    with pytest.raises(ModelError, match="not a JSON object"):
        load_student(tmp_path / "list.safetensors")
    header = json.dumps(
        {
            "__metadata__": {"acutance": load_student(student_file).spec.to_json()},
            "conv0.weight": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},
        }
    ).encode()
    (tmp_path / "bf16.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(ModelError, match=r"bf16\.safetensors"):
        load_student(tmp_path / "bf16.safetensors")


def test_weights_that_are_not_finite_are_never_saved(student_file: Path, tmp_path: Path) -> None:
    student = load_student(student_file)
    broken = replace(student.layers[0], bias=np.full(8, np.inf, np.float32))
    with pytest.raises(ModelError, match="not finite"):
        save_student(replace(student, layers=(broken, *student.layers[1:])), tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_metadata_survives_as_it_was() -> None:
    shape, quality = StudentShape(2, 8, 5), {"Set5": {"psnr_y": 36.9}}
    spec = StudentSpec("n", "fast", "call", (1.5, 2.0), shape, quality=quality, threshold=8)
    assert StudentSpec.from_json(spec.to_json(), source="x") == spec


def test_a_file_from_before_there_were_thresholds_computes_everything() -> None:
    spec = StudentSpec("n", "fast", "call", (2.0,), StudentShape(2, 8, 5), threshold=8)
    old = json.loads(spec.to_json())
    del old["threshold"]
    assert StudentSpec.from_json(json.dumps(old), source="x") == replace(spec, threshold=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "../escaped"}, "name must be letters"),
        ({"name": "a\x1b[31m"}, "name must be letters"),
        ({"name": ""}, "name must be letters"),
        ({"factors": []}, "factors must be numbers"),
        ({"factors": [float("nan")]}, "factors must be numbers"),
        ({"factors": "22"}, "'factors' must be a list"),
        ({"steps": "x"}, "steps must be an integer"),
        ({"quality": {"Set5": {"psnr_y": "good"}}}, "quality must be numbers"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(change: dict[str, object], reason: str) -> None:
    said = {
        "format": 1, "name": "a-clean-x2", "tier": "fast", "task": "clean", "factors": [2.0],
        "shape": {"unshuffle": 2, "channels": 4, "depth": 1}, **change,
    }  # fmt: skip
    with pytest.raises(ModelError, match=reason):
        StudentSpec.from_json(json.dumps(said), source="it")


def test_what_a_student_says_of_int8_must_be_so(tmp_path: Path) -> None:
    shape = StudentShape(2, 4, 0)
    spec = StudentSpec("a-clean-x2", "fast", "clean", (2.0,), shape)
    rng = np.random.default_rng(0)

    def tensors(*, on_grid: bool, first: float) -> dict[str, object]:
        made: dict[str, object] = {}
        for i, (inputs, outputs) in enumerate(shape.layer_channels):
            weight = rng.integers(-126, 127, (outputs, inputs, 3, 3)).astype(np.float32)
            weight[:, 0, 0, 0] = 127
            made[f"conv{i}.weight"] = weight * np.float32(0.01) + (0 if on_grid else rng.normal(0, 0.002, weight.shape))
            made[f"conv{i}.bias"] = np.zeros(outputs, np.float32)
            made[f"conv{i}.reads"] = np.array([first if i == 0 else 0.02, 0 if i == 0 else 7], np.float32)
        made["conv0.slope"] = np.zeros(4, np.float32)
        return made

    good = Student.from_tensors(spec, tensors(on_grid=True, first=1 / 255), source="it")
    assert good.quantized
    save_student(good, tmp_path / "a.safetensors")
    assert load_student(tmp_path / "a.safetensors").layers[1].reads == good.layers[1].reads
    with pytest.raises(ModelError, match="not on int8's grid"):
        Student.from_tensors(spec, tensors(on_grid=False, first=1 / 255), source="it")
    with pytest.raises(ModelError, match="does not read 8-bit luma as it is"):
        Student.from_tensors(spec, tensors(on_grid=True, first=1 / 200), source="it")
    broken = tensors(on_grid=True, first=1 / 255)
    broken["conv1.reads"] = np.array([0.02, 300], np.float32)
    with pytest.raises(ModelError, match="zero point from 0 to 255"):
        Student.from_tensors(spec, broken, source="it")


def test_an_upscaler_s_shape_has_the_factor_the_size_and_the_cost_of_its_output() -> None:
    shape = StudentShape(2, 12, 7, shuffle=3)
    assert (shape.upscales, shape.scale, shape.radius) == (True, 1.5, 18)
    assert [shape.output_length(length) for length in (1, 2, 5, 1280)] == [2, 3, 8, 1920]
    assert shape.layer_channels[0] == (4, 12)
    assert shape.layer_channels[-1] == (12, 9)
    assert shape.macs_per_pixel == 9 * 12 * (4 + 12 * 7 + 9) / 9


def test_a_same_size_shape_is_the_same_however_it_is_written() -> None:
    assert StudentShape(2, 8, 7) == StudentShape(2, 8, 7, shuffle=2)
    assert not StudentShape(2, 8, 7).upscales


@pytest.mark.parametrize(("unshuffle", "shuffle"), [(2, 1), (1, 5), (3, 9), (2, -1), (2, True)])
def test_factors_below_one_and_above_four_are_refused(unshuffle: int, shuffle: int) -> None:
    with pytest.raises(ModelError, match="student shuffle must be"):
        StudentShape(unshuffle, 8, 1, shuffle=shuffle)


def test_an_upscaler_s_file_keeps_both_factors_and_a_same_size_one_names_one(tmp_path: Path) -> None:
    for shuffle, written in ((3, True), (0, False)):
        shape = StudentShape(1, 2, 0, shuffle)
        spec = StudentSpec("an-x3", "fast", "clean", (3.0,), shape)
        tensors = {}
        for i, (inputs, outputs) in enumerate(shape.layer_channels):
            tensors[f"conv{i}.weight"] = np.zeros((outputs, inputs, 3, 3), np.float32)
            tensors[f"conv{i}.bias"] = np.zeros(outputs, np.float32)
        tensors["conv0.slope"] = np.zeros(2, np.float32)
        path = tmp_path / f"{shuffle}.safetensors"
        save_student(Student.from_tensors(spec, tensors, source="test"), path)
        assert load_student(path).spec.shape == shape
        assert ('"shuffle"' in spec.to_json()) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 20 + "1" + "}" * 20, "nested too deeply"),
        ('{"quality": {"a": {"b": ' + "[" * 900 + "]" * 900 + "}}}", "nested too deeply"),
        ('"' + "x" * (1 << 20) + '"', "too long"),
        ('{"' + "x" * 5000 + '": 1, "format": 1}', "unknown model metadata"),
        ('"' + "\\" * 999, "cannot be read"),
    ],
    ids=["list", "table", "figure", "length", "name", "open"],
)
def test_absurd_metadata_is_refused_in_one_short_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "bad.safetensors"
    save_file({"conv0.weight": np.zeros(1, np.float32)}, path, metadata={"acutance": text})
    with pytest.raises(ModelError, match=reason) as caught:
        load_student(path)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_brackets_in_text_are_no_nesting(student_file: Path, tmp_path: Path) -> None:
    text = '"' + "[" * 50 + "\\"
    assert load_student(_tampered(student_file, tmp_path / "a.safetensors", data=text)).spec.data == text


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**18], ids=["large", "low", "19 digits"])
@pytest.mark.parametrize("place", ["factors", "steps", "threshold", "quality", "format", "channels"])
def test_an_absurd_integer_is_refused(student_file: Path, tmp_path: Path, place: str, value: int) -> None:
    shape = {"unshuffle": 2, "channels": value, "depth": 1}
    change: dict[str, object] = {"factors": [value], "quality": {"a": {"b": value}}}
    content = change.get(place, value)
    name = "shape" if place == "channels" else place
    path = _tampered(student_file, tmp_path / "bad.safetensors", **{name: shape if name == "shape" else content})
    with pytest.raises(ModelError, match="an integer of") as caught:
        load_student(path)
    assert len(str(caught.value)) < 400


def test_a_figure_beyond_double_precision_is_refused() -> None:
    shape = StudentShape(2, 8, 1)
    with pytest.raises(ModelError, match="quality must be numbers"):
        StudentSpec("a", "fast", "clean", (2.0,), shape, quality={"Set5": {"psnr_y": 10**400}})


@pytest.mark.parametrize("shape", [(1, 256, 64), (2, 256, 64), (1, 96, 7)])
def test_a_shape_of_absurd_cost_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="multiply-accumulates for each pixel, and 131072 are accepted"):
        StudentShape(*shape)
