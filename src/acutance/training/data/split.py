"""Training and validation, split by image and never by crop.

Two crops of one photograph share its light, lens and compression: a student judged on the second after learning from
the first is flattered. Each image is placed by a hash of its own, so that adding or removing others never moves it.
"""

import hashlib
from typing import Literal, NamedTuple

from acutance.errors import UsageError
from acutance.training.data.folders import ImageFolder

__all__ = ["Split", "in_validation", "split_images"]


class Split(NamedTuple):
    """The two sides of a split; no image is on both."""

    train: ImageFolder
    validation: ImageFolder


def in_validation(key: str, *, fraction: float, seed: int = 0) -> bool:
    """Whether the image known by ``key`` is for validation. Depends on nothing else."""
    digest = hashlib.sha256(f"{seed}:{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") < fraction * 2.0**64


def split_images(
    images: ImageFolder, *, fraction: float = 0.05, seed: int = 0, by: Literal["name", "content"] = "name"
) -> Split:
    """Split a data set into training and validation.

    fraction: of the images, about, that go to validation; between 0 and 1, both excluded.
    by: ``name`` places an image by its name in the folder; ``content`` by the bytes of its file, which reads every
    file, and keeps copies of one file under two names on the same side.
    Raises UsageError where the fraction is out of range or would leave a side empty.
    """
    if not 0.0 < fraction < 1.0:
        raise UsageError(f"the validation fraction must lie between 0 and 1, not {fraction!r}")
    if by not in ("name", "content"):
        raise UsageError(f"images are split by 'name' or 'content', not {by!r}")
    chosen = [
        in_validation(image.name if by == "name" else image.sha256(), fraction=fraction, seed=seed) for image in images
    ]
    train = ImageFolder.from_files([i for i, for_validation in zip(images, chosen, strict=True) if not for_validation])
    validation = ImageFolder.from_files([i for i, for_validation in zip(images, chosen, strict=True) if for_validation])
    if not train or not validation:
        raise UsageError(
            f"a validation fraction of {fraction:g} leaves {len(train)} images for training and {len(validation)} for "
            "validation: choose another fraction or seed, or give a validation folder"
        )
    return Split(train, validation)
