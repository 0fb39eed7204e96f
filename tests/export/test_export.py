"""Exports: what is written, what is refused, and that nothing is left where something went wrong."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acutance.cli.main import main
from acutance.engine import open_engine
from acutance.engine.onnx_graph import METADATA_KEY, OPSET, frozen_graph
from acutance.errors import (
    AcutanceError,
    InputNotFoundError,
    MissingExtraError,
    ModelError,
    OutputError,
    OutputExistsError,
    UsageError,
)
from acutance.export import (
    FORMATS,
    LIMITS,
    Limits,
    Parity,
    calibration_planes,
    check_export,
    examples,
    export_student,
    inspect_export,
    open_exported,
    parity,
)
from acutance.export.pictures import degradation_of
from acutance.students.bundled import find_student
from acutance.students.spec import Student, StudentSpec, load_student
from miniature import draw_picture

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def student() -> Student:
    return find_student("fast")


@pytest.fixture
def picture_file(tmp_path: Path) -> Path:
    from PIL import Image

    path = tmp_path / "sharp.png"
    Image.fromarray(draw_picture(5)).save(path)
    return path


def _export(student: Student, path: Path, to: str = "onnx", **options: Any) -> Any:
    return export_student(student, path, to=to, pictures=examples(student.spec, [draw_picture(5)]), **options)


# -- what is written ------------------------------------------------------------------------------------------------


def test_an_onnx_file_says_its_operators_version_and_where_it_comes_from(student: Student, tmp_path: Path) -> None:
    made = _export(student, tmp_path / "a.onnx")
    model = onnx.load(str(made.path))
    assert model.opset_import[0].version == OPSET
    assert any(str(OPSET) in note for note in made.notes)
    said = {entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY]
    assert StudentSpec.from_json(said, source="it") == student.spec
    assert made.files == {"a.onnx": made.path.stat().st_size}
    assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim] == ["n", "", "h", "w"]


def test_openvino_keeps_the_description_too(student: Student, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    made = _export(student, tmp_path / "a.xml", "openvino")
    assert made.precision == "fp16"
    said = openvino.Core().read_model(made.path).get_rt_info([METADATA_KEY])
    assert StudentSpec.from_json(str(said.value if hasattr(said, "value") else said), source="it") == student.spec
    whole = _export(student, tmp_path / "b.xml", "openvino", precision="fp32")
    assert made.files["a.bin"] < 0.6 * whole.files["b.bin"]


@pytest.mark.parametrize("strength", [0.5, 2.0])
@pytest.mark.parametrize(("to", "name"), [("onnx", "a.onnx"), ("ncnn", "a.param")])
def test_strength_and_range_are_fixed_in_the_file(
    student: Student, tmp_path: Path, strength: float, to: str, name: str
) -> None:
    if to == "ncnn":
        pytest.importorskip("ncnn")
    made = _export(student, tmp_path / name, to, strength=strength, full_range=True)
    luma = draw_picture(6)[..., 1]
    wanted = open_engine(student, "onnxruntime").process(luma, strength=strength, full_range=True)
    got = open_exported(made.path)(luma)
    assert np.abs(got.astype(int) - wanted).max() <= 1


def test_tensorrt_comes_with_its_commands_and_says_that_nobody_has_tried_it(student: Student, tmp_path: Path) -> None:
    made = _export(student, tmp_path / "t.onnx", "tensorrt")
    operators = {node.op_type for node in onnx.load(str(made.path)).graph.node}
    assert not operators & {"Pad", "Shape", "Slice", "Mod"}
    trtexec, provider = made.commands
    assert trtexec.startswith(f"trtexec --onnx={made.path} ")
    assert "TensorrtExecutionProvider" in provider
    assert "CUDAExecutionProvider" in provider
    assert FORMATS["tensorrt"].untested
    assert any("not tried" in note for note in made.notes)


def test_a_student_trained_for_int8_takes_no_calibration(tmp_path: Path, student_file: Path) -> None:
    torch = pytest.importorskip("torch")
    from acutance.training.models.quantized import QuantizedStudentNet

    start = load_student(student_file)
    net = QuantizedStudentNet(start)
    planes = [example.luma for example in examples(start.spec, [draw_picture(7), draw_picture(8)], whole=True)]
    net.calibrate([torch.from_numpy(p[None, None].astype(np.float32) / 255) for p in planes])
    student = net.to_student(start.spec)
    made = _export(student, tmp_path / "q.onnx", precision="int8", limits=Limits(None, 40.0, 99.0))
    operators = [node.op_type for node in onnx.load(str(made.path)).graph.node]
    assert operators.count("QuantizeLinear") == len(student.layers)
    # What training plays is what int8 computes: but for values that lie on a half of some step.
    x = torch.from_numpy(planes[0][None, None].astype(np.float32) / 255)
    with torch.no_grad():
        played = np.clip(np.rint(net(x)[0, 0].numpy() * 255), 0, 255)
    difference = np.abs(open_exported(made.path)(planes[0]).astype(int) - played)
    assert (difference > 1).mean() < 0.01
    with pytest.raises(ModelError, match="was not trained for int8"):
        frozen_graph(start, eight_bits=True)


def test_examples_go_through_the_degradation_of_the_student() -> None:
    call, clean = find_student("fast-call-x2").spec, find_student("fast").spec
    assert degradation_of(call).needs_codec
    assert not degradation_of(clean).needs_codec
    (odd, even, both) = (e.luma.shape for e in examples(clean, [draw_picture(9)] * 3))
    assert [odd, even, both] == [(119, 131), (120, 131), (119, 132)]
    (one,) = examples(clean, [draw_picture(9)])
    (other,) = examples(call, [draw_picture(9)])
    assert one.luma.shape == other.luma.shape == one.truth.shape
    assert (one.luma != other.luma).any()
    assert one.border == 2
    assert {p.shape for p in calibration_planes(clean, [draw_picture(9)], side=48)} == {(48, 48)}
    with pytest.raises(UsageError, match="too small"):
        list(examples(clean, [draw_picture(9)[:20]]))


# -- what is refused ------------------------------------------------------------------------------------------------


def test_an_export_that_fails_its_limit_is_not_left_behind(student: Student, tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    with pytest.raises(ModelError, match=r"a\.param: the export was refused: .*at least 200"):
        _export(student, tmp_path / "a.param", "ncnn", precision="fp16", limits=Limits(9, 200.0, 1.0))
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_student_is_refused(student: Student, tmp_path: Path) -> None:
    made = _export(student, tmp_path / "a.onnx")
    other = find_student("balanced")
    with pytest.raises(ModelError, match="differs by"):
        check_export(other, made.path, pictures=examples(other.spec, [draw_picture(5)]))
    check_export(student, made.path, pictures=examples(student.spec, [draw_picture(5)]))


@pytest.mark.parametrize(
    ("name", "options", "error", "reason"),
    [
        ("a.onnx", {"to": "coreml"}, UsageError, "no export to 'coreml'; known: onnx"),
        ("a.xml", {}, UsageError, "ends in .onnx"),
        ("a.onnx", {"precision": "int8"}, UsageError, "was not trained for int8"),
        ("a.param", {"to": "ncnn", "precision": "int8"}, UsageError, "exported in fp32, fp16"),
        ("a.onnx", {"strength": 3.0}, UsageError, "strength must be a number"),
        ("none/a.onnx", {}, OutputError, "there is no folder"),
        ("there.onnx", {}, OutputExistsError, "exists already"),
        ("folder.onnx", {}, OutputError, "is a folder"),
        ("b.param", {"to": "ncnn"}, OutputExistsError, r"belongs to b\.xml"),
    ],
)
def test_what_cannot_be_written_is_one_line(
    student: Student, tmp_path: Path, name: str, options: dict[str, Any], error: type[AcutanceError], reason: str
) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "b.xml").write_text("<net/>")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=reason) as caught:
        _export(student, tmp_path / name, **options)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"


def test_parity_needs_pictures(student: Student) -> None:
    with pytest.raises(UsageError, match="at least one picture"):
        parity(student, lambda luma: luma, [])


# -- files of others ------------------------------------------------------------------------------------------------


def _tamper_onnx(change: Callable[[Any], None]) -> Callable[[Student, Path], Path]:
    def make(student: Student, folder: Path) -> Path:
        model = frozen_graph(student)
        change(model)
        path = folder / "tampered.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def _external(model: Any) -> None:
    tensor = model.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _foreign(model: Any) -> None:
    model.graph.node[-3].op_type = "Loop"


def _custom(model: Any) -> None:
    model.graph.node[-3].domain = "com.evil"
    model.opset_import.add(domain="com.evil", version=1)


def _not_finite(model: Any) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == "conv0.weight")
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0, 0, 0, 0] = np.nan
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def _huge(model: Any) -> None:
    model.graph.initializer[-1].dims[:] = [1 << 20, 1 << 20]


def _other_version(model: Any) -> None:
    model.opset_import[0].version = 11


def _subgraph(model: Any) -> None:
    node = model.graph.node[-1]
    node.attribute.append(onnx.helper.make_attribute("body", onnx.helper.make_graph([node], "g", [], [])))


def _function(model: Any) -> None:
    model.functions.add(name="f", domain="")


def _other_ends(model: Any) -> None:
    model.graph.output[0].name = "residual"


def _unsaid(model: Any) -> None:
    del model.metadata_props[:]


def _said_in_vain(model: Any) -> None:
    model.metadata_props[0].value = "{}"


def _another(model: Any) -> None:
    model.metadata_props[0].value = find_student("balanced").spec.to_json()


def _huge_when_folded(model: Any) -> None:
    """A product of two small constants that is none, which runtimes make when they open the file."""
    for name, dims in (("down", (1, 1, 4096, 1)), ("across", (1, 1, 1, 4096))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(dims, np.float32), name))
    model.graph.node.insert(0, onnx.helper.make_node("Mul", ["down", "across"], ["huge"]))


def _huge_padding(model: Any) -> None:
    tensor = next(t for t in model.graph.initializer if t.name == "none")
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(6, 1 << 20, np.int64), "none"))


def _other_padding(model: Any) -> None:
    node = next(n for n in model.graph.node if n.op_type == "Pad")
    node.attribute[0].s = b"constant"


def _text(text: str | bytes, name: str) -> Callable[[Student, Path], Path]:
    def make(_: Student, folder: Path) -> Path:
        path = folder / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        path.with_suffix(".bin").write_bytes(b"\0" * 64)
        return path

    return make


def _edit(to: str, change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Student, Path], Path]:
    def make(student: Student, folder: Path) -> Path:
        pytest.importorskip(to)
        made = _export(student, folder / f"edited{FORMATS[to].suffix}", to)
        made.path.write_bytes(change(made.path.read_text(encoding="utf-8")).encode(encoding))
        return made.path

    return make


def _param(old: str, new: str) -> Callable[[Student, Path], Path]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return _edit("ncnn", change)


NET = '<net name="n" version="11"><layers>{}</layers></net>'
NOT_A_STUDENT = "it is not the description of a student"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (_tamper_onnx(_external), "lie in another file"),
        (_tamper_onnx(_foreign), "operators that no student has: Loop"),
        (_tamper_onnx(_custom), "operators beside ONNX's own: com.evil"),
        (_tamper_onnx(_not_finite), "conv0.weight holds values that are not finite"),
        (_tamper_onnx(_huge), "cannot be read"),
        (_tamper_onnx(_other_version), f"uses version 11 of ONNX's operators; exports of acutance use {OPSET}"),
        (_tamper_onnx(_subgraph), "holds a graph or weights of its own"),
        (_tamper_onnx(_function), "functions"),
        (_tamper_onnx(_other_ends), "its graph is not that of fast-clean-x2"),
        (_tamper_onnx(_unsaid), "not an export of acutance"),
        (_tamper_onnx(_said_in_vain), "metadata cannot be read"),
        (_tamper_onnx(_another), "its graph is not that of balanced-clean-x2"),
        (_tamper_onnx(_huge_when_folded), "its graph is not that of"),
        (_tamper_onnx(_huge_padding), "its graph is not that of"),
        (_tamper_onnx(_other_padding), "its graph is not that of"),
        (_text(b"\x08\x07garbage\xff\xff", "a.onnx"), "not an ONNX file"),
        (_text("", "a.onnx"), "not an ONNX file"),
        (_text("no xml", "a.xml"), "not an OpenVINO model"),
        (_text('<!DOCTYPE x [<!ENTITY a "b">]><net/>', "a.xml"), "no document type"),
        (_edit("openvino", lambda t: t.replace("<net", "<!DOCTYPE net><net", 1), "utf-16"), "no document type|not an"),
        (_edit("openvino", lambda t: t.replace("<net", "<!DOCTYPE net><net", 1)), "no document type"),
        (_edit("openvino", lambda t: t.replace("rt_info>", "others_info>")), "says nothing of the student"),
        (_edit("openvino", lambda t: t.replace('="?,1,?,?"', '="?,?,?,?"', 1)), "OpenVINO|not luma and sharp"),
        (_text("<html/>", "a.xml"), "it has no layers"),
        (_text("<net>" + "<a>" * 50 + "</a>" * 50 + "</net>", "a.xml"), "nested 13 deep"),
        (_text(NET.format('<layer id="0" type="If" version="opset8"/>'), "a.xml"), "that no student has: If"),
        (_text(NET.format('<layer id="0" type="Add" version="extra"/>'), "a.xml"), "beside OpenVINO's own: extra"),
        (_text(NET.format('<layer type="Add" version="opset1"/>' * 200), "a.xml"), "200 layers for 0 convolutions"),
        (_text("7767517\n1 1\nLSTM a 0 1 luma\n", "a.param"), NOT_A_STUDENT),
        (_param("25 26", "25 26 Noop evil 0 1 zz"), NOT_A_STUDENT),
        (_param("25 26", "25 27"), NOT_A_STUDENT),
        (_param("4=1 5=1", "4=1000000 5=1"), NOT_A_STUDENT),
        (_param("1=255.0", "1=nan"), NOT_A_STUDENT),
        (_param("Input luma 0 1 luma", "Input luma 0 1 luma 0=100000 1=100000 2=100000"), NOT_A_STUDENT),
        (_param("c0 0=8", "c0 0=9"), NOT_A_STUDENT),
        (_text("something\n", "a.param"), "not an ncnn model"),
        (_text("x", "a.tflite"), "known are .onnx, .xml, .param"),
    ],
)  # fmt: skip
def test_a_tampered_file_is_refused_before_it_runs(
    student: Student, tmp_path: Path, make: Callable[[Student, Path], Path], reason: str
) -> None:
    for module in ("openvino", "ncnn"):
        pytest.importorskip(module)
    with pytest.raises(ModelError, match=reason) as caught:
        open_exported(make(student, tmp_path))
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_constant_that_would_be_huge_is_refused_before_openvino_makes_it(student: Student, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    made = _export(student, tmp_path / "a.xml", "openvino")
    model = openvino.Core().read_model(made.path)
    operators = openvino.opset13
    huge = operators.broadcast(
        operators.constant(np.zeros((1, 1), np.float32)), operators.constant(np.array([30000, 30000]))
    )
    some = operators.reduce_max(huge, operators.constant(np.array([0, 1])), False)
    name = model.outputs[0].any_name
    last = model.outputs[0].node.input(0).get_source_output()
    total = operators.add(last, operators.convert(some, "u8"))
    total.output(0).set_names({name})
    bomb = openvino.Model([total], model.get_parameters(), "bomb")
    bomb.set_rt_info(student.spec.to_json(), [METADATA_KEY])
    openvino.save_model(bomb, str(tmp_path / "b.xml"), compress_to_fp16=False)
    with pytest.raises(ModelError, match=r"no student has: ReduceMax|is larger than any part of its student"):
        inspect_export(tmp_path / "b.xml")


def test_padding_that_is_wrong_is_seen_by_the_parity_report(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from acutance.engine import onnx_graph

    def zeros(graph: Any, code: str, r: int) -> str:
        out = pad(graph, code, r)
        graph.nodes[-1].attribute[0].s = b"constant"
        return out

    pad = onnx_graph._pad
    monkeypatch.setattr(onnx_graph, "_pad", zeros)  # of what is written and of what is expected alike
    with pytest.raises(ModelError, match="differs by"):
        _export(student, tmp_path / "a.onnx")


def test_a_black_picture_is_no_reason_to_refuse(student: Student, tmp_path: Path) -> None:
    black = examples(student.spec, [np.zeros((48, 48, 3), np.uint8)])
    made = export_student(student, tmp_path / "a.onnx", to="onnx", pictures=black)
    assert made.parity.lost == 0
    assert made.parity.to_dict()["between"] is None
    json.dumps(made.parity.to_dict(), allow_nan=False)


def test_an_export_that_loses_most_of_a_small_gain_is_refused() -> None:
    found = Parity(1, 3, 50.0, psnr_input=36.774, psnr_student=36.841, psnr_export=36.775)
    with pytest.raises(ModelError, match=r"loses 0\.066 of the 0\.067 dB that its student gains"):
        found.check(LIMITS["int8"], name="it")
    Parity(1, 3, 50.0, 36.774, 36.841, 36.83).check(LIMITS["int8"], name="it")


def test_two_exports_to_one_name_are_not_mixed(student: Student, tmp_path: Path) -> None:
    pytest.importorskip("ncnn")

    def other(luma: Any) -> Any:
        with pytest.raises(OutputError, match="another export is writing it"):
            _export(find_student("balanced"), tmp_path / "a.param", "ncnn")
        return luma

    class Busy(list[Any]):
        def __iter__(self) -> Any:
            other(None)
            return super().__iter__()

    pictures = Busy(examples(student.spec, [draw_picture(5)]))
    export_student(student, tmp_path / "a.param", to="ncnn", pictures=pictures)
    check_export(student, tmp_path / "a.param", pictures=examples(student.spec, [draw_picture(5)]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "a.param"]


def test_weights_that_belong_to_nothing_are_never_overwritten(student: Student, tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    (tmp_path / "a.bin").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"does not belong to a\.param"):
        _export(student, tmp_path / "a.param", "ncnn", overwrite=True)
    assert (tmp_path / "a.bin").read_bytes() == b"mine"


def test_commands_can_be_typed_whatever_the_name(student: Student, tmp_path: Path) -> None:
    import shlex

    folder = tmp_path / "a b's ü"
    folder.mkdir()
    made = _export(student, folder / "t.onnx", "tensorrt")
    assert shlex.split(made.commands[0])[1] == f"--onnx={made.path}"
    compile(made.commands[1], "it", "eval")


def test_weights_of_ncnn_that_are_not_finite_are_refused(student: Student, tmp_path: Path) -> None:
    pytest.importorskip("ncnn")
    for precision, value in (("fp32", struct.pack("<f", np.inf)), ("fp16", struct.pack("<e", np.nan) * 2)):
        made = _export(student, tmp_path / f"{precision}.param", "ncnn", precision=precision)
        inspect_export(made.path)
        weights = made.path.with_suffix(".bin")
        data = bytearray(weights.read_bytes())
        data[8:12] = value
        weights.write_bytes(data)
        with pytest.raises(ModelError, match="conv0 holds values that are not finite"):
            inspect_export(made.path)
        weights.write_bytes(data[:-4])
        with pytest.raises(ModelError):
            inspect_export(made.path)


def test_weights_of_openvino_that_are_not_finite_are_refused(student: Student, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    made = _export(student, tmp_path / "a.xml", "openvino", precision="fp32")
    weights = made.path.with_suffix(".bin")
    data = np.frombuffer(weights.read_bytes(), np.uint8).copy()
    place = data.tobytes().find(student.layers[0].weight.tobytes()[:64])
    assert place >= 0
    data[place : place + 4] = np.frombuffer(struct.pack("<f", np.nan), np.uint8)
    weights.write_bytes(data.tobytes())
    with pytest.raises(ModelError, match="not finite"):
        open_exported(made.path)


def test_missing_and_large_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        inspect_export(tmp_path / "none.onnx")
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(ModelError, match="too large for a student"):
        inspect_export(large)


def test_a_header_larger_than_its_file_is_refused(tmp_path: Path) -> None:
    for length in (1 << 62, 1 << 40, 200):
        path = tmp_path / "huge.safetensors"
        path.write_bytes(struct.pack("<Q", length) + b'{"a":1}')
        with pytest.raises(ModelError, match="not a safetensors file"):
            load_student(path)


# -- the command ----------------------------------------------------------------------------------------------------


def test_the_command_exports_judges_and_says_so(
    tmp_path: Path, picture_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "fast", "--pictures", str(picture_file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fast-clean-x2-onnx-fp32.onnx: agrees with fast in ONNX Runtime ")
    assert "1 picture(s) of sharp.png" in out
    assert main(["export", "fast", "fast-clean-x2-onnx-fp32.onnx", "--pictures", str(picture_file)]) == 8
    assert "exists already" in capsys.readouterr().err
    code = main(
        ["export", "fast", "fast-clean-x2-onnx-fp32.onnx", "--check", "--json", "--pictures", str(picture_file)]
    )
    assert code == 0
    report = json.loads(capsys.readouterr().out)
    assert report["parity"]["difference"] <= 1
    assert report["limits"]["lost"] == 0.001
    assert main(["export", "balanced", "fast-clean-x2-onnx-fp32.onnx", "--check"]) == 10


def test_the_command_draws_pictures_where_there_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACUTANCE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["export", "fast", "--to", "tensorrt"]) == 0
    out = capsys.readouterr().out
    assert "drawn pictures (--pictures names real ones)" in out
    assert "NOT TESTED: never run on TensorRT" in out
    assert "to go on: trtexec --onnx=" in out


def test_the_command_calibrates_int8(tmp_path: Path, picture_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nncf")
    out = tmp_path / "q.onnx"
    arguments = ["export", "fast", str(out), "--precision", "int8", "--pictures", str(picture_file)]
    assert main([*arguments, "--calibration", str(picture_file), "--limit-db", "0.000001"]) == 10
    assert "the export was refused" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--calibration", str(picture_file), "--limit-db", "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["precision"] == "int8"
    assert any("calibrated with 1 " in note for note in report["notes"])


def test_nothing_reports_home(tmp_path: Path, picture_file: Path) -> None:
    """NNCF sends events to its makers, and keeps an identity of the user, where nothing stops it."""
    for module in ("nncf", "openvino"):
        pytest.importorskip(module)
    probe = (
        "import sys, socket\n"
        "def refuse(*_): raise SystemExit('the network was used')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from acutance.cli.main import main\n"
        f"for to in ('onnx', 'openvino'):\n"
        f"    code = main(['export', 'fast', '--to', to, '--precision', 'int8', '--pictures', {str(picture_file)!r}, "
        "'--limit-db', '9'])\n"
        "    assert code == 0, code\n"
        f"assert main(['sharpen', {str(picture_file)!r}, 'out.png', '--engine', 'openvino']) == 0\n"
        "from nncf.telemetry import wrapper\n"
        "print('stub' if type(wrapper.telemetry).__name__ == 'MagicMock' else 'real')\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("NNCF", "CI", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, env={**environment, "HOME": str(home)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "stub"
    assert not (home / "intel").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["fast", "--check"], "name it behind the model"),
        (["fast", "--calibration", "x"], "--calibration is for int8"),
        (["fast", "--limit-db", "-1"], "--limit-db lies between"),
        (["fast", "--threads", "0"], "--threads must be at least 1"),
        (["quantum"], "unknown model 'quantum'"),
    ],
)
def test_options_that_make_no_sense_are_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) in (2, 10)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert reason in lines[0]


@pytest.mark.parametrize(("to", "library"), [("onnx", "onnxruntime"), ("openvino", "openvino"), ("ncnn", "ncnn")])
def test_what_an_export_lacks_is_said_before_anything_is_written(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    said = rf"an export to {to} needs '{library}'.*pip install 'acutance\[export\]'"
    with pytest.raises(MissingExtraError, match=said):
        _export(student, tmp_path / f"a{FORMATS[to].suffix}", to)
    assert list(tmp_path.iterdir()) == []
