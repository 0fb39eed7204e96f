from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from acutance.choosing.condition import FEATURES
from acutance.degrade import Yuv420
from acutance.errors import InputNotFoundError
from acutance.training.data.call_recipes import CallRecipe, draw_recipe, scaled, send, soften
from acutance.training.data.call_sources import draw_slide, film_photograph
from acutance.training.data.calls import CallSet, prepare_calls
from acutance.training.data.clips import ClipFile
from acutance.training.data.folders import ImageFile
from io_clips import make_clip

PLAIN = CallRecipe(2.0, "bicubic", "bicubic", None, None, 0.0, 0.0, None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[ClipFile], list[ImageFile]]:
    folder = tmp_path_factory.mktemp("sources")
    clip = make_clip(folder / "clip.mp4", size=(480, 288), pts=list(range(0, 30 * 512, 512)))
    rng = np.random.default_rng(7)
    texture = Image.fromarray(rng.integers(0, 255, (60, 60, 3), np.uint8)).resize((420, 420), Image.Resampling.BICUBIC)
    texture.save(folder / "photo.png")
    return [ClipFile(clip, "clip.mp4")], [ImageFile(folder / "photo.png", "photo.png")]


def _slides(count: int = 3) -> list[Yuv420]:
    return [draw_slide(np.random.default_rng(3), 240, 192)] * count


def test_a_call_without_codec_at_factor_one_leaves_the_frames_as_they_are() -> None:
    frames = _slides()
    truth, shown, _ = send(frames, replace(PLAIN, factor=1.0), np.random.default_rng(1))
    assert all((a.luma == b.luma).all() for a, b in zip(truth, shown, strict=True))


def test_a_call_loses_more_at_a_larger_factor() -> None:
    def error(factor: float) -> float:
        truth, shown, _ = send(_slides(1), replace(PLAIN, factor=factor), np.random.default_rng(1))
        return float(np.square(truth[0].luma.astype(float) - shown[0].luma).mean())

    assert error(1.5) < error(2.0) < error(3.0) < error(4.0)


def test_a_soft_source_blurs_the_truth_too() -> None:
    truth, _, _ = send(_slides(1), replace(PLAIN, softness=1.5), np.random.default_rng(1))
    sharp = _slides(1)[0].luma.astype(float)
    assert np.abs(np.diff(truth[0].luma.astype(float))).mean() < 0.8 * np.abs(np.diff(sharp)).mean()


def test_a_resampled_source_has_the_size_it_had() -> None:
    recipe = replace(PLAIN, resampled=(1.7, 1.13, "lanczos"))
    truth, shown, _ = send(_slides(1), recipe, np.random.default_rng(1))
    assert truth[0].luma.shape == shown[0].luma.shape == (192, 240)


def test_an_encoded_call_counts_its_bytes() -> None:
    recipe = replace(PLAIN, codec="h264", bits_per_pixel=0.1)
    _, shown, facts = send(_slides(6), recipe, np.random.default_rng(1))
    assert len(shown) == 6
    assert facts["bytes"] > 0
    assert facts["coded"] == [120, 96]


def test_scaling_to_the_same_size_changes_nothing() -> None:
    frame = _slides(1)[0]
    assert scaled(frame, 240, 192, "bilinear") is frame


def test_recipes_are_drawn_from_the_seed_alone() -> None:
    draws = [[draw_recipe(np.random.default_rng(s), still=False) for s in range(50)] for _ in range(2)]
    assert draws[0] == draws[1]
    assert {recipe.factor for recipe in draws[0]} >= {1.0, 1.5, 2.0, 3.0, 4.0}


def test_softened_recipes_have_one_kind_of_softness_each() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        recipe = soften(draw_recipe(rng, still=False), rng)
        assert (recipe.softness > 0) != (recipe.resampled is not None)
        assert recipe.factor > 1 or recipe.again is None


def test_a_filmed_photograph_has_square_frames_of_usable_size() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (410, 500, 3), np.uint8)
    frames = film_photograph(picture, frames=3, rng=np.random.default_rng(2))
    assert {frame.luma.shape for frame in frames} == {(408, 408)}


def test_calls_are_made_once_and_then_taken_from_the_cache(
    sources: tuple[list[ClipFile], list[ImageFile]], tmp_path: Path
) -> None:
    def prepare() -> CallSet:
        return prepare_calls(*sources, count=10, soft=2, seed=5, cache=tmp_path)

    first = prepare()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = prepare()
    assert first.digest == again.digest
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == files
    assert len(first) >= 10
    for call in first.calls:
        assert call.planes.ndim == 4
        assert call.planes.shape[1] == 2
        assert call.features.shape == (len(call.planes), FEATURES)


def test_a_batch_is_a_pure_function_of_seed_and_step(
    sources: tuple[list[ClipFile], list[ImageFile]], tmp_path: Path
) -> None:
    calls = prepare_calls(*sources, count=10, seed=5, cache=tmp_path)
    one, two, other = (calls.batch(step, seed=1, groups=2, size=6, crop=96) for step in (3, 3, 4))
    assert (one.degraded == two.degraded).all()
    assert (one.features == two.features).all()
    assert not np.array_equal(one.sharp, other.sharp)
    assert one.degraded.shape == one.sharp.shape == one.teacher.shape == (6, 1, 96, 96)
    assert len(one.records) == 2


class _Doubling:
    sha256 = "0" * 64

    def restore(self, low: np.ndarray) -> np.ndarray:
        return np.repeat(np.repeat(low, 2, axis=0), 2, axis=1).astype(np.float32)


def test_a_teacher_restores_calls_that_were_scaled_alone(
    sources: tuple[list[ClipFile], list[ImageFile]], tmp_path: Path
) -> None:
    calls = prepare_calls(*sources, count=40, seed=5, cache=tmp_path, teachers={2.0: _Doubling()})
    taught = [call for call in calls.calls if call.teacher is not None]
    assert taught
    assert all(call.record["factor"] == 2 and call.record["codec"] is None for call in taught)
    assert all(call.teacher is not None and call.teacher.shape == call.planes[:, 0].shape for call in taught)


def test_calls_without_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="need clips and photographs"):
        prepare_calls([], [], count=1, seed=1, cache=tmp_path)


def test_a_clip_that_cannot_be_read_costs_its_own_calls_alone(
    sources: tuple[list[ClipFile], list[ImageFile]], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    clips = [ClipFile(broken, "broken.mp4"), *sources[0]]
    calls = prepare_calls(clips, sources[1], count=10, seed=5, cache=tmp_path / "cache")
    assert calls.calls
    assert "broken.mp4" not in {call.record["source"] for call in calls.calls}
