"""Whole runs: the miniature configuration trained for real, teachers checked, outputs cached, controls, reports."""

import base64
import io
import json
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import acutance.training.distill.run as run_module  # noqa: E402
from acutance.engine import open_engine  # noqa: E402
from acutance.errors import ConfigError, InputNotFoundError, TeacherError  # noqa: E402
from acutance.luma import luma_from_rgb  # noqa: E402
from acutance.metrics import psnr  # noqa: E402
from acutance.students.spec import load_student  # noqa: E402
from acutance.training.distill.facts import read_facts  # noqa: E402
from acutance.training.distill.load_pairs import load_pairs  # noqa: E402
from acutance.training.distill.log import read_log  # noqa: E402
from acutance.training.distill.options import load_config  # noqa: E402
from acutance.training.distill.report import write_report  # noqa: E402
from acutance.training.distill.run import distill, student_shape  # noqa: E402
from acutance.training.distill.validation import check_teacher  # noqa: E402
from acutance.training.models.teachers import SRResNet, load_teacher  # noqa: E402
from miniature import CONFIG, draw_picture  # noqa: E402

QUICK = ["epochs=2", "steps_per_epoch=4", "warmup_steps=0", "crop=24", "batch=2"]


@pytest.fixture(autouse=True)
def _torch_kernel(monkeypatch):
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "torch")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def places(miniature_root, tmp_path):
    return {"data_root": miniature_root, "cache": miniature_root / "cache", "out": tmp_path / "run"}


def test_the_miniature_config_trained_for_real_beats_its_input(places):
    """Seconds of training; the margin is three quarters of what it reaches on the machine it was written on."""
    lines = []
    result = distill(load_config(CONFIG), **places, say=lines.append)
    student = load_student(result.student_file)
    assert student.spec.name == "miniature-clean-x2"
    assert student.spec.teacher == "miniature"
    assert student.spec.config_sha256 == load_config(CONFIG).sha256
    first = read_log(places["out"] / "log.jsonl")[0]
    assert result.training.best_psnr > first["psnr_y_input"] + 0.4
    assert any("teacher miniature" in line and "552,483 parameters" in line for line in lines)
    # What ships gains as much on a picture that nobody has seen, run by the engine.
    from acutance.degrade import down_up

    sharp = draw_picture(99)
    truth, degraded = luma_from_rgb(sharp), luma_from_rgb(down_up(sharp, 2)[1])
    restored = degraded + open_engine(student, "numpy").residual(degraded)
    assert psnr(restored, truth, border=2) > psnr(degraded, truth, border=2) + 0.4


def test_an_upscaler_trained_for_real_beats_the_enlargement_in_the_engine(places):
    """Its picture is the small one; the engine makes the enlargement that training added to."""
    options = load_config(CONFIG, ["student.unshuffle=1", "student.shuffle=2"])
    student = load_student(distill(options, **places).student_file)
    assert student.spec.shape.scale == 2
    from acutance.degrade import down_up

    sharp = draw_picture(99)
    truth, low = luma_from_rgb(sharp), np.rint(luma_from_rgb(down_up(sharp, 2)[0])).astype(np.uint8)
    engine = open_engine(student, "numpy")
    enlarged, restored = (engine.process(low, strength=strength) for strength in (0.0, 1.0))
    assert restored.shape == truth.shape
    assert psnr(restored.astype(np.float32), truth, border=2) > psnr(enlarged.astype(np.float32), truth, border=2) + 0.4


def test_an_untrained_teacher_is_refused_with_its_figures(places, tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "srresnet.safetensors"
    save_file(SRResNet(2, blocks=2, channels=8).state_dict(), weights)
    with pytest.raises(TeacherError) as caught:
        distill(load_config(CONFIG, [*QUICK, f"weights={str(weights)!r}"]), **places)
    said = str(caught.value)
    figures = re.search(r"teacher srresnet: (-?[\d.]+) dB where its input has ([\d.]+) dB \((\S+) dB, demanded", said)
    assert figures, said
    assert float(figures[1]) < float(figures[2])
    assert said.endswith("refused")
    assert not (places["out"] / "last.pt").exists()


def test_a_teacher_below_the_margin_is_refused_though_it_restores(places):
    with pytest.raises(TeacherError, match=r"demanded \+5\.00 dB"):
        distill(load_config(CONFIG, [*QUICK, "margin_db=5.0"]), **places)


def test_a_teacher_of_another_scale_is_refused_by_sizes(places, tmp_path):
    weights = tmp_path / "x3.safetensors"
    save_file(SRResNet(3, blocks=1, channels=8).state_dict(), weights)
    with pytest.raises(TeacherError, match="upscales by 3"):
        distill(load_config(CONFIG, [*QUICK, f"weights={str(weights)!r}"]), **places)


def test_the_teacher_is_asked_once_for_each_picture(miniature_root, tmp_path):
    options = load_config(CONFIG, QUICK)
    teacher = load_teacher(miniature_root / options.teacher.weights)
    asked = 0
    restore = teacher.restore

    def counting(low):
        nonlocal asked
        asked += 1
        return restore(low)

    teacher.restore = counting
    places = {"data_root": miniature_root, "cache": tmp_path / "cache"}
    quiet = lambda *_: None  # noqa: E731
    first = load_pairs(options, **places, teacher=teacher, progress=quiet)
    assert asked == 12
    second = load_pairs(options, **places, teacher=teacher, progress=quiet)
    assert asked == 12
    for a, b in zip(first[0].pairs, second[0].pairs, strict=True):
        assert np.array_equal(a.teacher, b.teacher)
    teacher.sha256 = "of other weights"
    load_pairs(options, **places, teacher=teacher, progress=quiet)
    assert asked == 24


def test_a_privileged_teacher_sees_the_clean_picture(miniature_root, tmp_path):
    options = load_config(CONFIG, [*QUICK, "data.degradations=[{factor = 2.0, jpeg_quality = 20}]", "sees=clean"])
    teacher = load_teacher(miniature_root / options.teacher.weights)
    _, validation = load_pairs(
        options, data_root=miniature_root, cache=tmp_path, teacher=teacher, progress=lambda *_: None
    )
    figures = check_teacher("t", validation, margin_db=2.0)
    assert figures.psnr_y - figures.psnr_y_input > 2.0  # it does not see the JPEG that the student's input went through


def test_the_control_has_no_teacher_and_the_same_batches(places, monkeypatch):
    options = load_config(CONFIG, QUICK)
    seen = []

    def loads(path):
        seen.append(path)
        return load_teacher(path)

    monkeypatch.setattr(run_module, "load_teacher", loads)
    control = options.without_teacher()
    result = distill(control, **places)
    assert not seen
    assert result.teacher is None
    assert load_student(result.student_file).spec.teacher == ""
    assert read_facts(places["out"]).teacher is None
    quiet = {"data_root": places["data_root"], "cache": places["cache"], "progress": lambda *_: None}
    taught, _ = load_pairs(options, **quiet, teacher=load_teacher(places["data_root"] / options.teacher.weights))
    alone, _ = load_pairs(control, **quiet, teacher=None)
    for step in range(3):
        a, b = (pairs.batch(step, seed=options.train.seed, size=3, crop=24) for pairs in (taught, alone))
        assert np.array_equal(a.degraded, b.degraded)
        assert np.array_equal(a.sharp, b.sharp)
        assert b.teacher is None


def test_no_picture_is_on_both_sides_of_the_split(miniature_root):
    options = load_config(CONFIG, QUICK).without_teacher()
    sides = load_pairs(
        options, data_root=miniature_root, cache=miniature_root / "cache", teacher=None, progress=lambda *_: None
    )
    training, validation = ({pair.record["picture"] for pair in side.pairs} for side in sides)
    assert training
    assert validation
    assert not training & validation


def test_the_reports_student_trains_on_rgb_and_is_measured_on_luma(places):
    options = load_config(CONFIG, [*QUICK, "epochs=1", "steps_per_epoch=1", "tier=report2025"])
    options = load_config(
        CONFIG,
        [*QUICK, "epochs=1", "steps_per_epoch=1", "tier=report2025", "data.degradations=[{factor = 4.0}]"],
    ).without_teacher()
    result = distill(options, **places)
    assert result.student_file is None
    assert 5 < result.training.best_psnr < 30
    assert read_facts(places["out"]).student.parameters == 944_323
    assert (places["out"] / "report.html").exists()


TEACHER_RUN = [*QUICK, "epochs=1", "steps_per_epoch=3", "tier=lkdn"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_teacher_is_trained_and_can_teach(places, precision):
    options = load_config(CONFIG, [*TEACHER_RUN, f"train.precision={precision}"])
    result = distill(options, **places)
    teacher = load_teacher(result.student_file)
    assert (teacher.architecture, teacher.scale) == ("LKDN", 2)
    assert teacher.restore(np.full((20, 24, 3), 90, np.uint8)).shape == (40, 48, 3)
    lines = (places["out"] / "manifest.jsonl").read_text().splitlines()
    assert {json.loads(line)["set"] for line in lines} == {"training", "validation"}
    assert all(json.loads(line)["factor"] == 2 for line in lines)
    # It goes on from given weights, which have to be its own kind's.
    name = str(result.student_file)
    again = distill(
        load_config(CONFIG, [*TEACHER_RUN, f"student.start={name}", "lr=1e-9"]).without_teacher(),
        **{**places, "out": places["out"] / "again"},
    )
    before, after = teacher.module.state_dict(), load_teacher(again.student_file).module.state_dict()
    assert all(torch.allclose(before[key], after[key], atol=2e-3) for key in before)
    with pytest.raises(ConfigError, match="LKDN x2, which this run does not train"):
        distill(load_config(CONFIG, [*QUICK, "tier=srresnet", f"student.start={name}"]).without_teacher(), **places)


def test_srresnet_is_trained_with_soap(places):
    options = load_config(CONFIG, [*QUICK, "epochs=1", "steps_per_epoch=2", "tier=srresnet", "optimizer.name=soap"])
    teacher = load_teacher(distill(options, **places).student_file)
    assert (teacher.architecture, teacher.scale) == ("SRResNet", 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["tier=lkdn", "data.degradations=[{factor = [2, 3]}]"], "one factor"),
        (["tier=lkdn", "data.degradations=[{factor = 1.5}]"], "one factor"),
        (["student.start=x"], "student.start is for"),
        (["train.precision=bfloat16"], "is for lkdn and srresnet"),
        (["train.precision=float16"], "unknown"),
    ],
)
def test_a_recipe_for_a_teacher_says_what_it_needs(places, change, message):
    with pytest.raises(ConfigError, match=message):
        distill(load_config(CONFIG, [*QUICK, *change]).without_teacher(), **places)


def test_a_rounded_teacher_is_one_of_whole_code_values():
    from acutance.students.spec import StudentShape
    from acutance.training.data.pairs import Batch
    from acutance.training.distill.losses import Prediction
    from acutance.training.distill.options import LossOptions
    from acutance.training.distill.task import DistillationTask
    from acutance.training.models.students import StudentNet

    rng = np.random.default_rng(0)
    arrays = [rng.random((1, 1, 8, 8)).astype(np.float32) for _ in range(3)]
    batch = Batch(None, *arrays)
    net = StudentNet(StudentShape(2, 8, 1))
    plain, rounded = (
        DistillationTask(net, LossOptions(l1=1.0, teacher_l1=1.0), rounded=rounded).predict(batch)
        for rounded in (False, True)
    )
    assert isinstance(rounded, Prediction)
    np.testing.assert_array_equal(plain.teacher, arrays[2])
    np.testing.assert_allclose(rounded.teacher * 255, np.rint(arrays[2] * 255), atol=1e-4)
    assert not np.allclose(rounded.teacher, plain.teacher, atol=1e-4)


def test_fresh_forgets_the_run_before(places):
    options = load_config(CONFIG, QUICK).without_teacher()
    distill(options, **places)
    other = load_config(CONFIG, [*QUICK, "lr=1e-3"]).without_teacher()
    with pytest.raises(ConfigError, match="a run with other options"):
        distill(other, **places)
    assert distill(other, **places, fresh=True).training.steps == 8


def test_missing_pictures_are_named(places):
    with pytest.raises(InputNotFoundError, match="nowhere"):
        distill(load_config(CONFIG, [*QUICK, 'data.train=["nowhere"]']).without_teacher(), **places)


def test_pictures_smaller_than_a_crop_are_an_error_and_not_an_empty_run(places):
    with pytest.raises(InputNotFoundError, match="as large as a crop of 240"):
        distill(load_config(CONFIG, [*QUICK, "crop=240"]).without_teacher(), **places)


MIXED = "data.degradations=[{factor = [2.0, 3.0]}]"


def test_several_factors_in_one_run_need_a_teacher_that_sees_none_of_them(places):
    with pytest.raises(ConfigError, match=r"several factors \(2, 3\) takes a teacher that sees = 'clean'"):
        distill(load_config(CONFIG, [*QUICK, MIXED]), **places)


@pytest.mark.parametrize("control", [False, True])
def test_a_student_learns_several_factors_at_once(places, control):
    mixed = load_config(CONFIG, [*QUICK, MIXED, "sees=clean", "margin_db=0"])
    result = distill(mixed.without_teacher() if control else mixed, **places)
    assert load_student(result.student_file).spec.factors == (2.0, 3.0)


@pytest.mark.parametrize(
    ("override", "said"),
    [("unshuffle=8", "must divide 12"), ("channels=1000", "channels"), ("tier=huge", "fast, balanced, quality")],
)
def test_a_student_that_cannot_be_is_refused(override, said):
    with pytest.raises(ConfigError, match=said):
        student_shape(load_config(CONFIG, [override]))


def _inlined(page):
    return [base64.b64decode(png) for png in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


@pytest.fixture
def finished(places):
    distill(load_config(CONFIG, QUICK), **places)
    return places["out"]


def test_a_run_ends_with_curves_and_a_page_that_holds_all_it_shows(finished):
    page = (finished / "report.html").read_text()
    pictures = _inlined(page)
    assert pictures[0] == (finished / "curves.png").read_bytes()
    with Image.open(io.BytesIO(pictures[0])) as curves:
        assert min(curves.size) > 500
    assert len(pictures) == 1 + 2 * 4  # two validation pictures: before, after, teacher, truth
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    for said in (
        "Finished: 8 steps in 2 epochs",
        "upconv_7",
        "552,483",
        "estimated from 192x192 pixels",
        "10 pictures",
    ):
        assert said in page, said
    assert load_config(CONFIG, QUICK).sha256 in page
    assert "&quot;teachers/miniature.safetensors&quot;" in page


def test_the_configuration_in_the_page_can_be_read_back(finished, tmp_path):
    import html

    page = (finished / "report.html").read_text()
    text = html.unescape(re.search(r"<pre>(.*?)</pre>", page, re.S)[1])
    (tmp_path / "again.toml").write_text(text)
    assert load_config(tmp_path / "again.toml").sha256 == load_config(CONFIG, QUICK).sha256


def test_a_report_can_be_made_from_the_folder_alone(finished):
    (finished / "report.html").unlink()
    curves = (finished / "curves.png").read_bytes()
    page = write_report(finished)
    assert _inlined(page.read_text()) == [curves]


def test_a_folder_without_a_run_has_no_report(tmp_path):
    with pytest.raises(ConfigError, match=r"run\.json"):
        write_report(tmp_path)


def test_an_interrupted_run_has_a_report_that_says_so_and_a_resumed_one_another(places):
    def stop(done, _total, _what):
        if done >= 6:
            raise KeyboardInterrupt

    options = load_config(CONFIG, [*QUICK, "epochs=3"])
    monkey = pytest.MonkeyPatch()
    monkey.setattr("acutance.training.distill.loop.LOG_EVERY", 2)
    try:
        with pytest.raises(KeyboardInterrupt):
            distill(options, **places, preparing=lambda *_: None, progress=stop)
    finally:
        monkey.undo()
    page = (places["out"] / "report.html").read_text()
    assert "Unfinished: 6 of 12 steps" in page
    assert len(_inlined(page)) == 9
    distill(options, **places)
    assert "Finished: 12 steps in 3 epochs" in (places["out"] / "report.html").read_text()


def test_without_matplotlib_the_run_is_not_lost_and_one_line_says_why(places, monkeypatch):
    import acutance._util.extras as extras

    real = extras.importlib.import_module

    def without(name, *args):
        if name == "matplotlib":
            raise ImportError("not here")
        return real(name, *args)

    monkeypatch.setattr(extras.importlib, "import_module", without)
    lines = []
    result = distill(load_config(CONFIG, QUICK).without_teacher(), **places, say=lines.append)
    assert result.report is None
    assert load_student(result.student_file).spec.name == "miniature-clean-x2-control"
    (told,) = [line for line in lines if "report" in line]
    assert "acutance[train]" in told


def test_an_early_stop_is_told_by_the_report(finished):
    log = finished / "log.jsonl"
    facts = json.loads((finished / "run.json").read_text())
    facts["options"]["train"]["patience"] = 1
    facts["options"]["schedule"]["epochs"] = 9
    (finished / "run.json").write_text(json.dumps(facts))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    for event in events:
        if event["event"] == "validate" and event["step"]:
            event["psnr_y"] = 30.0 - event["epoch"]
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    assert "Stopped early after 8 of 36 steps: 1 epochs" in write_report(finished).read_text()
