"""Where a process stands among those that share a training run, as its launcher has put it in the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from acutance.errors import UsageError

__all__ = ["Place", "find_place"]

# torchrun and most others; then MPI, which `accelerate launch --cpu` starts several processes by. How many there are
# comes first: it tells which of them has started this process.
_LAUNCHERS = (
    ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
)
_PORTS = 65536


@dataclass(frozen=True)
class Place:
    """rank: of this process, of ``size`` on all machines. local_rank, local_size: the same on this machine.
    address, port: where all meet. launcher_listens: the launcher keeps the store there, else rank 0 does.
    restarts: the launcher may start the processes again by itself when one has failed."""

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
    """Read the variables of torchrun (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR``, ``MASTER_PORT``) or
    those of MPI in their stead; a process that nobody launched among others is alone.

    Raises UsageError for what is missing or makes no sense.
    """
    if "RANK" in environment and "WORLD_SIZE" not in environment:
        raise UsageError("the environment has RANK but not WORLD_SIZE, which says how many processes there are")
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
        raise UsageError(f"the environment has {of_size}={size} but not MASTER_ADDR, which says where they meet")
    return Place(
        rank,
        size,
        # Without them a process takes itself for the only one on its machine: it prepares its data, and no one waits.
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
        raise UsageError(f"{name}={text!r} in the environment makes no sense; accepted: {accepted}")
    return value
