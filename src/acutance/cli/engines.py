"""What every verb that runs a student takes as ``--engine``."""

from typing import Annotated

import tyro

__all__ = ["EngineOption"]

EngineOption = Annotated[
    str,
    tyro.conf.arg(
        metavar="NAME",
        help="What runs the student: auto (what a short trial found to be the fastest here; acutance doctor tells), "
        "native, onnxruntime, openvino or numpy; or one with a variant: native:SET with an instruction set that doctor "
        "lists, onnxruntime:cuda, onnxruntime:tensorrt, openvino:gpu.",
    ),
]
"""Checked by :func:`acutance.engine.open_engine`."""
