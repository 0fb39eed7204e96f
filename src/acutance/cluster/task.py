"""The one function that Ray runs on nodes: find the work by name, do it, and return what came of it as data."""

import contextlib
from collections.abc import Mapping
from typing import Any

__all__ = ["run_task"]


def run_task(job: Mapping[str, Any], function: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Run a function of :mod:`acutance.cluster.work` and return the fields of an Outcome.

    Args:
        job: what :func:`acutance.cluster.driver.describe_job` makes. A process keeps what it opens for it.
        function: its name; ``check`` for opening the job alone.
        arguments: after the node.
    """
    from acutance.cluster import work
    from acutance.cluster.node import Node, is_full
    from acutance.errors import AcutanceError, ClusterError, EngineError, MissingExtraError, OutputError

    found: dict[str, Any] = {"node": _node_id()}
    node = _OPENED.get(job["token"])
    try:
        if node is None:
            _OPENED.clear()
            node = _OPENED[job["token"]] = Node(job)
        if function != "check":
            found["value"] = getattr(work, function)(node, *arguments)
    except AcutanceError as error:
        found |= {"reason": str(error), "error": type(error).__name__, "fault": "file"}
        if node is None or isinstance(error, ClusterError | EngineError | MissingExtraError):
            found["fault"] = "node"
        elif isinstance(error, OutputError):
            found["fault"] = "node" if is_full(error, node.folder.parent) else "store"
    except OSError as error:  # what no layer expected, such as a scratch folder that somebody removed
        found |= {"reason": f"{error.filename or function}: {error.strerror or error}", "fault": "node"}
    return found


_OPENED: dict[str, Any] = {}


def _node_id() -> str:
    with contextlib.suppress(Exception):
        import ray

        if ray.is_initialized():  # else the next line would start or look for a cluster
            return str(ray.get_runtime_context().get_node_id())
    return ""
