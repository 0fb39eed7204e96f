"""Recipes and their mixes."""

import json
import subprocess
import sys
import tomllib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from acutance.degrade import Degradation, DegradationMix, Triple, down_up, generator_for
from acutance.errors import ConfigError, UsageError

ALL = Degradation(factor=1.5, noise_sigma=(1, 4), jpeg_quality=(40, 90), codec="h264", bits_per_pixel=(0.1, 0.5))


def _equal(a: Triple, b: Triple) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a[:3], b[:3], strict=True)) and a.record == b.record


def test_plain_scaling_equals_down_up(picture: NDArray[np.uint8]) -> None:
    triple = Degradation(factor=2).apply(picture, np.random.default_rng(0))
    low, same = down_up(picture[:, :120], 2)
    assert np.array_equal(triple.low, low)
    assert np.array_equal(triple.degraded, same)
    assert np.array_equal(triple.sharp, picture[:, :120])


@pytest.mark.parametrize("codec", ["h264", "vp8", "vp9", "av1"])
def test_every_codec_gives_a_picture_that_lies_over_its_truth(picture: NDArray[np.uint8], codec: str) -> None:
    recipe = Degradation(factor=1, codec=codec, bitrate_kbps=3000)  # type: ignore[arg-type]
    triple = recipe.apply(picture, np.random.default_rng(3))
    luma, truth = (p[8:-8, 8:-8].mean(axis=2) for p in (triple.degraded, triple.sharp))
    errors = {
        (y, x): np.abs(np.roll(luma, (y, x), (0, 1)) - truth)[4:-4, 4:-4].mean() for y in (-1, 0, 1) for x in (-1, 0, 1)
    }
    assert min(errors, key=lambda shift: errors[shift]) == (0, 0)
    assert errors[0, 0] < 6
    assert triple.record["size_bytes"] > 0


def test_odd_low_resolution_passes_through_a_codec(picture: NDArray[np.uint8]) -> None:
    sharp = picture[:84, :108]  # a quarter of it is 21 x 27
    triple = Degradation(factor=4, codec="vp8", bitrate_kbps=200).apply(sharp, np.random.default_rng(0))
    assert triple.low.shape == (21, 27, 3)
    assert triple.degraded.shape == triple.sharp.shape == (84, 108, 3)


def test_the_record_has_all_draws_and_is_json(picture: NDArray[np.uint8]) -> None:
    record = ALL.apply(picture, np.random.default_rng(0)).record
    assert json.loads(json.dumps(record)) == record
    assert 1 <= record["noise_sigma"] <= 4
    assert 40 <= record["jpeg_quality"] <= 90
    pixels = 64 * 80
    assert 0.1 <= record["bitrate_kbps"] * 1000 / 30 / pixels <= 0.5
    assert {"codec", "frame", "drift", "factor", "size_bytes"} <= set(record)


def test_noise_has_the_requested_deviation() -> None:
    grey = np.full((240, 240, 3), 120, np.uint8)
    low = Degradation(factor=2, noise_sigma=6.0).apply(grey, np.random.default_rng(1)).low
    assert low.std() == pytest.approx(6.0, rel=0.05)


def test_a_result_does_not_depend_on_earlier_pictures(picture: NDArray[np.uint8]) -> None:
    mix = DegradationMix([(1, ALL), (2, Degradation(factor=2, noise_sigma=3.0))])
    forwards = {name: mix.apply(picture, seed=5, name=name) for name in ("a", "b", "c")}
    backwards = {name: mix.apply(picture, seed=5, name=name) for name in ("c", "b", "a")}
    assert all(_equal(forwards[name], backwards[name]) for name in forwards)


def test_draws_do_not_depend_on_the_process() -> None:
    code = "from acutance.degrade import generator_for as g; print(g(3, 'x').random(), g(3, 7).random())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.split() == [str(generator_for(3, "x").random()), str(generator_for(3, 7).random())]


def test_another_seed_or_name_draws_anew() -> None:
    draws = {generator_for(seed, name).random() for seed in (0, 1) for name in ("a", "b", 1, "1")}
    assert len(draws) == 8


def test_recipes_are_drawn_in_proportion_to_their_weights() -> None:
    mix = DegradationMix([(3, Degradation(factor=2)), (1, Degradation(factor=3))])
    picked = [mix.pick(generator_for(0, i)).factor for i in range(2000)]
    assert picked.count(2) / 2000 == pytest.approx(0.75, abs=0.04)


def test_a_mix_is_read_from_toml_and_written_back_equal() -> None:
    text = """
    [[degradation]]
    weight = 3
    factor = 2.0
    [[degradation]]
    factor = 1.5
    down = "bilinear"
    jpeg_quality = [30, 90]
    codec = "vp9"
    bitrate_kbps = [150.0, 450.0]
    """
    mix = DegradationMix.from_list(tomllib.loads(text)["degradation"])
    assert DegradationMix.from_list(json.loads(json.dumps(mix.to_list()))) == mix
    assert mix.factors == (1.5, 2.0)
    assert mix.needs_codec
    assert "75%" in mix.describe()
    assert "vp9 at 150 to 450 kbit/s" in mix.describe()


def test_equal_mixes_have_equal_digests_and_others_do_not() -> None:
    one, same, other = (DegradationMix([(1, Degradation(factor=f))]) for f in (2, 2.0, 3))
    assert one == same
    assert one.digest == same.digest != other.digest


@given(st.sampled_from([1.0, 1.5, 2.0, 3.0, 4.0]), st.none() | st.floats(0, 20), st.none() | st.integers(1, 100))
def test_every_recipe_survives_its_table(factor: float, sigma: float | None, quality: int | None) -> None:
    recipe = Degradation(factor=factor, noise_sigma=sigma, jpeg_quality=quality)
    assert Degradation.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("table", "word"),
    [
        ({"factor": 2, "facter": 3}, "facter"),
        ({"factor": 5}, "factor"),
        ({"factor": "2"}, "factor"),
        ({"down": "nearest"}, "down"),
        ({"up": 3}, "up"),
        ({"jpeg_quality": 0}, "jpeg_quality"),
        ({"jpeg_quality": [90, 30]}, "jpeg_quality"),
        ({"jpeg_quality": [10, 20, 30]}, "jpeg_quality"),
        ({"noise_sigma": -1}, "noise_sigma"),
        ({"noise_sigma": "much"}, "noise_sigma"),
        ({"noise_sigma": float("nan")}, "noise_sigma"),
        ({"codec": "h264"}, "bitrate_kbps"),
        ({"codec": "h264", "bitrate_kbps": 100, "bits_per_pixel": 0.1}, "either"),
        ({"codec": "mpeg2", "bitrate_kbps": 100}, "codec"),
        ({"bitrate_kbps": 100}, "codec"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"codec_frames": 0}, "codec_frames"),
    ],
)
def test_wrong_tables_are_refused_by_name(table: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Degradation.from_dict(table)


@pytest.mark.parametrize("tables", [[], [{"weight": 0}], [{"weight": True}], {"factor": 2}, ["x2"]])
def test_wrong_mixes_are_refused(tables: Any) -> None:
    with pytest.raises(ConfigError):
        DegradationMix.from_list(tables)


def test_pictures_that_cannot_be_degraded_are_refused(picture: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="H x W x 3"):
        Degradation().apply(picture[..., 0], rng)
    with pytest.raises(UsageError, match="av1 needs"):
        Degradation(factor=4, codec="av1", bitrate_kbps=100).apply(picture, rng)


def test_scaling_alone_loads_neither_a_video_library_nor_torch() -> None:
    code = (
        "import sys, numpy as np; from acutance.degrade import Degradation;"
        "Degradation(jpeg_quality=50).apply(np.zeros((24, 24, 3), np.uint8), np.random.default_rng(0));"
        "print([m for m in ('av', 'torch', 'acutance.training.data', 'acutance.metrics') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_lists_in_a_table_stand_for_every_combination_and_share_its_weight() -> None:
    table = {"weight": 3.0, "factor": [1, 2], "codec": ["h264", "vp8", "vp9"], "bits_per_pixel": [0.05, 0.1]}
    mix = DegradationMix.from_list([table, {"factor": 4}])
    assert [(r.factor, r.codec) for r in mix.recipes] == [
        (1, "h264"), (1, "vp8"), (1, "vp9"), (2, "h264"), (2, "vp8"), (2, "vp9"), (4, None),
    ]  # fmt: skip
    assert [t["weight"] for t in mix.to_list()] == [0.5] * 6 + [1.0]
    assert mix.recipes[0].bits_per_pixel == (0.05, 0.1)
    with pytest.raises(ConfigError, match="degradation codec: an empty list"):
        DegradationMix.from_list([{"codec": [], "bitrate_kbps": 100}])


def test_a_filmed_picture_gives_a_frame_of_the_window_with_its_own_truth(picture: NDArray[np.uint8]) -> None:
    recipe = Degradation(factor=2, codec="h264", bits_per_pixel=0.5, motion="camera", window=60, codec_frames=6)
    triples = [recipe.apply(picture, np.random.default_rng(seed)) for seed in range(6)]
    for triple in triples:
        assert triple.sharp.shape == triple.degraded.shape == (60, 60, 3)
        assert triple.low.shape == (30, 30, 3)
        assert json.loads(json.dumps(triple.record)) == triple.record
        error = np.abs(triple.degraded.astype(int) - triple.sharp)[6:-6, 6:-6]
        assert error.mean() < 20  # it lies over its truth
    assert len({triple.sharp.tobytes() for triple in triples}) == 6
    assert _equal(triples[0], recipe.apply(picture, np.random.default_rng(0)))


def test_a_window_is_no_larger_than_the_picture(picture: NDArray[np.uint8]) -> None:
    recipe = Degradation(factor=1, codec="vp8", bits_per_pixel=0.5, motion="camera", window=384, codec_frames=3)
    assert recipe.apply(picture, np.random.default_rng(0)).sharp.shape == (96, 96, 3)


def test_one_frame_of_a_clip_is_taken_mostly_from_its_second_half() -> None:
    clip = [np.full((24, 24, 3), 10 * number, np.uint8) for number in range(10)]
    recipe = Degradation(factor=1)
    taken = [recipe.apply_clip(clip, np.random.default_rng(seed)).sharp[0, 0, 0] // 10 for seed in range(200)]
    assert {5, 6, 7, 8, 9} <= set(taken)
    assert 5 < sum(t < 5 for t in taken) < 40


def test_default_options_do_not_change_a_recipes_table() -> None:
    assert "motion" not in Degradation(factor=2).to_dict()
    assert Degradation(motion="camera").to_dict()["motion"] == "camera"


def test_the_truth_of_a_frozen_picture_is_that_of_the_frame_shown(picture: NDArray[np.uint8]) -> None:
    clip = [np.ascontiguousarray(np.roll(picture[:, :120], 3 * k, axis=1)) for k in range(8)]
    recipe = Degradation(factor=1, codec="h264", bits_per_pixel=1.0, packet_loss=0.5)
    records = []
    for seed in range(12):
        triple = recipe.apply_clip(clip, np.random.default_rng(seed))
        records.append(triple.record)
        assert np.array_equal(triple.sharp, clip[triple.record["shown"]])
        assert (triple.record["shown"] < triple.record["frame"]) == (triple.record["frame"] in triple.record["lost"])
    assert sum(record["shown"] < record["frame"] for record in records) > 2
    with pytest.raises(ConfigError, match="packet_loss needs a codec"):
        Degradation(packet_loss=0.1)


def test_a_mix_is_described_briefly() -> None:
    mix = DegradationMix.from_list(
        [
            {
                "weight": 3,
                "factor": [1, 2],
                "codec": ["h264", "vp8"],
                "bits_per_pixel": [0.01, 0.2],
                "motion": "camera",
            },
            {"factor": 1, "noise_sigma": 2},
        ]
    )
    assert mix.describe() == (
        "75% down x1/2 bicubic, h264/vp8 at 0.01 to 0.2 bit/px, filmed, up bicubic; "
        "25% down x1 bicubic, noise sigma 2, up bicubic"
    )
    uneven = DegradationMix([(1, Degradation(factor=2)), (3, Degradation(factor=3))])
    assert uneven.describe() == "25% down x2 bicubic, up bicubic; 75% down x3 bicubic, up bicubic"
