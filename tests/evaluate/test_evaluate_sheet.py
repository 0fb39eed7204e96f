"""The comparison sheet: which crops, and that nothing falls off the paper."""

import numpy as np
import pytest
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.evaluate.sheet import Crop, CropCollector, draw_sheet
from acutance.metrics import psnr_y

Rgb = NDArray[np.uint8]


def changed(picture: Rgb, left: int, top: int, by: int, side: int = 24) -> Rgb:
    out = picture.copy()
    out[top : top + side, left : left + side] = np.clip(
        out[top : top + side, left : left + side].astype(int) + by, 0, 255
    )
    return out


def test_crop_is_where_the_method_changed_most(picture: Rgb) -> None:
    collector = CropCollector({"in": "before", "out": "after"}, after="out", size=24)
    after = changed(changed(picture, 10, 10, 3), 80, 50, -40)
    collector.add("a", picture, {"in": picture, "out": after}, picture)
    (crop,) = collector.crops
    assert abs(crop.left - 80) <= 3
    assert abs(crop.top - 50) <= 3
    assert list(crop.columns) == ["before", "after", "truth"]
    square = np.s_[crop.top : crop.top + 24, crop.left : crop.left + 24]
    assert crop.psnr_y["after"] == pytest.approx(psnr_y(after[square], picture[square], border=0))


def test_only_the_most_telling_pictures_are_kept_in_order(picture: Rgb) -> None:
    collector = CropCollector({"out": "after"}, after="out", size=24, rows=2)
    for name, by in (("weak", 4), ("strong", 40), ("middle", 20), ("none", 0)):
        collector.add(name, picture, {"out": changed(picture, 30, 30, -by)}, None)
    assert [c.picture for c in collector.crops] == ["strong", "middle"]


def test_picture_smaller_than_a_crop_is_passed_over(picture: Rgb) -> None:
    collector = CropCollector({"out": "after"}, after="out", size=72)
    collector.add("small", picture[:70], {"out": picture[:70]}, None)
    assert collector.crops == []
    with pytest.raises(UsageError, match="large enough"):
        draw_sheet(collector.crops)


def test_crops_do_not_keep_whole_pictures_alive(picture: Rgb) -> None:
    collector = CropCollector({"out": "after"}, after="out", size=24)
    collector.add("a", picture, {"out": changed(picture, 30, 30, 30)}, picture)
    assert all(c.base is None for c in collector.crops[0].columns.values())


def test_sheet_shows_pixels_enlarged_three_times_without_smoothing(picture: Rgb) -> None:
    square = picture[:48, :48]
    sheet = np.asarray(draw_sheet([Crop("a", 0, 0, 1.0, {"before": square, "truth": square}, {"before": 30.0})]))
    big = np.repeat(np.repeat(square, 3, axis=0), 3, axis=1)
    found = [
        (y, x)
        for y in range(sheet.shape[0] - 144)
        for x in (28, 28 + 144 + 14)
        if np.array_equal(sheet[y : y + 144, x : x + 144], big)
    ]
    assert len(found) == 2


def test_no_text_is_clipped_at_the_edges(picture: Rgb) -> None:
    square = picture[:48, :48]
    names = ["before (bicubic)", "quality-averylongtaskname-x1.5-2-3-4-with-more-to-say", "truth"]
    crops = [
        Crop("a/very/long/path/to/a/picture/" * 6, 1000, 2000, 1.0, dict.fromkeys(names, square), {names[0]: 31.23})
        for _ in range(2)
    ]
    sheet = np.asarray(draw_sheet(crops, title="A title that is far too long for its sheet " * 3, note="A note. " * 60))
    paper = sheet[0, 0]
    margin = 8
    for edge in (sheet[:margin], sheet[-margin:], sheet[:, :margin], sheet[:, -margin:]):
        assert (edge == paper).all()


def test_chooser_must_be_a_column() -> None:
    with pytest.raises(UsageError, match="not among"):
        CropCollector({"a": "a"}, after="b")
