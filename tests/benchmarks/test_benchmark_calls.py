"""The call test: its plan, its calls, its methods, its cache and its tables."""

import ast
import contextlib
import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.degrade import Yuv420
from acutance.errors import EngineError, UsageError
from acutance.frame import Frame

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def load(name: str) -> ModuleType:
    for known in [n for n in sys.modules if n in (name, "_results") or n.startswith("_calls")]:
        del sys.modules[known]
    return importlib.import_module(name)


def scene(height: int = 96, width: int = 144, frames: int = 6) -> list[Yuv420]:
    """Draw frames of lines and texture that move slowly."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    grain = np.random.default_rng(0).normal(0, 8, (height, width))
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    made = []
    for n in range(frames):
        luma = 120 + 50 * np.sin((x + n) / 5) * np.cos(y / 7) + 30 * (((x + n) // 8 + y // 8) % 2) + grain
        made.append(Yuv420(np.clip(luma, 16, 235).astype(np.uint8), grey, grey))
    return made


# -- the plan ---------------------------------------------------------------------------------------------------------


def test_every_clip_meets_every_factor_codec_filter_and_rate() -> None:
    cases = load("_calls.cases")
    clips = load("_calls.clips").CLIPS
    for clip in clips:
        plan = [case for case in cases.full_plan() if case.clip == clip.name]
        assert {(c.factor, c.codec) for c in plan} == {(f, k) for f in cases.FACTORS for k in (*cases.CODECS, None)}
        scaled = [c for c in plan if c.factor > 1]
        assert {c.down for c in scaled} == {"bicubic", "bilinear", "area"}
        assert {c.up for c in scaled} == {"bicubic", "bilinear", "lanczos", "pillow"}
        assert {c.rate for c in plan if c.codec} == set(cases.RATES)


def test_no_two_calls_have_one_key() -> None:
    cases = load("_calls.cases")
    for plan in (cases.full_plan(), cases.quick_plan()):
        assert len({case.key for case in plan}) == len(plan)


def test_the_plan_of_a_clip_does_not_depend_on_the_others() -> None:
    cases, clips = load("_calls.cases"), load("_calls.clips").CLIPS
    assert cases.full_plan([clips[3]]) == [c for c in cases.full_plan() if c.clip == clips[3].name]


def test_the_quick_plan_holds_left_out_and_training_clips_at_every_factor() -> None:
    cases, clips = load("_calls.cases"), load("_calls.clips")
    roles = {clip.name: clip.role for clip in clips.CLIPS}
    plan = cases.quick_plan()
    for factor in cases.FACTORS:
        here = [roles[c.clip] for c in plan if c.factor == factor and c.codec]
        assert sum(role in clips.LEFT_OUT for role in here) == 4
        assert here.count("train") == 2
        assert here.count("text") == 2
    assert any(c.clip == "mixkit_call_720p" and c.factor == 2 and c.codec is None for c in plan)


def test_only_fast_clips_lose_every_second_frame() -> None:
    cases, clips = load("_calls.cases"), load("_calls.clips").CLIPS
    fast = {clip.name for clip in clips if clip.fast}
    halved = {case.clip for case in cases.full_plan() if case.halved}
    assert halved == fast


def test_the_bit_rate_grows_with_pixels_and_slower_with_frames() -> None:
    cases = load("_calls.cases")
    case = cases.Case("clip", 2.0, "h264", "high")
    assert cases.bitrate(case, 480 * 270, 25) == pytest.approx(450, rel=0.01)
    assert cases.bitrate(case, 2 * 480 * 270, 25) == pytest.approx(900, rel=0.01)
    assert cases.bitrate(case, 480 * 270, 100) == pytest.approx(900, rel=0.01)


# -- calls ------------------------------------------------------------------------------------------------------------


def test_a_call_keeps_the_size_and_the_count_of_its_truth() -> None:
    load("_calls")
    cases, clips, send = (importlib.import_module(f"_calls.{name}") for name in ("cases", "clips", "send"))
    source = clips.Source(scene(), 25.0)
    for case in (
        cases.Case("clip", 1.5, "h264", down="area", up="lanczos"),
        cases.Case("clip", 2.0, "vp8", "low", down="bilinear", up="bilinear", look="soft", again=True),
        cases.Case("clip", 3.0, None, down="pillow", up="pillow", look="sharpened"),
    ):
        call = send.send(source, case)
        assert [f.luma.shape for f in call.shown] == [f.luma.shape for f in call.truth] == [(96, 144)] * 6
        assert call.coded == (round(144 / case.factor), round(96 / case.factor))
        assert (call.kbps > 0) == (case.codec is not None)


def test_noise_is_sent_but_is_not_in_the_truth() -> None:
    load("_calls")
    cases, clips, send = (importlib.import_module(f"_calls.{name}") for name in ("cases", "clips", "send"))
    source = clips.Source(scene(), 25.0)
    call = send.send(source, cases.Case("clip", 1.0, None, look="noisy"))
    np.testing.assert_array_equal(call.truth[0].luma, source.frames[0].luma)
    difference = call.shown[0].luma.astype(float) - call.truth[0].luma
    assert difference.std() == pytest.approx(2.5, rel=0.1)


def test_a_soft_source_is_a_soft_truth() -> None:
    load("_calls")
    cases, clips, send = (importlib.import_module(f"_calls.{name}") for name in ("cases", "clips", "send"))
    source = clips.Source(scene(), 25.0)
    soft, filmed, sharp = (
        send.send(source, cases.Case("clip", 1.0, None, look=look)).truth[0].luma.astype(float).std()
        for look in ("soft", "filmed", "sharpened")
    )
    assert soft < filmed < sharp


def test_the_same_call_gives_the_same_frames() -> None:
    load("_calls")
    cases, clips, send = (importlib.import_module(f"_calls.{name}") for name in ("cases", "clips", "send"))
    source, case = clips.Source(scene(), 25.0), cases.Case("clip", 2.0, "h264", look="noisy", again=True)
    one, other = send.send(source, case), send.send(source, case)
    np.testing.assert_array_equal(one.shown[-1].luma, other.shown[-1].luma)


def test_a_truth_is_at_most_960_pixels_and_a_multiple_of_24() -> None:
    clips = load("_calls.clips")
    grey = np.zeros((540, 960), np.uint8)
    for soft, size in ((False, (528, 960)), (True, (528, 960))):
        shrunk = clips._shrunk(Yuv420(np.zeros((1080, 1920), np.uint8), grey, grey), soft=soft)
        assert shrunk.luma.shape == size
        assert shrunk.cb.shape == (size[0] // 2, size[1] // 2)
    half = np.zeros((180, 320), np.uint8)
    assert clips._shrunk(Yuv420(np.zeros((360, 640), np.uint8), half, half), soft=True).luma.shape == (168, 312)


def test_every_clip_is_found_and_read(data_folder: Path) -> None:
    clips = load("_calls.clips")
    for clip in clips.CLIPS:
        if clip.role != "text":
            assert clips.find_clip(data_folder, clip).is_file()
    source = clips.read_source(data_folder, clips.Clip("brother", "val"), frames=4, step=2)
    assert len(source.frames) == 4
    assert source.rate == pytest.approx(15, abs=0.1)
    assert source.frames[0].luma.shape == (360, 480)


# -- methods ----------------------------------------------------------------------------------------------------------


def test_methods_are_named_by_texts(tmp_path: Path, student_file: Path) -> None:
    restorers = load("_calls.restorers")
    script = tmp_path / "mine.py"
    script.write_text("def brighter(planes, call):\n    return [plane + 1 for plane in planes]\n")
    found = restorers.open_restorers(
        ["input", f"{student_file}", f"half={student_file},strength=0.5", f"mine={script}:brighter"]
    )
    assert [r.name for r in found] == ["input", str(student_file), "half", "mine"]
    assert len({r.identity for r in found}) == 4
    cases, clips, send = (importlib.import_module(f"_calls.{name}") for name in ("cases", "clips", "send"))
    call = send.send(clips.Source(scene(frames=2), 25.0), cases.Case("clip", 1.0, None))
    shown, whole, half, mine = (r.restore(call)[0] for r in found)
    np.testing.assert_array_equal(mine[1], call.lumas[0][1] + 1)
    change = [np.abs(out[0].astype(float) - shown[0]).mean() for out in (whole, half)]
    assert change[0] > change[1] > 0


@pytest.mark.parametrize(
    "texts", [["x=missing.py:run"], ["best nothing"], ["conditions none"], ["auto,strength"], ["input", "input"]]
)
def test_texts_that_name_nothing_are_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        load("_calls.restorers").open_restorers(texts)


class Shift:
    """Stands in for a sharpener: adds a number to each plane."""

    def __init__(self, by: int) -> None:
        self.by = by

    def frame(self, frame: Frame) -> Frame:
        return Frame((frame.luma + self.by).astype(np.uint8))

    def session(self) -> contextlib.nullcontext["Shift"]:
        return contextlib.nullcontext(self)


def test_the_best_student_of_a_call_is_the_nearest_to_the_truth_and_may_be_none(student_file: Path) -> None:
    restorers = load("_calls.restorers")
    cases, send = importlib.import_module("_calls.cases"), importlib.import_module("_calls.send")
    truth = scene()
    darker = [frame._replace(luma=frame.luma - 3) for frame in truth]
    oracle = restorers.Oracle("best", {"student": student_file})
    case = cases.Case("clip", 1.0, None)
    oracle._sharpeners = {"far": Shift(9), "near": Shift(2)}
    outputs, facts = oracle.restore(send.Call(case, truth, darker, 25.0, (144, 96), 0.0))
    assert facts["students"] == ["near"]
    assert facts["tried"]["none"] < facts["tried"]["near"] > facts["tried"]["far"]
    np.testing.assert_array_equal(outputs[5], truth[5].luma - 1)
    outputs, facts = oracle.restore(send.Call(case, truth, truth, 25.0, (144, 96), 0.0))
    assert facts["students"] == ["none"]
    np.testing.assert_array_equal(outputs[5], truth[5].luma)


def test_a_conditioned_student_is_tried_under_stated_conditions() -> None:
    restorers = load("_calls.restorers")
    (oracle,) = restorers.open_restorers(["conditions fast faithful"])
    assert len(oracle._sharpeners) == 32
    assert {"x1, any bpp", "x2, 0.04 bpp", "x4, 0.3 bpp"} <= set(oracle._sharpeners)
    (natural,) = restorers.open_restorers(["conditions fast natural"])
    assert natural.identity != oracle.identity


# -- measuring --------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A task on a page of text at a tenth of the work."""
    measure = load("_calls.measure")
    clips = sys.modules["_calls.clips"]
    monkeypatch.setattr(measure, "read_source", lambda *_, **__: clips.Source(scene(), 25.0))
    script = tmp_path / "mine.py"
    script.write_text("def same(planes, call):\n    return list(planes)\n")
    case = sys.modules["_calls.cases"].Case("mixkit_call_720p", 2.0, None)
    return measure, measure.Task(
        tmp_path, "mixkit_call_720p", (case,), ("input", f"mine={script}:same"), None, 6, tmp_path / "cache"
    )


def test_a_row_holds_the_case_and_the_figures_of_each_method(task: Any) -> None:
    measure, asked = task
    (row,) = measure.measure_clip(asked)
    assert row["role"] == "test"
    assert row["key"] == asked.cases[0].key
    assert (row["size"], row["coded"], row["frames"], row["kbps"]) == ([144, 96], [72, 48], 6, 0.0)
    assert row["methods"]["mine"]["psnr_gain"] == 0
    assert 0 < row["methods"]["input"]["acutance"] < 1
    json.dumps(row, allow_nan=False)


def test_what_was_measured_is_not_measured_again(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measure, asked = task
    first = measure.measure_clip(asked)
    monkeypatch.setattr(measure, "send", lambda *_: pytest.fail("measured again"))
    assert measure.measure_clip(asked) == first


def test_a_method_that_changed_is_measured_again(task: Any, tmp_path: Path) -> None:
    measure, asked = task
    measure.measure_clip(asked)
    (tmp_path / "mine.py").write_text("def same(planes, call):\n    return [plane // 2 for plane in planes]\n")
    assert measure.measure_clip(asked)[0]["methods"]["mine"]["psnr_gain"] < -5


# -- ColorVideoVDP ----------------------------------------------------------------------------------------------------


def _program(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_worker_of_colorvideovdp_answers_line_by_line(tmp_path: Path) -> None:
    """The worker is a stand-in that answers with the mean difference: the package needs an environment of its own."""
    worker = _program(
        tmp_path / "python",
        "import json, sys, numpy as np\n"
        "for line in sys.stdin:\n"
        "    clip = np.load(json.loads(line)['clip'])\n"
        "    print(json.dumps({'jod': 10 - float(clip['output'].mean() - clip['truth'].mean())}), flush=True)\n",
    )
    cvvdp = load("_calls.cvvdp").Cvvdp(worker)
    truth = [np.full((8, 8), 50, np.uint8)] * 3
    assert cvvdp.jod(truth, truth, rate=25) == 10
    assert cvvdp.jod([plane + 2 for plane in truth], truth, rate=25) == 8
    cvvdp.close()
    cvvdp.close()


def test_the_worker_of_colorvideovdp_needs_nothing_of_the_project() -> None:
    tree = ast.parse((BENCHMARKS / "_calls" / "cvvdp_worker.py").read_text(encoding="utf-8"))
    imports = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imports | modules == {"contextlib", "json", "sys", "typing", "numpy", "torch", "pycvvdp"}


def test_a_worker_that_fails_is_an_error_with_its_last_line(tmp_path: Path) -> None:
    worker = _program(tmp_path / "python", "import sys\nsys.exit('ModuleNotFoundError: no pycvvdp')\n")
    plane = np.zeros((8, 8), np.uint8)
    with pytest.raises(EngineError, match="no pycvvdp"):
        load("_calls.cvvdp").Cvvdp(worker).jod([plane], [plane], rate=25)


# -- text -------------------------------------------------------------------------------------------------------------


def test_words_read_wrong_are_counted_by_letters() -> None:
    text = load("_calls.text")
    assert text.distance("kitten", "sitting") == 3
    assert text.distance("", "abc") == 3
    assert text.distance("abc", "") == 3
    assert text.distance("same", "same") == 0


def test_a_page_of_text_says_what_it_says_it_does() -> None:
    text = load("_calls.text")
    picture, said = text.draw_page(1)
    assert picture.shape == (720, 960, 3)
    assert [len(column.splitlines()) for column in said] == [16, 16]
    np.testing.assert_array_equal(text.draw_page(1)[0], picture)


def test_a_page_of_the_test_of_harm_says_what_it_says_it_does() -> None:
    harm = load("harm")
    picture, said = harm._page(1)
    assert picture.shape == (720, 960, 3)
    assert len(said.splitlines()) == 16
    np.testing.assert_array_equal(harm._page(1)[0], picture)


def test_a_clean_page_is_read_and_a_blank_one_is_not() -> None:
    text = load("_calls.text")
    if "tesseract" not in text.readers():
        pytest.skip("needs tesseract")
    picture, said = text.draw_page(0)
    luma: NDArray[np.uint8] = np.rint(picture[..., 0] * (219 / 255) + 16).astype(np.uint8)
    total = sum(len("".join(column.split())) for column in said)
    assert text.characters_wrong(luma, said, "tesseract") < 0.01 * total
    assert text.characters_wrong(np.full_like(luma, 235), said, "tesseract") == total


# -- sheets and tables ------------------------------------------------------------------------------------------------


def test_details_lie_inside_the_picture_and_apart() -> None:
    sheets = load("_calls.sheets")
    rng = np.random.default_rng(0)
    luma = np.full((360, 480), 100, np.uint8)
    luma[130:230, 240:350] = rng.integers(0, 255, (100, 110))
    found = sheets.find_details(luma, np.repeat(luma[..., None], 3, axis=2))
    first = found["detail 1"]
    assert first[0] <= 130
    assert first[1] <= 240
    assert all(0 <= y <= 240 and 0 <= x <= 360 for y, x in found.values())


def test_the_worst_calls_are_those_that_lose_most() -> None:
    worst_calls = load("_calls.sheets").worst_calls
    rows = [
        {"key": n, "methods": {"input": {"psnr": 30.0}, "auto": {"psnr": 30 + g}}} for n, g in enumerate((1, -2, 0.5))
    ]
    assert [row["key"] for row in worst_calls(rows, "auto", 2)] == [1, 2]
    for row, jod in zip(rows, (-1, 0, 1), strict=True):
        row["methods"]["auto"]["jod"], row["methods"]["input"]["jod"] = 9 + jod, 9  # type: ignore[index]
    assert [row["key"] for row in worst_calls(rows, "auto", 1)] == [0]


def _figures(psnr: float, acutance: float, coherence: float, received: float) -> dict[str, Any]:
    return {
        "psnr": psnr, "ssim": psnr / 40, "acutance": acutance, "coherence": coherence,
        "natural": math.sqrt(coherence), "natural_target": math.sqrt(coherence),
        "power_ratio": [1.0, 0.9, 0.5, None], "band_coherence": [0.9, 0.8, 0.4, None],
        "flicker": 1.0, "flicker_truth": 1.0, "flicker_ratio": 1.1, "restored": 0.0,
        "psnr_gain": psnr - received, "psnr_first": psnr - 1,
    }  # fmt: skip


def _row(role: str, factor: float, gain: float, **varied: Any) -> dict[str, Any]:
    case = {
        "codec": "h264", "rate": "low", "down": "area", "up": "bicubic", "look": "soft", "halved": False, "again": False
    }  # fmt: skip
    return {
        "role": role, "clip": f"{role} clip", "factor": factor, "key": f"{role} {factor} {gain}", **case, **varied,
        "methods": {
            "input": _figures(30, 0.6, 0.6, 30),
            "auto": _figures(30 + gain, 0.6 + gain / 10, 0.62, 30),
            "best fast": _figures(31, 0.8, 0.7, 30),
        },
    }  # fmt: skip


def _report(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "rows": rows, "methods": ["input", "auto", "best fast"], "frames": 24, "date": "today", "command": "calls"
    }  # fmt: skip


def test_tables_begin_with_clips_that_nothing_is_trained_on() -> None:
    rows = [_row("test", 2.0, 0.5), _row("val", 2.0, -0.1), _row("train", 2.0, 1.0)]
    text = " ".join(load("_calls.tables").tables(_report(rows)).split())
    assert text.index("Clips that nothing is trained on") < text.index("Training clips")
    assert "| x2 | 2 | A 0.600 C 0.600, 30.00 dB | A 0.620 C 0.620, +0.20 (-0.10), 5 % |" in text
    assert "| x2 | -0.80; -20 | +0.00; +0 |" in text
    assert "`auto` is 0.80 dB below `best fast` on average, 1.10 at worst" in text
    assert "| 4 of 6 | 4 of 6 | 4 of 6 |" in text


def test_tables_count_calls_that_are_made_worse_at_their_own_size() -> None:
    rows = [_row("test", 1.0, -0.2), _row("test", 1.0, 0.0), _row("test", 1.0, -0.04)]
    text = load("_calls.tables").tables(_report(rows))
    assert "`auto` is more than 0.05 dB below its input on 1 of 3 calls at x1" in text


def test_tables_tell_gains_by_what_varied() -> None:
    rows = [_row("test", 2.0, 0.5), _row("val", 2.0, -0.1, down="bicubic", codec=None)]
    text = " ".join(load("_calls.tables").tables(_report(rows)).split())
    assert "| down: area | 1 | +0.50 (+0.50) |" in text
    assert "| codec: none | 1 | -0.10 (-0.10) |" in text
    assert "| rate: low | 1 |" in text


def test_tables_compare_with_an_earlier_result_call_by_call() -> None:
    old, new = [_row("test", 2.0, 0.5)], [_row("test", 2.0, 0.5), _row("test", 2.0, 9.0)]
    new[0]["methods"]["auto"] = _figures(31.5, 0.9, 0.8, 30)
    text = " ".join(load("_calls.tables").tables(_report(new), _report(old)).split())
    assert "| left out, x2 | auto | +1.50 / +0.300 / +0.200 (+1.50) | +1.00 / +0.250 / +0.180 (+1.00) |" in text


def test_tables_show_characters_read_wrong() -> None:
    row = _row("text", 3.0, 0.5)
    for method, wrong in (("input", 30.0), ("auto", 20.0), ("best fast", 10.0)):
        row["methods"][method]["wrong"] = {"tesseract": wrong}
    text = " ".join(load("_calls.tables").tables(_report([row])).split())
    assert "| x3 | tesseract | 1 | 30.0 | 20.0 | 10.0 |" in text


@pytest.mark.parametrize(
    ("arguments", "wrong"), [(["--clips", "nobody"], "unknown clip 'nobody'"), (["--factors", "7"], "no call is left")]
)
def test_calls_that_are_not_there_are_refused(
    arguments: list[str], wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load("calls").main(["--data", str(tmp_path), *arguments]) == 2
    assert wrong in capsys.readouterr().err


@pytest.mark.parametrize("name", ["calls", "cost", "harm", "live", "precision", "quality", "speed"])
def test_a_page_has_the_tables_of_the_committed_figures(name: str) -> None:
    module = load(name)
    report = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))
    path = BENCHMARKS.parent / "docs" / "benchmarks" / f"{'speed' if name == 'cost' else name}.md"
    tables = path.read_text(encoding="utf-8").split(module.BEGIN)[1].split(module.END)[0]
    assert tables.strip() == module.tables(report).strip()
