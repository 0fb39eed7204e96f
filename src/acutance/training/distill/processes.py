"""The processes that share a training run: what they divide among them, exchange, and must agree on.

torch.distributed does the work: gloo's collectives, its rendezvous, and DistributedDataParallel for gradients. What is
added here is the division of a step, agreement before the first step, and one line for each way to fail.
"""

import contextlib
import inspect
import io
import json
import os
import re
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from acutance._util import extras
from acutance.errors import AcutanceError, ConfigError, PeerError, UsageError
from acutance.training.distill.place import Place

__all__ = ["ALONE", "Processes", "join"]

T = TypeVar("T")

_SLOW = timedelta(days=1)  # for exchanges before which one process may have hours of work, such as preparing its data
_SYNC_BUFFERS = "forward_sync_buffers"  # its name since torch 2.13, where the old one warns
if _SYNC_BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    _SYNC_BUFFERS = "broadcast_buffers"
_POLL = 0.02  # seconds between two looks at an exchange, between which Ctrl-C is heard
_AGAIN = 0.2  # seconds between two attempts to connect


class Processes:
    """A lone process: it has everything, and exchanges nothing. See :func:`join` for several.

    A context manager. Every method but :meth:`share` is called by all processes, in the same order.
    """

    def __init__(self, place: Place | None = None) -> None:
        self.place = place or Place()

    @property
    def first(self) -> bool:
        """True for rank 0, which writes what the run leaves."""
        return self.place.rank == 0

    def accept(self, student: nn.Module, *, batch: int) -> None:
        """Raise ConfigError if the steps of a run cannot be shared with the same result.

        Args:
            student: the network to train.
            batch: crops in a step.
        """
        size = self.place.size
        if batch < size:
            raise ConfigError(f"data.batch: {batch} crops cannot be shared by {size} processes")
        if size > 1 and any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in student.modules()):
            raise ConfigError(
                f"{type(student).__name__} normalises over the crops of a step, and torch's SyncBatchNorm needs a GPU: "
                f"shared by {size} processes it would learn something else; train it in one"
            )

    def share(self, count: int) -> slice:
        """Return this process's part of ``count`` crops: contiguous, and longer than others' by one at most."""
        rank, size = self.place.rank, self.place.size
        return slice(rank * count // size, (rank + 1) * count // size)

    def one_here_first(self, work: Callable[[], T]) -> T:
        """Do ``work`` in one process of each machine, then in its others, which find its results on the disk.

        Raises PeerError, with the reason, in every process if ``work`` fails in another.
        """
        return work()

    def gather(self, value: Any) -> list[Any]:
        """Return what every process gives, by rank. Waits for the slowest.

        Args:
            value: what JSON can hold.
        """
        return [value]

    def agree(self, facts: Mapping[str, str], *, advice: str) -> None:
        """Raise PeerError if a process has other facts than rank 0; it names the rank and the first such fact."""

    def broadcast(self, value: T) -> T:
        """Return rank 0's value: tensors, numbers and strings, in dicts, lists and tuples."""
        return value

    def shared(self, task: nn.Module) -> nn.Module:
        """Return a module that computes what ``task`` does, for :meth:`backward`."""
        return task

    def backward(
        self,
        terms: Mapping[str, Tensor],
        *,
        share: float,  # noqa: ARG002 - a lone process has all crops
    ) -> dict[str, float]:
        """Compute the gradients of the loss over all crops of the step, and return the terms over all of them.

        Args:
            terms: what the module of :meth:`shared` returned; ``loss`` among them. Means over this process's crops.
            share: of the step's crops, this process's, 0 to 1.
        """
        terms["loss"].backward()  # type: ignore[no-untyped-call]
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

    Args:
        place: of this process.
        timeout: seconds, for the others to come, and for one exchange of gradients or weights.

    Raises:
        PeerError: an address cannot be reached, or a process does not come.
        UsageError: the time-out is not positive, or this build of torch has no gloo.
    """
    if timeout <= 0:
        raise UsageError(f"the time-out for peers must be positive, not {timeout:g}")
    return Processes() if place.size == 1 else _Joined(place, timeout)


class _Joined(Processes):
    def __init__(self, place: Place, timeout: float) -> None:
        if not dist.is_available() or not dist.is_gloo_available():
            raise UsageError("this build of torch comes without gloo: a run cannot be shared by several processes")
        super().__init__(place)
        if place.rank > 0 or place.launcher_listens:
            _wait_for(place, timeout)
        _name_network(place)
        try:
            dist.init_process_group("gloo", rank=place.rank, world_size=place.size, timeout=timedelta(seconds=timeout))
            self._slow = dist.new_group(backend="gloo", timeout=_SLOW)
        except (RuntimeError, ValueError) as error:
            if dist.is_initialized():
                dist.destroy_process_group()
            came = re.search(r"(\d+)/\d+ clients joined", str(error))
            told = f"only {came[1]} of {place.size} processes came" if came else first_line(error)
            raise PeerError(f"{place}: not all are there after {timeout:g} s: {told}") from error

    def one_here_first(self, work: Callable[[], T]) -> T:
        done: list[T] = []
        for turn in (self.place.local_rank == 0, self.place.local_rank > 0):
            error: Exception | None = None
            threads = torch.get_num_threads()
            if turn:
                if not self.place.local_rank:
                    torch.set_num_threads(threads * self.place.local_size)  # those of the others, who wait
                try:
                    done.append(work())
                except Exception as caught:  # told to the others before it is raised
                    error = caught
                finally:
                    torch.set_num_threads(threads)
            said = self.gather("" if error is None else _summary(error))
            if error is not None:
                raise error
            for rank, reason in enumerate(said):
                if reason:
                    raise PeerError(f"{self.place}: rank {rank} has ended: {reason}")
        return done[0]

    def gather(self, value: Any) -> list[Any]:
        # Not all_gather_object, which is pickle: what comes from another machine is data, as what a file holds is.
        content = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        lengths = self._all_gather(torch.tensor([len(content)]))
        longest = max(int(length) for length in lengths)
        padded = self._all_gather(nn.functional.pad(content, (0, longest - len(content))))
        return [json.loads(p[: int(n)].numpy().tobytes()) for p, n in zip(padded, lengths, strict=True)]

    def _all_gather(self, value: Tensor) -> list[Tensor]:
        found = [torch.empty_like(value) for _ in range(self.place.size)]
        with self._exchange():
            work = dist.all_gather(found, value, group=self._slow, async_op=True)
            while not work.is_completed():
                time.sleep(_POLL)
            work.wait()
        return found

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
        with self._exchange():
            dist.broadcast(length, 0)
        content = torch.empty(int(length), dtype=torch.uint8)
        if self.first:
            content.numpy()[:] = np.frombuffer(buffer.getbuffer(), np.uint8)
        with self._exchange():
            dist.broadcast(content, 0)
        if self.first:
            return value
        received: T = torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)
        return received

    def shared(self, task: nn.Module) -> nn.Module:
        # Told to look for unused parameters, DDP keeps the order of its buffers. Else it sorts them again after the
        # first step, and a resumed run would sum in another order than one that was not stopped. It warns that it
        # found none.
        sync: Any = {_SYNC_BUFFERS: False}
        warnings.filterwarnings("ignore", message="(?s).*find_unused_parameters=True was specified")
        with self._exchange():
            return DistributedDataParallel(task, find_unused_parameters=True, **sync)

    def backward(self, terms: Mapping[str, Tensor], *, share: float) -> dict[str, float]:
        with self._exchange():
            # DDP takes the mean over processes; this makes it that over crops, also if shares differ.
            (terms["loss"] * (share * self.place.size)).backward()  # type: ignore[no-untyped-call]
            means = torch.stack([term.detach() for term in terms.values()]).mul_(share)
            dist.all_reduce(means)
        return dict(zip(terms, means.tolist(), strict=True))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        dist.destroy_process_group()  # the others notice if one leaves before the end

    @contextlib.contextmanager
    def _exchange(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, ValueError) as error:
            if isinstance(error, AcutanceError):
                raise
            raise PeerError(f"{self.place}: the connection to another process is lost: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Return what an error says, without the places in gloo's source that torch puts before it in brackets."""
    return re.sub(r"\[/[^]]*\] ", "", extras.first_line(error)).partition(". ")[0]


def _summary(error: Exception) -> str:
    return str(error) if isinstance(error, AcutanceError) else f"{type(error).__name__} {error}".strip()


def _wait_for(place: Place, timeout: float) -> None:
    """Wait until the address answers: torch itself takes three times the time-out, and fills the screen."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            left = max(_AGAIN, deadline - time.monotonic())
            socket.create_connection((place.address, place.port), timeout=left).close()
            return
        except OSError as error:
            if time.monotonic() + _AGAIN > deadline:
                why = error.strerror or str(error) or type(error).__name__
                raise PeerError(f"{place}: nobody answers there, tried for {timeout:g} s: {why}") from error
        time.sleep(_AGAIN)


def _name_network(place: Place) -> None:
    """Tell gloo which network leads to the address, else it takes that of this machine's name, often the loopback."""
    if "GLOO_SOCKET_IFNAME" in os.environ:
        return
    psutil = extras.require("psutil", extra="train", purpose="training in several processes")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((place.address, place.port))  # sends nothing, but chooses the network
        own = probe.getsockname()[0]
        for name, addresses in psutil.net_if_addrs().items():
            if any(address.address == own for address in addresses):
                os.environ["GLOO_SOCKET_IFNAME"] = name
