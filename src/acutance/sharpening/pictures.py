"""Pictures of other libraries as arrays: numpy, the buffer protocol, DLPack; RGB, BGR, RGBA, BGRA, grey."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from acutance.engine.base import as_array, describe
from acutance.engine.enlargement import enlarge
from acutance.errors import UsageError
from acutance.luma import add_luma_residual, luma_from_rgb
from acutance.students.spec import StudentShape

if TYPE_CHECKING:
    from typing_extensions import Buffer  # known to type checkers without being installed

__all__ = ["Order", "Picture", "Pixels", "Samples", "SupportsDLPack", "enlarge_picture"]

Order = Literal["rgb", "bgr"]
"""Order of the colours in a pixel. OpenCV has ``bgr``. A fourth channel is alpha in both."""

Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples of a picture as a numpy array."""


class SupportsDLPack(Protocol):
    """An array of another library that hands out its memory by DLPack, such as a torch tensor on the processor."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any:
        """Return a capsule of the array."""


if TYPE_CHECKING:
    Pixels: TypeAlias = Buffer | SupportsDLPack
    """Samples in memory: a numpy array, an object of the buffer protocol, or an array that has DLPack."""
else:  # Buffer exists from Python 3.12 on
    Pixels = object


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of full-range samples, and where its sharpened version goes.

    Attributes:
        samples: H x W (grey), H x W x 3, or H x W x 4 (alpha last); uint8 or uint16; read where it lies.
        out: Same shape and type, or larger for an upscaler; may be ``samples`` itself.
        order: Order of the colours.
    """

    samples: Samples
    out: Samples
    order: Order

    @classmethod
    def of(cls, picture: object, out: object, order: Order, shape: StudentShape | None = None) -> "Picture":
        """Check a picture and where its result goes.

        Args:
            picture: What :class:`Picture` calls samples.
            out: Where the result goes; None for a new array.
            order: Order of the colours.
            shape: The student's, which makes the result larger if it is an upscaler.

        Raises:
            UsageError: If either is not what :class:`Picture` says.
        """
        if order not in ("rgb", "bgr"):
            raise UsageError(f"order must be 'rgb' or 'bgr', not {order!r}")
        samples: Any = as_array(picture)
        if not isinstance(samples, np.ndarray) or samples.dtype not in (np.uint8, np.uint16):
            raise UsageError(f"a picture is a uint8 or uint16 array, not {describe(samples)}")
        if samples.ndim not in (2, 3) or samples.shape[2:] not in ((), (3,), (4,)) or samples.size == 0:
            raise UsageError(f"a picture is H x W, H x W x 3 or H x W x 4, not of shape {samples.shape}")
        size = samples.shape[:2] if shape is None else tuple(shape.output_length(side) for side in samples.shape[:2])
        expected = (*size, *samples.shape[2:])
        if out is None:
            fresh: Any = np.empty(expected, samples.dtype)
            return cls(samples, fresh, order)
        target: Any = as_array(out)
        if not isinstance(target, np.ndarray) or target.shape != expected or target.dtype != samples.dtype:
            raise UsageError(
                f"out must be an array of shape {expected} and type {samples.dtype}, not {describe(target)}"
            )
        if not target.flags.writeable:
            raise UsageError("out is read-only")
        return cls(samples, target, order)

    @property
    def grey(self) -> bool:
        """True if the picture has no colours."""
        return self.samples.ndim == 2

    @property
    def bit_depth(self) -> int:
        """Bits of a sample."""
        return 8 * self.samples.itemsize

    @property
    def luma(self) -> NDArray[np.float32]:
        """Limited-range luma of a colour picture in 8-bit code values, unrounded, H x W."""
        colours = self.samples[..., :3]
        return luma_from_rgb(colours if self.order == "rgb" else colours[..., ::-1])

    def copy(self) -> Samples:
        """Write the picture itself to ``out`` and return that."""
        if self.out is not self.samples:
            self.out[...] = self.samples
        return self.out

    def add(self, residual: NDArray[np.floating[Any]]) -> Samples:
        """Add a change of luma (H x W, 8-bit limited-range code values) to the colours; alpha stays."""
        sharp = add_luma_residual(self.samples[..., :3], residual)
        if self.samples.shape[2] == 4:
            self.out[..., 3] = self.samples[..., 3]
        self.out[..., :3] = sharp
        return self.out


_FACTORS = {1.5: (2, 3), 2.0: (1, 2), 3.0: (1, 3), 4.0: (1, 4)}


def enlarge_picture(picture: object, scale: float) -> Samples:
    """Return a picture enlarged with the bicubic filter that the students' inputs were enlarged with.

    Args:
        picture: H x W, H x W x 3 or H x W x 4, uint8 or uint16.
        scale: 1.5, 2, 3 or 4.

    Raises:
        UsageError: If the scale or the picture is another one.
    """
    if scale not in _FACTORS:
        raise UsageError(f"scale must be 1, 1.5, 2, 3 or 4, not {scale:g}")
    checked = Picture.of(picture, None, "rgb")
    if checked.grey:
        return enlarge(checked.samples, *_FACTORS[scale], checked.bit_depth)
    channels = [checked.samples[..., channel] for channel in range(checked.samples.shape[2])]
    stacked: Any = np.stack([enlarge(channel, *_FACTORS[scale], checked.bit_depth) for channel in channels], axis=-1)
    return cast("Samples", stacked)
