"""Any folder of images as a data set."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from acutance.errors import CorruptInputError, InputNotFoundError, UnsupportedMediaError

__all__ = ["IMAGE_SUFFIXES", "ImageFile", "ImageFolder", "images_named", "load_rgb"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".ppm", ".pgm", ".avif"})


def load_rgb(path: str | Path) -> NDArray[np.uint8]:
    """Read an image as upright 8-bit RGB, H x W x 3; alpha is dropped, 16 bits are scaled to 8.

    Raises InputNotFoundError, CorruptInputError (also for a file that breaks off), UnsupportedMediaError (larger than
    Pillow's limit against decompression bombs).
    """
    path = Path(path)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such image")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures and of odd metadata; neither matters to a data set.
            warnings.simplefilter("ignore")
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                if image.mode.startswith("I"):
                    # Pillow's own conversion clips 16 bits to 255 instead of scaling them.
                    grey = np.clip(np.rint(np.asarray(image, np.float64) / 257.0), 0, 255).astype(np.uint8)
                    return np.repeat(grey[..., None], 3, axis=2)
                return np.array(image.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise UnsupportedMediaError(f"{path}: {error}") from error
    except UnidentifiedImageError as error:
        raise CorruptInputError(f"{path}: not an image that can be read") from error
    except MemoryError:
        raise
    except Exception as error:  # each of Pillow's decoders raises kinds of its own
        raise CorruptInputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One image of a folder, not yet read. name: its path within the folder, with ``/``, the same on every machine."""

    path: Path
    name: str

    def load(self) -> NDArray[np.uint8]:
        """The pixels; see :func:`load_rgb`."""
        return load_rgb(self.path)

    def sha256(self) -> str:
        """SHA-256 of the file's bytes."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise InputNotFoundError(f"{self.path}: no such image") from error
        except OSError as error:
            raise CorruptInputError(f"{self.path}: cannot be read: {error.strerror}") from error


class ImageFolder(Sequence[ImageFile]):
    """The images in one folder or several, with their sub-folders, sorted by name; hidden files are left out.

    Of several folders, each name begins with as much of its folder's path as tells it from the others. Files are
    listed at once and read when asked for. Raises InputNotFoundError where a folder is missing or holds no image.
    """

    def __init__(self, *folders: str | Path) -> None:
        if not folders:
            raise InputNotFoundError("no image folder given")
        paths = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
        labels = _labels(paths)
        files: list[ImageFile] = []
        for folder, label in zip(paths, labels, strict=True):
            found = list(_images_in(folder))
            if not found:
                raise InputNotFoundError(f"{folder}: holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
            files.extend(ImageFile(path, label + path.relative_to(folder).as_posix()) for path in found)
        self._files = tuple(sorted(files, key=lambda file: file.name))

    @classmethod
    def from_files(cls, files: Sequence[ImageFile]) -> "ImageFolder":
        """A data set of chosen files, such as one side of a split; may be empty."""
        made = cls.__new__(cls)
        made._files = tuple(files)
        return made

    @overload
    def __getitem__(self, index: int) -> ImageFile: ...
    @overload
    def __getitem__(self, index: slice) -> "ImageFolder": ...
    def __getitem__(self, index: int | slice) -> "ImageFile | ImageFolder":
        if isinstance(index, slice):
            return ImageFolder.from_files(self._files[index])
        return self._files[index]

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[ImageFile]:
        return iter(self._files)

    def __repr__(self) -> str:
        return f"ImageFolder({len(self)} images)"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(file.name for file in self._files)


def images_named(paths: Iterable[str | Path]) -> list[ImageFile]:
    """The pictures that paths name: each one itself, or all in a folder. Raises InputNotFoundError for an empty one."""
    found: list[ImageFile] = []
    for path in map(Path, paths):
        found += ImageFolder(path) if path.is_dir() else [ImageFile(path, path.name)]
    return found


def _images_in(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder")
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
        if not hidden and path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
            yield path


def _labels(folders: list[Path]) -> list[str]:
    if len(folders) == 1:
        return [""]
    depth = 1
    while len({folder.parts[-depth:] for folder in folders}) < len(folders):
        depth += 1
    return ["/".join(folder.parts[-depth:]) + "/" for folder in folders]
