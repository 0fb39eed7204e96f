"""Acutance and coherence of a picture against its truth, from spectra of small windows.

Both planes are cut into windows of 64 x 64 pixels that overlap by half, in steps of 32 from the top left. Each window
loses its mean and gets a Hann taper. Windows where the truth's standard deviation is below 2 code values are left out.
O and T are the spectra of output and truth. Sums run over all windows, over all frames of a clip, and over the
coefficients of a ring: one cycle per window wide, 31 rings, from 1.5 to 32.5 cycles per window.

    transfer    H(f) = sum Re(O T*) / sum |T|^2          the part of the output that is in phase with the truth
    coherence   C(f) = (sum Re(O T*))^2 / (sum |O|^2 sum |T|^2)
    power       P(f) = sum |O|^2 / sum |T|^2 = H^2 / C

Each is weighted by the contrast sensitivity of the eye, CSF(f) = f^0.9 exp(-0.2 f), with f in cycles per degree:

    acutance          A = sum(CSF H) / sum(CSF)
    coherence         C = sum(CSF C(f)) / sum(CSF)
    natural acutance  A_nat = sum(CSF sqrt(C(f))) / sum(CSF)

Noise and invented detail lower the coherence and do not raise the acutance. A picture has its natural acutance if its
power equals the truth's in every ring, at the coherence that it has.

References: IEEE 1858 (CPIQ) for acutance as a weighted transfer function; ISO 12233 for transfer functions; Welch, The
use of fast Fourier transform for the estimation of power spectra, IEEE Trans. Audio Electroacoust. 15(2), 1967.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acutance.errors import UsageError
from acutance.metrics._check import Picture, check_pair, check_picture

__all__ = [
    "BAND_EDGES",
    "PIXELS_PER_DEGREE",
    "RINGS",
    "WINDOW",
    "Acutance",
    "AcutanceMeter",
    "TruthWindows",
    "acutance",
    "acutance_from_sums",
    "restored_share",
]

WINDOW = 64
"""Side of a window in pixels."""

RINGS = tuple(range(2, WINDOW // 2 + 1))
"""Centres of the rings in cycles per window. Each reaches half a cycle to both sides."""

BAND_EDGES = (1.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5, 32.5)
"""Edges of the eight bands of the power ratio in cycles per window: three rings in the first band, then four."""

PIXELS_PER_DEGREE = 56.5
"""Of a display with 1080 lines that is seen from three times its height."""

_STEP = WINDOW // 2
_LEAST_DEVIATION = 2.0  # code values
_INVENTED = 0.3  # coherence below which power that equals the truth's would mostly be invented

_Spectra = NDArray[np.complexfloating[Any, Any]]


def _ring_numbers() -> NDArray[np.intp]:
    """Return each coefficient's index into RINGS, or ``len(RINGS)`` where it lies outside all of them."""
    # rfft2 gives each pair of conjugates once, except in its first and last column. That small extra weight stays:
    # dropping it changes the figures in the fourth digit, and published figures have it.
    rows = np.fft.fftfreq(WINDOW, 1 / WINDOW)[:, None]
    columns = np.fft.rfftfreq(WINDOW, 1 / WINDOW)[None]
    radius = np.hypot(rows, columns)
    ring = np.floor(radius - RINGS[0] + 0.5).astype(np.intp)
    return np.where((ring < 0) | (ring >= len(RINGS)), len(RINGS), ring)


_RING_OF = _ring_numbers()
_HANN = np.hanning(WINDOW + 2)[1:-1]
_TAPER = np.outer(_HANN, _HANN).astype(np.float32)
_FREQUENCY = np.array(RINGS) * (PIXELS_PER_DEGREE / WINDOW)  # cycles per degree
_CSF = _FREQUENCY**0.9 * np.exp(-0.2 * _FREQUENCY)
_BANDS = tuple(
    slice(int(np.searchsorted(RINGS, low)), int(np.searchsorted(RINGS, high))) for low, high in pairwise(BAND_EDGES)
)


def _windows(plane: Picture) -> NDArray[Any]:
    """Return every window of a plane, rows x columns x WINDOW x WINDOW: a view."""
    return np.lib.stride_tricks.sliding_window_view(plane, (WINDOW, WINDOW))[::_STEP, ::_STEP]


def _spectra(windows: NDArray[Any]) -> _Spectra:
    """Return the spectra of windows, count x WINDOW x (WINDOW / 2 + 1), without their means, tapered."""
    values = windows.astype(np.float32)
    values -= values.mean(axis=(-2, -1), keepdims=True)
    values *= _TAPER
    return np.fft.rfft2(values)


def _by_ring(per_coefficient: NDArray[Any]) -> NDArray[np.float64]:
    sums = np.bincount(_RING_OF.ravel(), per_coefficient.ravel().astype(np.float64), len(RINGS) + 1)
    return np.asarray(sums[: len(RINGS)])


def _power(spectra: _Spectra) -> NDArray[np.float64]:
    """Return the sum of |X|^2 over windows, by ring."""
    power = np.einsum("nij,nij->ij", spectra.real, spectra.real) + np.einsum("nij,nij->ij", spectra.imag, spectra.imag)
    return _by_ring(power)


class TruthWindows:
    """The truth's side of a comparison, for one frame.

    Make it once where several outputs are compared with one truth: it is half of the work.

    Args:
        truth: Luma plane, H x W, any number type, in 8-bit code values, at least 64 x 64.

    Raises:
        UsageError: The plane has another shape or is smaller than one window.
    """

    def __init__(self, truth: Picture) -> None:
        check_picture(truth, planes=(2,))
        if min(truth.shape) < WINDOW:
            raise UsageError(f"acutance needs at least {WINDOW}x{WINDOW} pixels, not {truth.shape[1]}x{truth.shape[0]}")
        self.truth = truth
        self._rows: list[tuple[NDArray[np.bool_], _Spectra]] = []
        self.power = np.zeros(len(RINGS))
        self.count = 0
        # One row of windows at a time stays in the cache.
        for row in _windows(truth):
            kept = row.std(axis=(-2, -1), dtype=np.float64) >= _LEAST_DEVIATION
            spectra = _spectra(row[kept])
            self._rows.append((kept, spectra))
            self.power += _power(spectra)
            self.count += int(kept.sum())

    def compare(self, output: Picture) -> NDArray[np.float64]:
        """Return the sums of Re(O T*), |O|^2 and |T|^2 of one output, 3 x 31.

        Args:
            output: Luma plane of the truth's shape, in 8-bit code values.

        Raises:
            UsageError: The shapes differ.
        """
        check_pair(output, self.truth, planes=(2,))
        sums = np.zeros((3, len(RINGS)))
        for row, (kept, truth) in zip(_windows(output), self._rows, strict=True):
            spectra = _spectra(row[kept])
            in_phase = np.einsum("nij,nij->ij", spectra.real, truth.real) + np.einsum(
                "nij,nij->ij", spectra.imag, truth.imag
            )
            sums[0] += _by_ring(in_phase)
            sums[1] += _power(spectra)
        sums[2] = self.power
        return sums


@dataclass(frozen=True, slots=True)
class Acutance:
    """How sharp a picture or clip is, and how much of its detail is the truth's.

    All figures are not a number where no window of the truth has detail.

    Attributes:
        acutance: A. 1 for the truth itself, 0 where nothing is in phase with it.
        coherence: C, 0 to 1, weighted as the acutance.
        natural_acutance: A_nat, 0 to 1.
        natural_target: A_nat with H left as it is where C(f) is below 0.3: what may be had without invention.
        transfer: H of each of the 31 rings.
        ring_coherence: C of each ring.
        power_ratio: Power of the output over the truth's in each of the eight bands.
        band_coherence: C of each band, from its sums.
        windows: How many windows the sums hold; 0 where it is not known.
    """

    acutance: float
    coherence: float
    natural_acutance: float
    natural_target: float
    transfer: tuple[float, ...]
    ring_coherence: tuple[float, ...]
    power_ratio: tuple[float, ...]
    band_coherence: tuple[float, ...]
    windows: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain numbers and tuples."""
        return asdict(self)


def acutance_from_sums(sums: NDArray[np.float64], *, windows: int = 0) -> Acutance:
    """Return the figures that belong to sums over windows.

    Args:
        sums: Re(O T*), |O|^2 and |T|^2 by ring, 3 x 31, as :attr:`AcutanceMeter.sums` holds them. Sums of several
            clips or frames may be added before.
        windows: How many windows they hold.

    Raises:
        UsageError: The sums have another shape.
    """
    if np.shape(sums) != (3, len(RINGS)):
        raise UsageError(f"sums must be of shape (3, {len(RINGS)}), not {np.shape(sums)}")
    transfer, coherence, _ = _ratios(sums)
    weights = np.where(np.isnan(transfer), 0.0, _CSF)  # rings without power in the truth do not count
    natural = np.sqrt(coherence)
    target = np.where(coherence >= _INVENTED, natural, transfer)
    bands = np.stack([sums[:, band].sum(axis=1) for band in _BANDS], axis=1)
    _, band_coherence, power = _ratios(bands)

    def weighted(values: NDArray[np.float64]) -> float:
        total = weights.sum()
        return float(np.nansum(weights * values) / total) if total else float("nan")

    return Acutance(
        weighted(transfer),
        weighted(coherence),
        weighted(natural),
        weighted(target),
        tuple(transfer.tolist()),
        tuple(coherence.tolist()),
        tuple(power.tolist()),
        tuple(band_coherence.tolist()),
        windows,
    )


def _ratios(
    sums: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return transfer, coherence and power ratio; not a number where the truth has no power."""
    in_phase, output, truth = np.asarray(sums, np.float64)
    some = truth > 0
    divisor = np.where(some, truth, 1.0)
    both = np.maximum(output * truth, 1e-9)  # an output without power has a coherence of 0
    transfer = np.where(some, in_phase / divisor, np.nan)
    # Detail of the opposite sign is not the truth's.
    coherence = np.where(some, np.maximum(in_phase, 0.0) ** 2 / both, np.nan)
    return transfer, coherence, np.where(some, output / divisor, np.nan)


class AcutanceMeter:
    """Adds up the windows of a clip frame by frame.

    Example:
        ``meter.add(output, truth)`` for each frame, then ``meter.result().acutance``.
    """

    def __init__(self) -> None:
        self._sums = np.zeros((3, len(RINGS)))
        self._windows = 0
        self._frames = 0

    @property
    def sums(self) -> NDArray[np.float64]:
        """Sums of Re(O T*), |O|^2 and |T|^2 by ring, 3 x 31: a copy."""
        return self._sums.copy()

    @property
    def windows(self) -> int:
        """How many windows were added; 0 where no frame has detail."""
        return self._windows

    def add(self, output: Picture, truth: Picture | TruthWindows) -> None:
        """Add one frame.

        Args:
            output: Luma plane, H x W, any number type, in 8-bit code values, at least 64 x 64.
            truth: Luma plane of the same shape, or its windows where they serve several outputs.

        Raises:
            UsageError: The planes do not fit each other, or are smaller than one window.
        """
        windows = truth if isinstance(truth, TruthWindows) else TruthWindows(truth)
        self._sums += windows.compare(output)
        self._windows += windows.count
        self._frames += 1

    def result(self) -> Acutance:
        """Return the figures of all frames so far.

        Raises:
            UsageError: No frame was added.
        """
        if not self._frames:
            raise UsageError("acutance needs at least one frame")
        return acutance_from_sums(self._sums, windows=self._windows)


def acutance(output: Picture | Sequence[Picture], truth: Picture | Sequence[Picture]) -> Acutance:
    """Return acutance and coherence of a picture or of a clip.

    Args:
        output: Luma plane, H x W, any number type, in 8-bit code values, at least 64 x 64; or the planes of a clip.
        truth: As many planes of the same shape.

    Raises:
        UsageError: The planes do not fit each other, or there is none.
    """
    meter = AcutanceMeter()
    outputs = [output] if isinstance(output, np.ndarray) else list(output)
    truths = [truth] if isinstance(truth, np.ndarray) else list(truth)
    if len(outputs) != len(truths):
        raise UsageError(f"as many outputs as truths are needed, not {len(outputs)} and {len(truths)}")
    for one, other in zip(outputs, truths, strict=True):
        meter.add(one, other)
    return meter.result()


def restored_share(output: float, received: float) -> float:
    """Return the share of the lost acutance that an output restores: (A_out - A_in) / (1 - A_in).

    Args:
        output: Acutance of the output.
        received: Acutance of the input.

    Returns:
        0 for the input, 1 for the truth's acutance, below 0 for a loss; not a number where the input lost nothing.
    """
    lost = 1 - received
    return (output - received) / lost if lost > 0 else float("nan")
