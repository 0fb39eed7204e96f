"""The data root of configs/miniature.toml: small pictures with structure, and a linear teacher fitted to them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "miniature.toml"
WIDTH, HEIGHT = 132, 120


def draw_picture(seed: int) -> NDArray[np.uint8]:
    """A 120 x 132 RGB picture of overlapping shapes, fine lines and a gradient."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ramp = 90 + 60 * np.sin(x / rng.uniform(20, 60) + y / rng.uniform(20, 60))
    image = Image.fromarray(np.repeat(ramp[..., None], 3, axis=2).astype(np.uint8))
    draw = ImageDraw.Draw(image)

    def colour() -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(0, 256, 3))

    def point() -> tuple[float, float]:
        return float(rng.uniform(0, WIDTH)), float(rng.uniform(0, HEIGHT))

    for _ in range(14):
        draw.polygon([point() for _ in range(3)], fill=colour())
    for _ in range(10):
        (left, top), side = point(), rng.uniform(5, 30)
        draw.ellipse((left, top, left + side, top + side), fill=colour())
    for _ in range(16):
        draw.line([point(), point()], fill=colour(), width=int(rng.integers(1, 3)))
    return np.asarray(image)


def make_root(root: Path, *, pictures: int = 12) -> Path:
    """Write ``pictures/*.png`` and ``teachers/miniature.safetensors`` into ``root``."""
    (root / "pictures").mkdir(parents=True)
    (root / "teachers").mkdir()
    drawn = [draw_picture(seed) for seed in range(pictures)]
    for number, picture in enumerate(drawn):
        Image.fromarray(picture).save(root / "pictures" / f"{number:02d}.png")
    fit_teacher(drawn, root / "teachers" / "miniature.safetensors")
    return root


def fit_teacher(pictures: list[NDArray[np.uint8]], path: Path) -> None:
    """An upconv_7 that is linear: its first six layers only shift, its last is solved by least squares.

    With inputs in [0, 1] and single positive weights no LeakyReLU ever sees a negative value.
    """
    import torch
    from safetensors.torch import save_file

    from acutance.degrade import down_up
    from acutance.training.models.teachers import UpConv7

    module = UpConv7().eval().requires_grad_(False)
    for parameter in module.parameters():
        parameter.zero_()
    for i in range(1, 5):  # pass R, G and B through
        for channel in range(3):
            module.get_submodule(f"conv{i}").weight[channel, channel, 1, 1] = 1.0
    shifts = [(dy, dx) for dy in range(3) for dx in range(3)]
    for number, (dy, dx) in enumerate(shifts):  # conv5: the 3 x 3 around each; conv6: the corners of their 5 x 5
        for channel in range(3):
            module.conv5.weight[3 * number + channel, channel, dy, dx] = 1.0
    taps = sorted({(a[0] + b[0], a[1] + b[1]) for a in shifts for b in shifts})
    for number, (y, x) in enumerate(taps):
        inner = (min(y, 2), min(x, 2))
        for channel in range(3):
            source = 3 * shifts.index(inner) + channel
            module.conv6.weight[3 * number + channel, source, y - inner[0], x - inner[1]] = 1.0
    # What the last layer makes of a feature map: output o takes inputs i = (o + 3 - k) / 2 for kernel rows k.
    designs: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    targets: dict[tuple[int, int], list[NDArray[np.float64]]] = {}
    for picture in pictures[::2]:  # half of them suffice
        low, _ = down_up(picture, 2)
        x = torch.tensor(low).permute(2, 0, 1)[None].float() / 255
        f = module._padded_features(x)[0, : 3 * len(taps)].double().numpy()
        planes = f.reshape(len(taps), 3, *f.shape[1:])[:, 1]  # green stands for all three
        height, width = low.shape[:2]
        for py in (0, 1):
            for px in (0, 1):
                columns = [
                    planes[tap, (py + 3 - ky) // 2 :, (px + 3 - kx) // 2 :][:height, :width].ravel()
                    for tap in range(len(taps))
                    for ky in ((1, 3) if py == 0 else (0, 2))
                    for kx in ((1, 3) if px == 0 else (0, 2))
                ]
                designs.setdefault((py, px), []).append(np.stack(columns, axis=1))
                targets.setdefault((py, px), []).append(picture[py::2, px::2, 1].ravel() / 255.0)
    for (py, px), parts in designs.items():
        design, target = np.concatenate(parts), np.concatenate(targets[py, px])
        # Several columns are the same tap: a little regularisation shares it between them.
        normal = design.T @ design + 1e-3 * np.eye(design.shape[1])
        solution = iter(np.linalg.solve(normal, design.T @ target))
        for tap in range(len(taps)):
            for ky in (1, 3) if py == 0 else (0, 2):
                for kx in (1, 3) if px == 0 else (0, 2):
                    value = float(next(solution))
                    for channel in range(3):
                        module.conv7.weight[3 * tap + channel, channel, ky, kx] = value
    save_file(module.state_dict(), path)
