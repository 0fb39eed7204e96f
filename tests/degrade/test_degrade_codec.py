"""JPEG, YUV conversion and real encoders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from acutance.degrade import Codec, Yuv420, encode_decode, jpeg, rgb_from_yuv420, smallest_side, yuv420_from_rgb
from acutance.errors import EngineError, UsageError
from acutance.luma import luma_from_rgb

CODECS = ["h264", "vp8", "vp9", "av1"]


def _clip(picture: NDArray[np.uint8], count: int) -> list[Yuv420]:
    return [yuv420_from_rgb(np.roll(picture, (k, 2 * k), (0, 1))) for k in range(count)]


def _error(a: Yuv420, b: Yuv420) -> float:
    return float(np.abs(a.luma.astype(int) - b.luma.astype(int)).mean())


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        # BT.601 limited range, as the standard's own colour bars have it
        ((255, 255, 255), (235, 128, 128)),
        ((0, 0, 0), (16, 128, 128)),
        ((255, 0, 0), (81, 90, 240)),
        ((0, 255, 0), (145, 54, 34)),
        ((0, 0, 255), (41, 240, 110)),
    ],
)
def test_pure_colours_have_the_code_values_of_bt601(rgb: tuple[int, ...], yuv: tuple[int, ...]) -> None:
    flat = np.broadcast_to(np.array(rgb, np.uint8), (4, 6, 3)).copy()
    planes = yuv420_from_rgb(flat)
    assert tuple(int(plane[0, 0]) for plane in planes) == yuv
    assert np.abs(rgb_from_yuv420(planes).astype(int) - flat).max() <= 2


def test_luma_plane_is_the_rounded_luma_of_the_picture(picture: NDArray[np.uint8]) -> None:
    assert np.abs(yuv420_from_rgb(picture).luma - luma_from_rgb(picture)).max() <= 0.501


def test_conversion_agrees_with_ffmpeg_for_the_same_matrix(picture: NDArray[np.uint8]) -> None:
    from acutance._util.av import av, plane_view

    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv420p", src_colorspace="ITU601", dst_colorspace="ITU601"
    )
    ours = yuv420_from_rgb(picture)
    assert np.abs(plane_view(frame, 0, bit_depth=8).astype(int) - ours.luma).max() <= 2


def test_an_odd_row_and_column_are_cropped() -> None:
    planes = yuv420_from_rgb(np.zeros((7, 9, 3), np.uint8))
    assert planes.luma.shape == (6, 8)
    assert planes.cb.shape == planes.cr.shape == (3, 4)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_flat_colours_survive_the_round_trip(red: int, green: int, blue: int) -> None:
    flat = np.full((2, 2, 3), (red, green, blue), np.uint8)
    assert np.abs(rgb_from_yuv420(yuv420_from_rgb(flat)).astype(int) - flat).max() <= 3


def test_jpeg_is_smaller_and_worse_at_lower_quality(picture: NDArray[np.uint8]) -> None:
    good, bad = (jpeg(picture, quality=q, subsampling="4:4:4") for q in (95, 20))
    assert bad.size_bytes < good.size_bytes / 2
    errors = [np.abs(r.picture.astype(int) - picture).mean() for r in (good, bad)]
    assert errors[0] < 2 < errors[1]


def test_jpeg_subsampling_costs_colour_and_not_luma(picture: NDArray[np.uint8]) -> None:
    coloured = picture.copy()
    coloured[:, ::2, 0] = 255
    full, halved = (jpeg(coloured, quality=95, subsampling=s) for s in ("4:4:4", "4:2:0"))
    assert np.abs(halved.picture.astype(int) - coloured).mean() > 3 * np.abs(full.picture.astype(int) - coloured).mean()


@pytest.mark.parametrize("quality", [0, 101, 80.5, True])
def test_jpeg_refuses_qualities_off_its_scale(picture: NDArray[np.uint8], quality: int) -> None:
    with pytest.raises(UsageError):
        jpeg(picture, quality=quality)


@pytest.mark.parametrize("codec", CODECS)
def test_all_frames_come_out_in_order(picture: NDArray[np.uint8], codec: str) -> None:
    clip = _clip(picture, 13)
    result = encode_decode(clip, codec=codec, bitrate_kbps=2000)  # type: ignore[arg-type]
    assert len(result.frames) == 13
    for index, frame in enumerate(result.frames):
        assert frame.luma.shape == (96, 128)
        assert min(range(13), key=lambda k: _error(frame, clip[k])) == index


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_clip_gives_the_same_frames_again(picture: NDArray[np.uint8], codec: str) -> None:
    first, second = (encode_decode(_clip(picture, 9), codec=codec, bitrate_kbps=150) for _ in range(2))  # type: ignore[arg-type]
    assert first.size_bytes == second.size_bytes
    planes = [[plane for frame in result.frames for plane in frame] for result in (first, second)]
    assert all(np.array_equal(a, b) for a, b in zip(*planes, strict=True))


@pytest.mark.parametrize("codec", CODECS)
def test_a_lower_bit_rate_is_smaller_and_worse(picture: NDArray[np.uint8], codec: str) -> None:
    clip = _clip(picture, 30)
    low, high = (encode_decode(clip, codec=codec, bitrate_kbps=rate) for rate in (60, 1500))  # type: ignore[arg-type]
    assert low.size_bytes < high.size_bytes / 2
    assert _error(low.frames[-1], clip[-1]) > _error(high.frames[-1], clip[-1])


def test_a_long_clip_keeps_to_its_bit_rate(picture: NDArray[np.uint8]) -> None:
    result = encode_decode(_clip(picture, 150), codec="h264", bitrate_kbps=300, frame_rate=30)
    assert result.size_bytes * 8 / 5 / 1000 == pytest.approx(300, rel=0.25)


@pytest.mark.parametrize("codec", CODECS)
def test_the_smallest_side_is_taken_and_one_below_is_refused(codec: str) -> None:
    side = smallest_side(codec)  # type: ignore[arg-type]
    flat = yuv420_from_rgb(np.full((side, side, 3), 90, np.uint8))
    assert len(encode_decode([flat] * 3, codec=codec, bitrate_kbps=50).frames) == 3  # type: ignore[arg-type]
    small = yuv420_from_rgb(np.full((side - 2, side, 3), 90, np.uint8))
    with pytest.raises(UsageError, match=codec):
        encode_decode([small], codec=codec, bitrate_kbps=50)  # type: ignore[arg-type]


def test_bad_settings_are_refused(picture: NDArray[np.uint8]) -> None:
    clip = _clip(picture, 2)
    with pytest.raises(UsageError, match="codec"):
        encode_decode(clip, codec="mpeg2", bitrate_kbps=100)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="bit rate"):
        encode_decode(clip, codec="h264", bitrate_kbps=0)
    with pytest.raises(UsageError, match="no frames"):
        encode_decode([], codec="h264", bitrate_kbps=100)
    with pytest.raises(UsageError, match="frame 1"):
        encode_decode([clip[0], yuv420_from_rgb(picture[:48])], codec="h264", bitrate_kbps=100)
    with pytest.raises(EngineError, match="h264"):
        encode_decode(clip, codec="h264", bitrate_kbps=100, options={"preset": "no such preset"})


@pytest.mark.parametrize("codec", ["h264", "vp8", "vp9"])
def test_a_lost_packet_freezes_the_picture_and_harms_what_follows(picture: NDArray[np.uint8], codec: str) -> None:
    clip = _clip(picture, 12)
    whole, holed = (
        encode_decode(clip, codec=codec, bitrate_kbps=800, lost=lost)  # type: ignore[arg-type]
        for lost in ((), (4, 5))
    )
    assert whole.shown == list(range(12))
    assert holed.shown[:6] == [0, 1, 2, 3, 3, 3]
    assert holed.size_bytes == whole.size_bytes
    assert np.array_equal(holed.frames[5].luma, whole.frames[3].luma)
    after = [k for k in range(6, 12) if holed.shown[k] == k]
    assert after, "the stream goes on"
    errors = [sum(_error(result.frames[k], clip[k]) for k in after) for result in (whole, holed)]
    assert errors[1] > errors[0]


def test_av1_shows_nothing_new_after_a_loss_until_the_next_key_frame(picture: NDArray[np.uint8]) -> None:
    """Its decoder refuses frames whose references are missing."""
    result = encode_decode(_clip(picture, 20), codec="av1", bitrate_kbps=800, lost=[4], keyframe_interval=12)
    assert result.shown[:12] == [0, 1, 2, 3] + [3] * 8
    assert result.shown[12:] == list(range(12, 20))


def test_the_first_packet_cannot_be_lost(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match="first frame"):
        encode_decode(_clip(picture, 2), codec="vp8", bitrate_kbps=100, lost=[0])


# -- a rate that changes in mid-stream ---------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_a_switch_of_rate_changes_only_later_frames(picture: NDArray[np.uint8], codec: Codec) -> None:
    clip = _clip(picture, 30)
    whole, switched = (
        encode_decode(clip, codec=codec, bitrate_kbps=200, switch=switch) for switch in (None, (12, 20.0))
    )
    errors = [[_error(a, b) for a, b in zip(r.frames, clip, strict=True)] for r in (whole, switched)]
    assert switched.shown == list(range(30))
    assert errors[0][:12] == errors[1][:12]
    assert np.mean(errors[1][14:]) > np.mean(errors[0][14:])
    assert switched.size_bytes < 0.9 * whole.size_bytes  # the key frame, which both have, is most of it


@pytest.mark.parametrize("switch", [(0, 100.0), (3, 0.0)])
def test_an_invalid_switch_is_refused(picture: NDArray[np.uint8], switch: tuple[int, float]) -> None:
    with pytest.raises(UsageError, match="switch must be"):
        encode_decode(_clip(picture, 5), codec="h264", bitrate_kbps=100, switch=switch)
