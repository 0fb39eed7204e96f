"""A Ray cluster as a pool of tasks: connecting, checking its nodes, submitting, collecting."""

import contextlib
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from acutance._util.extras import first_line, require
from acutance.engine.base import usable_cores
from acutance.errors import AcutanceError, ClusterError

__all__ = ["Outcome", "Pool", "connect"]

_CHECK_TIMEOUT = 120.0  # seconds for a node to start a process and look at its folders
_CONNECT_TIMEOUT = 10.0  # seconds
_NODE_LABEL = "ray.io/node-id"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended.

    Attributes:
        key: what :meth:`Pool.submit` was given.
        value: what the function returned, or None.
        fault: None if it returned; else whose fault it is. ``file``: the input's; trying again does not help. ``node``:
            this node's; another may do it. ``store``: the output folder's. ``lost``: the process or its node has gone.
        reason: one line, if it did not return.
        error: name of the exception's class, if it is one of acutance's.
        node: Ray's identifier of the node, if known.
    """

    key: Any
    value: dict[str, Any] | None = None
    fault: Literal["file", "node", "store", "lost"] | None = None
    reason: str = ""
    error: str = ""
    node: str = ""


@dataclass(frozen=True, slots=True)
class _Machine:
    node: str
    name: str
    cores: float


@dataclass
class Pool:
    """Tasks on a cluster. Made by :func:`connect`.

    Attributes:
        cpus: cores that each task reserves.
    """

    ray: Any
    job: Mapping[str, Any]
    cpus: int
    _job_ref: Any = None
    _running: dict[Any, Any] = field(default_factory=dict)
    _avoided: set[str] = field(default_factory=set)
    _function: Any = None

    def __post_init__(self) -> None:
        from acutance.cluster.task import run_task

        self._job_ref = self.ray.put(dict(self.job))
        self._function = self.ray.remote(max_retries=0, num_cpus=self.cpus)(run_task)

    @property
    def running(self) -> int:
        """How many tasks are submitted and not collected."""
        return len(self._running)

    def slots(self) -> int:
        """Return how many tasks can run at the same time on the nodes that are there now."""
        return sum(int(machine.cores // self.cpus) for machine in self._machines() if machine.node not in self._avoided)

    def check(self) -> None:
        """Check every node: its versions and folders.

        Raises:
            ClusterError: a node differs from the driver, or no node has enough cores.
        """
        machines = self._machines()
        if not any(machine.cores >= self.cpus for machine in machines):
            most = max((machine.cores for machine in machines), default=0)
            raise ClusterError(f"no node of the cluster has {self.cpus} cores for a task; the largest has {most:g}")
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        refs = {
            self._function.options(
                num_cpus=0, name="acutance: check", scheduling_strategy=strategy(machine.node, soft=False)
            ).remote(self._job_ref, "check", ()): machine
            for machine in machines
        }
        ready, _ = self.ray.wait([*refs], num_returns=len(refs), timeout=_CHECK_TIMEOUT)
        for ref, machine in refs.items():
            if ref not in ready:
                raise ClusterError(f"node {machine.name}: did not answer within {_CHECK_TIMEOUT:g} s")
            outcome = self._outcome(ref, None)
            if outcome.fault:
                raise ClusterError(f"node {machine.name}: {outcome.reason}")

    def submit(self, key: Any, name: str, function: str, arguments: tuple[Any, ...]) -> None:
        """Submit a task.

        Args:
            key: comes back with its outcome.
            name: shown in Ray's dashboard.
            function: one of :mod:`acutance.cluster.work`, by name.
            arguments: for it.
        """
        options: dict[str, Any] = {"name": name}
        if self._avoided:
            options["label_selector"] = {_NODE_LABEL: f"!in({','.join(sorted(self._avoided))})"}
        self._running[self._function.options(**options).remote(self._job_ref, function, arguments)] = key

    def collect(self, timeout: float) -> list[Outcome]:
        """Wait until a task ends, at most ``timeout`` seconds, and return those that have ended."""
        if not self._running:
            return []
        ready, _ = self.ray.wait([*self._running], num_returns=1, timeout=timeout)
        if ready:
            more, _ = self.ray.wait([*self._running], num_returns=len(self._running), timeout=0)
            ready = more
        return [self._outcome(ref, self._running.pop(ref)) for ref in ready]

    def avoid(self, node: str) -> str:
        """Give a node no more tasks. Return its name."""
        self._avoided.add(node)
        return next((machine.name for machine in self._machines() if machine.node == node), node[:8])

    def cancel(self) -> None:
        """Stop all tasks that have not ended."""
        for ref in self._running:
            with contextlib.suppress(Exception):
                self.ray.cancel(ref, force=True)
        self._running.clear()

    def _outcome(self, ref: Any, key: Any) -> Outcome:
        try:
            found = self.ray.get(ref)
        except Exception as error:  # Ray's own kinds, and whatever a task did not expect
            text = _plain(first_line(getattr(error, "cause", None) or error))
            if isinstance(error, self.ray.exceptions.RayTaskError):
                cause = getattr(error, "cause", None)
                return Outcome(key, fault="node", reason=f"{type(cause or error).__name__}: {text}")
            return Outcome(key, fault="lost", reason=f"its process or node was lost ({type(error).__name__})")
        return Outcome(key, **found)

    def _machines(self) -> list[_Machine]:
        return [
            _Machine(node["NodeID"], node["NodeManagerHostname"], float(node["Resources"].get("CPU", 0.0)))
            for node in self.ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU", 0.0) > 0
        ]


@contextlib.contextmanager
def connect(cluster: str, job: Mapping[str, Any], *, cpus: int) -> Iterator[Pool]:
    """Connect to a cluster and check its nodes; disconnect at the end.

    Args:
        cluster: ``local`` for this machine alone, or the address of a cluster's head (``10.0.0.1:6379``, ``auto``). A
            program that has called ``ray.init`` keeps its connection.
        job: what tasks need: see :func:`acutance.cluster.driver.describe_job`.
        cpus: cores that each task reserves.

    Raises:
        ClusterError: no cluster answers at the address, its version of Ray is another, or a node differs.
        MissingExtraError: Ray is not installed.
    """
    ray = require("ray", extra="cluster", purpose="an archive on a cluster", minimum="2.49")
    ours = not ray.is_initialized()
    if ours:
        _start(ray, cluster)
    try:
        require("ray.util.scheduling_strategies", extra="cluster", purpose="an archive on a cluster")
        pool = Pool(ray, job, cpus)
        pool.check()
        try:
            yield pool
        finally:
            pool.cancel()
    except ray.exceptions.RayError as error:
        raise ClusterError(f"{cluster}: {_plain(first_line(error))}") from error
    finally:
        if ours:
            with contextlib.suppress(Exception):
                ray.shutdown()


def _start(ray: Any, cluster: str) -> None:
    quiet: dict[str, Any] = {
        "logging_level": logging.ERROR,
        "log_to_driver": False,
        "configure_logging": True,
    }
    _check_address(cluster)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray warns otherwise, on machines without a GPU
    try:
        if cluster == "local":
            ray.init(address="local", num_cpus=usable_cores(), include_dashboard=False, **quiet)
        else:
            ray.init(address=cluster, **quiet)
    except AcutanceError:
        raise
    except (
        Exception
    ) as error:  # ConnectionError, RuntimeError, ValueError, gRPC's own: all mean that there is no cluster
        text = _plain(str(error))
        if "ersion mismatch" in text:
            raise ClusterError(f"{cluster}: {_versions(text)}") from error
        raise ClusterError(f"{cluster}: no cluster answers at this address: {_plain(first_line(error))}") from error


def _check_address(cluster: str) -> None:
    """Raise ClusterError if nobody listens at ``host:port``: Ray itself tries for minutes before it says so."""
    host, separator, port = cluster.rpartition(":")
    if not separator or "://" in cluster or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ClusterError(f"{cluster}: no cluster answers at this address: {why}") from error


def _versions(text: str) -> str:
    found = re.findall(r"(Ray|Python): ?(\S+)", text)
    pairs = [f"{name} {version}" for name, version in found]
    half = len(pairs) // 2
    told = (
        f"the cluster has {', '.join(pairs[:half])}, and this process has {', '.join(pairs[half:])}" if pairs else text
    )
    return f"versions differ: {told}"


def _plain(text: str) -> str:
    """Remove colours and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", text).split())
