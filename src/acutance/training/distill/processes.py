"""The processes that share a training run: what they divide among them, exchange, and must agree on."""

import io
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from acutance.errors import AcutanceError, ConfigError, PeerError, UsageError
from acutance.training.distill.network_interfaces import interface_towards
from acutance.training.distill.peer_store import PeerStore
from acutance.training.distill.place import Place
from acutance.training.distill.rendezvous import first_line

__all__ = ["ALONE", "Processes", "join"]

T = TypeVar("T")


class Processes:
    """A lone process: it has everything, and nobody to ask. See :func:`join` for several.

    A context manager. Every method but :meth:`share` is called by all processes, in the same order.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes what the run leaves."""
        return self.place.rank == 0

    def accept(self, student: nn.Module, *, batch: int) -> None:
        """Raises ConfigError where the steps of a run cannot be shared with the same result."""
        size = self.place.size
        if batch < size:
            raise ConfigError(f"data.batch: {batch} crops cannot be shared by {size} processes")
        if size > 1 and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in student.modules()):
            raise ConfigError(
                f"{type(student).__name__} normalises over the crops of a step: shared by {size} processes it would "
                "learn something else; train it in one"
            )

    def share(self, count: int) -> slice:
        """This process's part of so many crops: contiguous, and one longer than others' at most."""
        rank, size = self.place.rank, self.place.size
        return slice(rank * count // size, (rank + 1) * count // size)

    def one_here_first(self, work: Callable[[], T]) -> T:
        """Do ``work`` in one process of this machine, then in its others, which find on the disk what it has left."""
        return work()

    def gather(self, value: Any) -> list[Any]:
        """What every process gives, by rank. value: what JSON can hold. Waits as long as the others are alive."""
        return [value]

    def agree(self, facts: Mapping[str, str], *, advice: str) -> None:
        """Raises PeerError, which names the first rank and the first fact that differ from rank 0's."""

    def broadcast(self, value: T) -> T:
        """Rank 0's value: tensors, numbers and strings, in dicts, lists and tuples."""
        return value

    def average(
        self,
        parameters: Iterable[nn.Parameter],  # noqa: ARG002 - a lone process has the mean already
        terms: Mapping[str, Tensor],
        *,
        share: float,  # noqa: ARG002
    ) -> dict[str, float]:
        """Replace every gradient by its mean over all crops of the step, and return that of the terms of the loss.

        share: of the step's crops, this process's; gradients and terms are means over those.
        """
        return {name: float(term.detach()) for name, term in terms.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


ALONE = Processes()


def join(place: Place, *, timeout: float) -> Processes:
    """Meet the other processes of a run, on processors, by gloo.

    timeout: seconds, for the others to come, for a sign of life of each, and for one exchange of gradients or weights.
    Raises PeerError, UsageError.
    """
    if timeout <= 0:
        raise UsageError(f"the time-out for peers must be positive, not {timeout:g}")
    return Processes() if place.size == 1 else _Joined(place, timeout)


class _Joined(Processes):
    def __init__(self, place: Place, timeout: float) -> None:
        if not dist.is_available() or not dist.is_gloo_available():
            raise UsageError("this build of torch comes without gloo: a run cannot be shared by several processes")
        super().__init__(place)
        self._store = PeerStore(place, timeout=timeout)
        # Else gloo tells the others what this machine's own name means to itself, often 127.0.0.1.
        if interface := interface_towards(place.address, place.port):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        try:
            self._together(
                lambda: dist.init_process_group(
                    "gloo",
                    store=self._store.own,
                    rank=place.rank,
                    world_size=place.size,
                    timeout=timedelta(seconds=timeout),
                )
            )
        except BaseException as error:
            self._store.close(self._summary(error))
            self._store.linger()
            raise

    def one_here_first(self, work: Callable[[], T]) -> T:
        if self.place.local_rank > 0:
            self.gather(None)
            return work()
        threads = torch.get_num_threads()
        torch.set_num_threads(threads * self.place.local_size)  # those of the others, who wait
        try:
            done = work()
        finally:
            torch.set_num_threads(threads)
        self.gather(None)
        return done

    def gather(self, value: Any) -> list[Any]:
        return self._store.gather(value)

    def agree(self, facts: Mapping[str, str], *, advice: str) -> None:
        answers = self.gather({"host": socket.gethostname(), **facts})
        for rank, theirs in enumerate(answers):
            for name in facts:
                if theirs.get(name) != answers[0].get(name):
                    said = [str(answer.get(name))[:16] or "none" for answer in (theirs, answers[0])]
                    raise PeerError(
                        f"{self.place}: rank {rank} (on {theirs['host']}) does not agree with rank 0 (on "
                        f"{answers[0]['host']}) on {name}: {said[0]} and {said[1]}; {advice}"
                    )

    def broadcast(self, value: T) -> T:
        buffer = io.BytesIO()
        if self.first:
            torch.save(value, buffer)
        length = torch.tensor([buffer.tell()])
        self._together(lambda: dist.broadcast(length, 0))
        content = torch.empty(int(length), dtype=torch.uint8)
        if self.first:
            content.numpy()[:] = np.frombuffer(buffer.getbuffer(), np.uint8)
        self._together(lambda: dist.broadcast(content, 0))
        if self.first:
            return value
        # Not by pickle: what comes from another machine is data, as what comes from a file is.
        received: T = torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)
        return received

    def average(
        self, parameters: Iterable[nn.Parameter], terms: Mapping[str, Tensor], *, share: float
    ) -> dict[str, float]:
        gradients = [p.grad for p in parameters if p.grad is not None]
        values = [term.detach().reshape(1) for term in terms.values()]
        flat = torch.cat([*(g.reshape(-1) for g in gradients), *values]).mul_(share)
        self._together(lambda: dist.all_reduce(flat))
        *parts, means = torch.split(flat, [*(g.numel() for g in gradients), len(values)])
        torch._foreach_copy_(gradients, [part.view(g.shape) for part, g in zip(parts, gradients, strict=True)])
        return dict(zip(terms, means.tolist(), strict=True))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.close("" if error is None else self._summary(error))
        dist.destroy_process_group()  # now the others notice, where one left before the end
        self._store.linger()

    def _together(self, exchange: Callable[[], Any]) -> None:
        try:
            exchange()
        except (RuntimeError, ValueError) as error:
            why = self._store.why_one_left() or f"the connection to another process is lost: {first_line(error)}"
            raise PeerError(f"{self.place}: {why}") from error

    def _summary(self, error: BaseException) -> str:
        """For the others, who know where this is."""
        said = str(error).removeprefix(f"{self.place}: ")
        return said if isinstance(error, AcutanceError) else f"{type(error).__name__} {said}".strip()
