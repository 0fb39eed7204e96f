"""Compare clips by ColorVideoVDP: a program for an environment of its own, with ``cvvdp`` and without acutance.

    PYTHON cvvdp_worker.py THREADS PIXELS_PER_DEGREE

Each line of its input is JSON: ``clip``, an npz file with ``output`` and ``truth`` (frames x H x W, uint8 luma of
limited range), and ``rate``, frames per second. Each line of its output is JSON with ``jod``.
"""

import contextlib
import json
import sys
from typing import Any

import numpy as np


def _serve(threads: int, pixels_per_degree: float) -> None:
    """Answer comparisons, one line of JSON each."""
    import torch

    torch.set_num_threads(threads)
    # A torchvision without its compiled operators (built for another torch) still has the blur that is needed.
    library: Any = torch.library.Library("torchvision", "DEF")
    with contextlib.suppress(RuntimeError):
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import pycvvdp

    geometry = pycvvdp.vvdp_display_geometry([1920, 1080], ppd=pixels_per_degree)
    metric = pycvvdp.cvvdp(
        display_name="standard_4k", display_geometry=geometry, device=torch.device("cpu"), quiet=True
    )
    for line in sys.stdin:
        wanted = json.loads(line)
        with np.load(wanted["clip"]) as clip:
            planes = [np.clip((clip[n].astype(np.float32) - 16) / 219, 0, 1)[..., None] for n in ("output", "truth")]
        with torch.no_grad():
            jod, _ = metric.predict(*planes, dim_order="FHWC", frames_per_second=wanted["rate"])
        print(json.dumps({"jod": float(jod)}), flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
