"""Prepare batches in a thread, so that training does not wait for the disk."""

from acutance._util.background import Producer
from acutance.training.data.pairs import Batch, PairSet

__all__ = ["batch_feed"]


def batch_feed(
    pairs: PairSet, *, start: int, stop: int, seed: int, size: int, crop: int, part: slice = slice(None)
) -> Producer[Batch]:
    """Return an iterator over the batches of steps ``start`` to ``stop``. It is also a context manager.

    Args:
        pairs: the training pictures.
        start: the first step.
        stop: the step after the last.
        seed: of the crops.
        size: crops in a batch.
        crop: side of a crop, in pixels.
        part: the crops of each batch to make; all by default.
    """
    batches = (pairs.batch(step, seed=seed, size=size, crop=crop, part=part) for step in range(start, stop))
    return Producer(batches, name="batches")
