"""``acutance teachers``."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from acutance._util.extras import require
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.errors import UsageError

if TYPE_CHECKING:
    from acutance.training.models.teachers import Teacher

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """What each teacher is, costs, and is worth."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """Weights: .safetensors, or .pt and .pth that hold tensors only."""
    check: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Folder of sharp pictures: measure PSNR on luma against bicubic on them, at the teacher's own scale."""
    json: bool = False
    """Print JSON instead of a table."""
    progress: ProgressMode = "auto"
    """Of --check: auto, plain, json (one JSON object a line on stdout) or none."""


def run(options: Options) -> int:
    """Describe teachers, and measure them where a folder is given."""
    require("torch", extra="train", purpose="acutance teachers")
    from acutance.training.models.teachers import load_teacher

    if not options.files:
        raise UsageError("no weight file given")
    teachers = [load_teacher(path) for path in options.files]
    rows = [_describe(teacher) for teacher in teachers]
    if options.check is not None:
        with JobProgress(options.progress) as progress:
            for path, teacher, row in zip(options.files, teachers, rows, strict=True):
                row |= _check(teacher, path, options.check, progress)
    print(json.dumps(rows, indent=1)) if options.json else _print_table(rows)
    return 0


def _describe(teacher: "Teacher") -> dict[str, Any]:
    from acutance.training.models.cost import measure_speed

    speed = measure_speed(teacher.module)
    return {
        "name": teacher.name,
        "architecture": teacher.architecture,
        "scale": teacher.scale,
        "parameters": teacher.cost.parameters,
        "macs_per_pixel": teacher.cost.macs_per_pixel,
        "fps_1080p": speed.fps_1080p,
        "measured_pixels": speed.output_pixels,
        "threads": speed.threads,
        "sha256": teacher.sha256,
    }


def _check(teacher: "Teacher", weights: Path, folder: Path, progress: JobProgress) -> dict[str, Any]:
    """Mean PSNR on luma as the field measures it: see :func:`acutance.evaluate.quality.evaluate_set`."""
    from acutance.evaluate.quality import evaluate_set
    from acutance.evaluate.restorers import InputRestorer, TeacherRestorer
    from acutance.training.data.folders import ImageFolder

    result = evaluate_set(
        ImageFolder(folder),
        [InputRestorer(), TeacherRestorer(weights, name=teacher.name)],
        name=folder.name,
        factor=teacher.scale,
        progress=progress.counter(f"checking {teacher.name}", unit="pictures"),
    )
    bicubic, restored = (m.mean.psnr_y for m in result.methods)
    return {"pictures": len(result.images), "psnr_y": restored, "psnr_y_bicubic": bicubic}


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    checked = "psnr_y" in rows[0]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("teacher", overflow="fold")
    table.add_column("scale")
    for header in ("parameters", "MAC/\npixel", "fps at\n1080p", *(["PSNR-Y", "bicubic", "gain"] if checked else [])):
        table.add_column(header, justify="right", no_wrap=True)
    for row in rows:
        name = row["name"] if row["architecture"] in row["name"] else f"{row['name']} ({row['architecture']})"
        cells = [name, f"x{row['scale']}", f"{row['parameters']:,}"]
        cells += [f"{row['macs_per_pixel']:,.0f}", f"{row['fps_1080p']:.2g}"]
        if checked:
            gain = row["psnr_y"] - row["psnr_y_bicubic"]
            cells += [f"{row['psnr_y']:.2f}", f"{row['psnr_y_bicubic']:.2f}", f"{gain:+.2f} dB"]
        table.add_row(*cells)
    console = Console()
    console.print(table)
    tiles = sorted({round(row["measured_pixels"] ** 0.5) for row in rows})
    sizes = ", ".join(f"{side}x{side}" for side in tiles)
    threads = rows[0]["threads"]
    console.print(
        f"fps: estimated from a run on {sizes} output pixels, torch, {threads} thread{'s' * (threads != 1)}",
        highlight=False,
        style="dim",
    )
    if checked:
        console.print(
            f"PSNR on luma, mean over {rows[0]['pictures']} pictures, bicubic down by the teacher's scale",
            highlight=False,
            style="dim",
        )
