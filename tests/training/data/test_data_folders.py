"""Folders of images, and their split."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from acutance.errors import CorruptInputError, InputNotFoundError, UnsupportedMediaError, UsageError
from acutance.training.data.folders import ImageFile, ImageFolder, load_rgb
from acutance.training.data.split import in_validation, split_images


def _save(path: Path, value: int = 100, mode: str = "RGB", **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 6), value if mode in ("L", "I;16") else (value,) * len(mode)).save(path, **options)  # type: ignore[arg-type]
    return path


def test_images_are_found_in_subfolders_and_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.png", "a/c.JPG", "a/d.webp", "e.tiff", ".hidden.png", ".cache/f.png", "__MACOSX/._b.png"):
        _save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    assert ImageFolder(tmp_path).names == ("a/c.JPG", "a/d.webp", "b.png", "e.tiff")


def test_names_tell_several_folders_apart(tmp_path: Path) -> None:
    _save(tmp_path / "one" / "x" / "p.png")
    _save(tmp_path / "two" / "x" / "p.png")
    _save(tmp_path / "two" / "y" / "p.png")
    both = ImageFolder(tmp_path / "two" / "x", tmp_path / "two" / "y")
    assert both.names == ("x/p.png", "y/p.png")
    same = ImageFolder(tmp_path / "one" / "x", tmp_path / "two" / "x")
    assert same.names == ("one/x/p.png", "two/x/p.png")
    assert len(ImageFolder(tmp_path / "one", tmp_path / "one")) == 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "CMYK", "P", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tiff" if mode == "CMYK" else "x.png")
    Image.new("RGB", (8, 6), (255, 255, 255)).convert(mode).save(path)
    rgb = load_rgb(path)
    assert rgb.shape == (6, 8, 3)
    assert rgb.dtype == np.uint8
    assert (rgb == 255).all()


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 8), 128 * 257, np.uint16)).save(tmp_path / "x.png")
    assert (load_rgb(tmp_path / "x.png") == 128).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "x.jpg", exif=exif)
    assert load_rgb(tmp_path / "x.jpg").shape == (8, 6, 3)


def test_a_missing_or_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="nowhere"):
        ImageFolder(tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputNotFoundError, match="bare"):
        ImageFolder(tmp_path / "bare")
    with pytest.raises(InputNotFoundError):
        ImageFolder()


def test_an_unreadable_image_is_named_in_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(whole)
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:3000])
    Image.new("RGB", (64, 64), 3).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-120])
    for name in ("text.png", "empty.png", "cut.png", "cut.jpg"):
        with pytest.raises(CorruptInputError, match=name) as caught:
            load_rgb(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputNotFoundError, match="gone"):
        load_rgb(tmp_path / "gone.png")


def test_absurd_dimensions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnsupportedMediaError, match=r"x\.png"):
        load_rgb(tmp_path / "x.png")


def test_a_folder_is_a_sequence(tmp_path: Path) -> None:
    for k in range(4):
        _save(tmp_path / f"{k}.png", value=k)
    folder = ImageFolder(tmp_path)
    assert len(folder) == 4
    assert folder[-1].name == "3.png"
    assert folder[1:3].names == ("1.png", "2.png")
    assert [int(image.load()[0, 0, 0]) for image in folder] == [0, 1, 2, 3]


def _made_up(names: list[str]) -> ImageFolder:
    return ImageFolder.from_files([ImageFile(Path(name), name) for name in names])


@given(st.sets(st.text(min_size=1, max_size=8), min_size=60, max_size=90), st.text(min_size=9, max_size=12))
def test_adding_an_image_moves_no_other(names: set[str], added: str) -> None:
    before = split_images(_made_up(sorted(names)), fraction=0.4)
    after = split_images(_made_up(sorted(names | {added})), fraction=0.4)
    assert set(before.train.names) <= set(after.train.names)
    assert set(before.validation.names) <= set(after.validation.names)


def test_every_image_is_on_exactly_one_side_in_about_the_fraction_asked_for() -> None:
    names = [f"{k:05d}.png" for k in range(3000)]
    split = split_images(_made_up(names), fraction=0.1)
    assert sorted(split.train.names + split.validation.names) == names
    assert len(split.validation) / 3000 == pytest.approx(0.1, abs=0.02)


def test_a_name_that_is_not_unicode_has_a_side_too() -> None:
    assert in_validation("caf\udce9.png", fraction=0.5) in (True, False)


def test_another_seed_splits_otherwise() -> None:
    sides = [[in_validation(str(k), fraction=0.5, seed=seed) for k in range(100)] for seed in (0, 1)]
    assert sides[0] != sides[1]


def test_copies_of_a_file_stay_together_when_split_by_content(tmp_path: Path) -> None:
    for k in range(40):
        _save(tmp_path / f"{k}.png", value=k)
        _save(tmp_path / f"copy of {k}.png", value=k)
    split = split_images(ImageFolder(tmp_path), fraction=0.5, by="content")
    originals = {name for name in split.validation.names if not name.startswith("copy")}
    assert {f"copy of {name}" for name in originals} <= set(split.validation.names)
    assert len(split.validation) == 2 * len(originals)


def test_a_split_that_leaves_a_side_empty_is_refused() -> None:
    with pytest.raises(UsageError, match="leaves 1 images"):
        split_images(_made_up(["only.png"]), fraction=0.01)
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError):
            split_images(_made_up(["a", "b"]), fraction=fraction)
