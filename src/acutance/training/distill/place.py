"""Where a process stands among those that share a training run, as its launcher has put it in the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from acutance.errors import UsageError

__all__ = ["Place", "find_place"]

# torchrun and most others; then MPI, which `accelerate launch --cpu` starts several processes by. The variable for the
# number of processes comes first: it tells which of them has started this process.
_LAUNCHERS = (
    ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
_PORTS = 65536


@dataclass(frozen=True)
class Place:
    """One process among those of a run.

    Attributes:
        rank: of this process, from 0.
        size: number of processes on all machines.
        local_rank: of this process on its machine, from 0.
        local_size: number of processes on this machine.
        address: host name or address where all meet.
        port: where all meet.
        launcher_listens: True if the launcher listens there, and not rank 0.
        restarts: True if the launcher starts the processes again when one has failed.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    address: str = ""
    port: int = 0
    launcher_listens: bool = False
    restarts: bool = False

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size} at {self.address}:{self.port}"


def find_place(environment: Mapping[str, str] = os.environ) -> Place:
    """Read the variables of torchrun (``RANK``, ``WORLD_SIZE``, ...) or MPI.

    Returns:
        The place of this process; that of a lone process if the environment names none.

    Raises:
        UsageError: a variable is missing or has a value out of range.
    """
    if "RANK" in environment and "WORLD_SIZE" not in environment:
        raise UsageError("the environment has RANK but not WORLD_SIZE, the number of processes")
    restarts = environment.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
    names = next((names for names in _LAUNCHERS if names[0] in environment), None)
    if names is None:
        return Place(restarts=restarts)
    of_size, of_rank, of_local_rank, of_local_size = names
    size = _number(environment, of_size, below=None, least=1)
    if size == 1:
        return Place(restarts=restarts)
    rank = _number(environment, of_rank, below=size)
    address = environment.get("MASTER_ADDR", "").strip()
    if not address:
        raise UsageError(f"the environment has {of_size}={size} but not MASTER_ADDR, the address of rank 0")
    return Place(
        rank,
        size,
        # Without these a process takes itself for the only one on its machine, and prepares its data itself.
        _number(environment, of_local_rank, below=size) if of_local_rank in environment else 0,
        _number(environment, of_local_size, below=size + 1, least=1) if of_local_size in environment else 1,
        address,
        _number(environment, "MASTER_PORT", below=_PORTS, least=1),
        environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        restarts,
    )


def _number(environment: Mapping[str, str], name: str, *, below: int | None, least: int = 0) -> int:
    text = environment.get(name, "").strip()
    accepted = f"{least} or more" if below is None else f"{least} to {below - 1}"
    if not text:
        raise UsageError(f"the environment lacks {name}: a number, {accepted}")
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least or (below is not None and value >= below):
        raise UsageError(f"{name}={text!r} in the environment is out of range; accepted: {accepted}")
    return value
