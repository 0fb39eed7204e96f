"""Pictures as other libraries have them: order of colours, alpha, memory of others, results in place."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance import Sharpener
from acutance.errors import EngineError, UsageError

Rgb = NDArray[np.uint8]


@pytest.fixture(scope="module")
def sharpener(student_file: Path) -> Sharpener:
    return Sharpener(student_file, engine="numpy")


def test_bgr_gives_what_rgb_gives(sharpener: Sharpener, picture: Rgb) -> None:
    expected = sharpener(picture)
    np.testing.assert_array_equal(sharpener(picture[..., ::-1], order="bgr"), expected[..., ::-1])
    assert (sharpener(picture[..., ::-1]) != expected[..., ::-1]).any()  # the order matters


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_alpha_is_kept(sharpener: Sharpener, picture: Rgb, order: str) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, picture.shape[:2], dtype=np.uint8)
    out = sharpener(np.dstack([picture, alpha]), order=order)  # type: ignore[arg-type]
    np.testing.assert_array_equal(out[..., 3], alpha)
    np.testing.assert_array_equal(out[..., :3], sharpener(picture, order=order))  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [0, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_can_be_sharpened_in_place(sharpener: Sharpener, picture: Rgb, channels: int, dtype: type) -> None:
    source = np.dstack([picture, picture[..., :1]])[..., :channels] if channels else picture[..., 0]
    given = np.ascontiguousarray(source.astype(dtype) * (257 if dtype == np.uint16 else 1))
    expected = sharpener(given)
    assert (expected != given).any()
    out = sharpener(given, out=given)
    assert out is given
    np.testing.assert_array_equal(given, expected)


def test_a_result_goes_where_it_is_told(sharpener: Sharpener, picture: Rgb) -> None:
    out = np.zeros((*picture.shape[:2], 6), np.uint8)[..., ::2]  # any strides
    assert sharpener(picture, out=out) is out
    np.testing.assert_array_equal(out, sharpener(picture))


def test_strength_zero_returns_the_picture_in_place_and_elsewhere(student_file: Path, picture: Rgb) -> None:
    still = Sharpener(student_file, engine="numpy", strength=0.0)
    out = np.zeros_like(picture)
    still(picture, out=out)
    np.testing.assert_array_equal(out, picture)
    np.testing.assert_array_equal(still(picture), picture)


def test_the_automatic_choice_writes_where_it_is_told_also_where_nothing_is_gained() -> None:
    flat = np.full((80, 80, 3), 90, np.uint8)
    out = np.zeros_like(flat)
    assert Sharpener(engine="numpy")(flat, out=out) is out
    np.testing.assert_array_equal(out, flat)


def test_buffers_are_taken(sharpener: Sharpener, picture: Rgb) -> None:
    grey = np.ascontiguousarray(picture[..., 0])
    view = memoryview(grey)
    out = memoryview(bytearray(grey.nbytes)).cast("B", grey.shape)
    result = sharpener(view, out=out)
    np.testing.assert_array_equal(np.asarray(out), sharpener(grey))
    np.testing.assert_array_equal(result, np.asarray(out))


def test_dlpack_arrays_are_taken_and_written_to(sharpener: Sharpener, picture: Rgb) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(picture.copy())
    sharpener(tensor, out=tensor)
    np.testing.assert_array_equal(tensor.numpy(), sharpener(picture))


def test_what_does_not_fit_is_refused_as_a_value_error(sharpener: Sharpener, picture: Rgb) -> None:
    read_only = np.zeros_like(picture)
    read_only.flags.writeable = False
    for out, message in (
        (np.zeros((4, 4, 3), np.uint8), "out must be an array of shape"),
        (picture.astype(np.uint16), "out must be an array of shape"),
        (read_only, "out is read-only"),
    ):
        with pytest.raises(UsageError, match=message):
            sharpener(picture, out=out)
    with pytest.raises(UsageError, match="order must be 'rgb' or 'bgr', not 'gbr'"):
        sharpener(picture, order="gbr")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"not an array of shape .* and type float32"):
        sharpener(picture.astype(np.float32))


# -- what may change while it runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("strength", [-0.1, 2.1, 7.0, float("nan"), float("inf")])
@pytest.mark.parametrize("model", ["auto", "one student"])
def test_a_strength_out_of_range_is_refused_when_it_is_set(model: str, strength: float, student_file: Path) -> None:
    chosen = student_file if model != "auto" else model
    sharpener = Sharpener(chosen, engine="numpy")
    with pytest.raises(UsageError, match="strength must be a number from 0 to 2"):
        sharpener.strength = strength
    with pytest.raises(UsageError, match="strength must be a number from 0 to 2"):
        Sharpener(chosen, engine="numpy", strength=strength)
    assert sharpener.strength == 1.0


def test_a_new_strength_holds_for_the_next_picture(student_file: Path, picture: Rgb) -> None:
    sharpener = Sharpener(student_file, engine="numpy")
    sharpener.strength = 2
    np.testing.assert_array_equal(sharpener(picture), Sharpener(student_file, engine="numpy", strength=2)(picture))
    sharpener.strength = 0
    np.testing.assert_array_equal(sharpener(picture), picture)


def test_a_student_of_one_weight_set_has_the_faithful_look_alone(student_file: Path) -> None:
    sharpener = Sharpener(student_file, engine="numpy")
    assert sharpener.look == "faithful"
    sharpener.look = "faithful"
    with pytest.raises(UsageError, match="has no look 'natural'; it has faithful"):
        sharpener.look = "natural"
    with pytest.raises(UsageError, match="look must be faithful or natural, not 'crisp'"):
        Sharpener(student_file, engine="numpy", look="crisp")  # type: ignore[arg-type]


def test_another_name_opens_another_model(student_file: Path, picture: Rgb) -> None:
    sharpener = Sharpener(student_file, engine="numpy", strength=1.5)
    sharpener.name = "fast-clean-x2"
    assert (sharpener.name, sharpener.strength) == ("fast-clean-x2", 1.5)
    expected = Sharpener("fast-clean-x2", engine="numpy", strength=1.5)(picture)
    np.testing.assert_array_equal(sharpener(picture), expected)


def test_a_choice_that_is_set_holds_until_it_is_taken_back(picture: Rgb) -> None:
    sharpener = Sharpener("fast", engine="numpy")
    sharpener(picture)
    seen = sharpener.choice
    sharpener.choice = "fast-call-x3-4"
    assert sharpener.choice is not None
    assert sharpener.choice.student == "fast-call-x3-4"
    np.testing.assert_array_equal(sharpener(picture), Sharpener("fast-call-x3-4", engine="numpy")(picture))
    sharpener.choice = None
    sharpener(picture)
    assert sharpener.choice == seen
    with pytest.raises(UsageError, match="nothing to choose"):
        Sharpener("fast-clean-x2", engine="numpy").choice = "fast-call-x2"


def test_a_closed_sharpener_says_so(student_file: Path, picture: Rgb) -> None:
    for model in (student_file, "fast"):
        with Sharpener(model, engine="numpy") as sharpener:
            sharpener(picture)
        sharpener.close()
        with pytest.raises(EngineError, match="closed"):
            sharpener(picture)
        with pytest.raises(EngineError, match="closed"):
            sharpener.session()
