"""Batches made ahead of time by a thread, so that the student never waits for the disk."""

from acutance._util.background import Producer
from acutance.training.data.pairs import Batch, PairSet

__all__ = ["batch_feed"]


def batch_feed(
    pairs: PairSet, *, start: int, stop: int, seed: int, size: int, crop: int, part: slice = slice(None)
) -> Producer[Batch]:
    """The batches of steps ``start`` to ``stop``, or a part of each; a context manager to iterate over."""
    batches = (pairs.batch(step, seed=seed, size=size, crop=crop, part=part) for step in range(start, stop))
    return Producer(batches, name="batches")
