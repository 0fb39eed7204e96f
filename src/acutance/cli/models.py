"""``acutance models``."""

import json
import sys
from dataclasses import asdict, dataclass

from acutance.students.spec import Student, load_student

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """The students inside the package: what they cost, and how good they were measured to be."""

    json: bool = False
    """As JSON, with everything the model files say of themselves."""
    set: str = "Set5"
    """The test set whose figures are shown."""


def run(options: Options) -> int:
    from acutance.students.bundled import bundled_models

    students = {name: load_student(path) for name, path in bundled_models().items()}
    if options.json:
        print(json.dumps([_as_json(s) for s in students.values()], indent=2))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"bundled students (figures: {options.set}, luma; gain over the input)", title_justify="left")
    headings = ("model", "for", "parameters", "MAC/pixel", "GMAC at 1080p60", "threshold", "PSNR", "gain", "SSIM")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("model", "for") else "right", no_wrap=True)
    for name, student in students.items():
        spec = student.spec
        figures = spec.quality.get(options.set, {})
        factors = ", ".join(f"x{f:g}" for f in spec.factors)
        table.add_row(
            name,
            f"{spec.task} {factors}",
            f"{spec.shape.parameters:,}",
            f"{spec.shape.macs_per_pixel:,.0f}",
            f"{spec.shape.macs_per_pixel * 1920 * 1080 * 60 / 1e9:,.0f}",
            str(spec.threshold),
            f"{figures['psnr_y']:.2f} dB" if "psnr_y" in figures else "-",
            f"{figures['psnr_y'] - figures['psnr_y_input']:+.2f} dB" if "psnr_y_input" in figures else "-",
            f"{figures['ssim_y']:.4f}" if "ssim_y" in figures else "-",
        )
    # Into a pipe the table keeps its width: rich would fold it to 80 columns.
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    return 0


def _as_json(student: Student) -> dict[str, object]:
    shape = student.spec.shape
    cost = {"parameters": shape.parameters, "macs_per_pixel": shape.macs_per_pixel, "radius": shape.radius}
    return {**asdict(student.spec), "cost": cost}
