"""Paired sets on disk."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from acutance.degrade import Degradation, DegradationMix
from acutance.errors import CorruptInputError, OutputError, OutputExistsError, UsageError
from acutance.training.data.folders import ImageFolder, load_rgb
from acutance.training.data.paired_writer import write_pairs

MIX = DegradationMix(
    [
        (1, Degradation(factor=2, noise_sigma=(1, 5))),
        (1, Degradation(factor=1.5, codec="h264", bits_per_pixel=(0.1, 0.4))),
    ]
)


class _StopError(Exception):
    pass


@pytest.fixture
def images(tmp_path: Path, picture: NDArray[np.uint8]) -> ImageFolder:
    for k, name in enumerate(("a", "sub/b", "c", "d")):
        path = tmp_path / "in" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(picture, 7 * k, 1)).save(path)
    return ImageFolder(tmp_path / "in")


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_pairs_and_their_records_are_written(images: ImageFolder, tmp_path: Path) -> None:
    result = write_pairs(images, MIX, tmp_path / "out", seed=1)
    assert (result.written, result.kept) == (4, 0)
    records = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [r["name"] for r in records] == ["a", "c", "d", "sub/b"]
    for image, record in zip(images, records, strict=True):
        triple = MIX.apply(image.load(), seed=1, name=image.name)
        for kind in ("sharp", "degraded", "low"):
            assert np.array_equal(load_rgb(tmp_path / "out" / kind / f"{record['name']}.png"), getattr(triple, kind))
        assert record["degradation"] == triple.record
        assert record["source_sha256"] == hashlib.sha256(image.path.read_bytes()).hexdigest()


def test_an_interrupted_run_ends_with_the_same_bytes_as_an_uninterrupted_one(
    images: ImageFolder, tmp_path: Path
) -> None:
    def stop(done: int, total: int, name: str) -> None:
        if done == 2:
            raise _StopError

    with pytest.raises(_StopError):
        write_pairs(images, MIX, tmp_path / "cut", seed=1, progress=stop)
    with (tmp_path / "cut" / "manifest.jsonl").open("a") as file:
        file.write('{"name": "half a li')
    result = write_pairs(images, MIX, tmp_path / "cut", seed=1)
    assert (result.written, result.kept) == (2, 2)
    write_pairs(images, MIX, tmp_path / "whole", seed=1)
    assert _contents(tmp_path / "cut") == _contents(tmp_path / "whole")


def test_a_picture_that_changed_or_lost_a_file_is_made_again(images: ImageFolder, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_pairs(images, MIX, out, seed=1)
    (out / "low" / "a.png").unlink()
    Image.fromarray(255 - images[1].load()).save(images[1].path)
    assert write_pairs(images, MIX, out, seed=1).written == 2
    write_pairs(images, MIX, tmp_path / "fresh", seed=1)
    assert _contents(out) == _contents(tmp_path / "fresh")


def test_another_seed_or_mix_does_not_mix_with_what_is_there(images: ImageFolder, tmp_path: Path) -> None:
    write_pairs(images, MIX, tmp_path / "out", seed=1)
    before = _contents(tmp_path / "out")
    with pytest.raises(OutputExistsError, match="another seed or mix"):
        write_pairs(images, MIX, tmp_path / "out", seed=2)
    with pytest.raises(OutputExistsError, match="another seed or mix"):
        write_pairs(images, DegradationMix([(1, Degradation())]), tmp_path / "out", seed=1)
    assert _contents(tmp_path / "out") == before
    assert write_pairs(images, MIX, tmp_path / "out", seed=2, overwrite=True).written == 4


def test_images_that_differ_only_in_their_suffix_keep_it(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    (tmp_path / "in").mkdir()
    for suffix in ("png", "jpg"):
        Image.fromarray(picture).save(tmp_path / "in" / f"a.{suffix}")
    write_pairs(ImageFolder(tmp_path / "in"), MIX, tmp_path / "out", seed=0)
    assert sorted(p.name for p in (tmp_path / "out" / "sharp").iterdir()) == ["a.jpg.png", "a.png.png"]


def test_trouble_is_told_with_the_name_of_the_file(images: ImageFolder, tmp_path: Path) -> None:
    Image.new("RGB", (5, 5)).save(tmp_path / "in" / "tiny.png")
    for content, kind in ((None, UsageError), ("nonsense", CorruptInputError)):
        if content is not None:
            (tmp_path / "in" / "tiny.png").write_text(content)
        [(path, error)] = write_pairs(ImageFolder(tmp_path / "in"), MIX, tmp_path / "out", seed=0).failed
        assert path.name == "tiny.png"
        assert isinstance(error, kind)
        assert "tiny.png" in str(error)
    (tmp_path / "in2").mkdir()
    (tmp_path / "in2" / "tiny.png").write_text("nonsense")
    with pytest.raises(CorruptInputError, match=r"tiny\.png"):  # nothing is left
        write_pairs(ImageFolder(tmp_path / "in2"), MIX, tmp_path / "out2", seed=0)
    (tmp_path / "blocked").touch()
    with pytest.raises(OutputError, match="blocked"):
        write_pairs(images, MIX, tmp_path / "blocked", seed=0)
