"""Evaluation of videos and pictures as they are: with a truth, and without."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acutance.errors import NotMediaError, UsageError
from acutance.evaluate.video import evaluate_video
from acutance.io import VideoReader
from acutance.metrics import acutance, psnr, ssim
from acutance.sharpening.single import FrameSharpener
from io_clips import make_clip
from small_students import Rgb, sharpening_student


@pytest.fixture
def sharpener() -> FrameSharpener:
    return FrameSharpener(sharpening_student(), engine="numpy")


def lossy(path: Path) -> Path:
    return make_clip(path, options={"crf": "40"})


def test_video_against_itself_is_perfect(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    result = evaluate_video(clip, reference=clip)
    assert result.frames == 10
    assert result.before is not None
    assert result.before.mean_psnr_y == 100.0
    assert result.before.mean_ssim_y == pytest.approx(1.0)


def test_figures_are_the_mean_over_frames_of_luma(tmp_path: Path) -> None:
    truth, bad = make_clip(tmp_path / "a.mp4"), lossy(tmp_path / "b.mp4")
    with VideoReader(truth) as one, VideoReader(bad) as two:
        pairs = [(b.luma.copy(), a.luma.copy()) for a, b in zip(one, two, strict=True)]
    result = evaluate_video(bad, reference=truth)
    assert result.before is not None
    assert result.before.psnr_y == pytest.approx([psnr(b, a) for b, a in pairs], abs=1e-3)
    assert result.before.mean_ssim_y == pytest.approx(np.mean([ssim(b, a) for b, a in pairs]), abs=1e-5)


def test_acutance_is_that_of_all_frames(tmp_path: Path, sharpener: FrameSharpener) -> None:
    truth = make_clip(tmp_path / "a.mp4", size=(96, 80))
    bad = make_clip(tmp_path / "b.mp4", size=(96, 80), options={"crf": "40"})
    with VideoReader(truth) as one, VideoReader(bad) as two:
        pairs = [(b.luma.copy(), a.luma.copy()) for a, b in zip(one, two, strict=True)]
    result = evaluate_video(bad, reference=truth, sharpeners={"s": sharpener})
    expected = acutance([b for b, _ in pairs], [a for _, a in pairs])
    assert result.before is not None
    assert result.before.acutance is not None
    assert result.before.acutance.acutance == pytest.approx(expected.acutance, abs=1e-5)
    assert result.before.to_dict()["coherence"] == pytest.approx(expected.coherence, abs=1e-5)
    sharp = result.after["s"].acutance
    assert sharp is not None
    lost = 1 - expected.acutance
    assert result.after["s"].restored(result.before) == pytest.approx((sharp.acutance - 1 + lost) / lost, abs=1e-4)


def test_frames_smaller_than_a_window_have_no_acutance(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    result = evaluate_video(clip, reference=clip)
    assert result.before is not None
    assert result.before.acutance is None
    assert result.before.to_dict()["acutance"] is None
    assert math.isnan(result.before.restored(result.before))


def test_each_model_is_measured_before_and_after(tmp_path: Path, sharpener: FrameSharpener) -> None:
    truth, bad = make_clip(tmp_path / "a.mp4"), lossy(tmp_path / "b.mp4")
    result = evaluate_video(bad, reference=truth, sharpeners={"s": sharpener})
    assert list(result.after) == ["s"]
    assert len(result.after["s"].psnr_y) == 10
    assert result.before is not None
    assert result.after["s"].mean_psnr_y != result.before.mean_psnr_y


def test_without_truth_the_change_is_measured(tmp_path: Path, sharpener: FrameSharpener) -> None:
    result = evaluate_video(lossy(tmp_path / "b.mp4"), sharpeners={"s": sharpener})
    change = result.change["s"]
    assert result.before is None
    assert result.after == {}
    assert change.sharpness_ratio > 1
    assert change.overshoot.p99_9 >= 0
    assert change.flicker is not None
    assert 10 < change.psnr_y < 100


def test_strength_zero_changes_nothing(tmp_path: Path) -> None:
    still = FrameSharpener(sharpening_student(), engine="numpy", strength=0.0)
    change = evaluate_video(lossy(tmp_path / "b.mp4"), sharpeners={"s": still}).change["s"]
    assert change.psnr_y == 100.0
    assert change.sharpness_ratio == 1.0
    assert change.overshoot.largest == 0


def test_ten_bit_and_eight_bit_are_compared_in_one_unit(tmp_path: Path) -> None:
    eight = make_clip(tmp_path / "a.mkv", encoder="ffv1", pix_fmt="yuv420p")
    ten = make_clip(tmp_path / "b.mkv", encoder="ffv1", pix_fmt="yuv420p10le")
    # The 10-bit clip draws other values; what matters is that neither is read in the other's unit.
    with VideoReader(ten) as reader:
        expected = [f.luma.astype(np.float32) / 4 for f in reader]
    with VideoReader(eight) as reader:
        figures = [psnr(f.luma, e) for f, e in zip(reader, expected, strict=True)]
    result = evaluate_video(eight, reference=ten)
    assert result.before is not None
    assert result.before.psnr_y == pytest.approx(figures, abs=1e-2)


def test_reference_of_another_size_is_refused(tmp_path: Path) -> None:
    a, b = make_clip(tmp_path / "a.mp4"), make_clip(tmp_path / "b.mp4", size=(80, 48))
    with pytest.raises(UsageError, match=r"a\.mp4 is 64x48 and its reference .*b\.mp4 is 80x48"):
        evaluate_video(a, reference=b)


@pytest.mark.parametrize("swapped", [False, True])
def test_reference_of_another_length_is_refused_with_both_counts(tmp_path: Path, swapped: bool) -> None:
    long, short = make_clip(tmp_path / "a.mp4"), make_clip(tmp_path / "b.mp4", pts=[512 * i for i in range(6)])
    pair = (short, long) if swapped else (long, short)
    counts = "has 6 frames .* has 10" if swapped else "has 10 frames .* has 6"
    with pytest.raises(UsageError, match=counts):
        evaluate_video(pair[0], reference=pair[1])
    result = evaluate_video(pair[0], reference=pair[1], common=True)
    assert result.frames == 6
    assert "the first 6 were compared" in result.notes[0]
    assert evaluate_video(pair[0], reference=pair[1], limit=5).frames == 5


def test_picture_is_measured_like_a_video_of_one_frame(tmp_path: Path, picture: Rgb, sharpener: FrameSharpener) -> None:
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture).save(tmp_path / "b.jpg", quality=30)
    result = evaluate_video(tmp_path / "b.jpg", reference=tmp_path / "a.png", sharpeners={"s": sharpener})
    assert result.frames == 1
    assert result.before is not None
    assert 20 < result.before.mean_psnr_y < 45
    assert result.change["s"].flicker is None
    assert result.change["s"].sharpness_ratio > 1


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (15, 15)])
def test_tiny_pictures_are_measured_as_far_as_they_go(
    tmp_path: Path, sharpener: FrameSharpener, size: tuple[int, int]
) -> None:
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(tmp_path / "a.png")
    change = evaluate_video(tmp_path / "a.png", sharpeners={"s": sharpener}).change["s"]
    assert change.flicker is None
    if min(size) < 11:
        with pytest.raises(UsageError, match="SSIM needs 11x11"):
            evaluate_video(tmp_path / "a.png", reference=tmp_path / "a.png")


def test_nothing_to_measure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="without a reference or a model"):
        evaluate_video(make_clip(tmp_path / "a.mp4"))


def test_text_is_not_measured(tmp_path: Path, sharpener: FrameSharpener) -> None:
    (tmp_path / "a.mp4").write_text("#EXTM3U\nfile.ts\n")
    with pytest.raises(NotMediaError):
        evaluate_video(tmp_path / "a.mp4", sharpeners={"s": sharpener})


def test_result_is_plain_json(tmp_path: Path, sharpener: FrameSharpener) -> None:
    import json

    Image.fromarray(np.full((24, 24, 3), 90, np.uint8)).save(tmp_path / "flat.png")
    result = evaluate_video(tmp_path / "flat.png", reference=tmp_path / "flat.png", sharpeners={"s": sharpener})
    table = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert table["before"]["mean_psnr_y"] == 100.0
    assert table["change"]["s"]["flicker_ratio"] is None


def test_videos_of_different_rates_are_not_compared_by_number(tmp_path: Path) -> None:
    slow = make_clip(tmp_path / "a.mp4", pts=[512 * i for i in range(10)])
    fast = make_clip(tmp_path / "b.mp4", pts=[256 * i for i in range(10)])
    with pytest.raises(UsageError, match=r"has 45.45 frames a second and its reference .* has 25"):
        evaluate_video(fast, reference=slow)
