"""Tables of results, for a terminal and for Markdown."""

from collections.abc import Sequence

from acutance.evaluate.quality import MethodResult, SetResult

__all__ = ["quality_table", "render", "set_table", "share_table", "to_teacher_table"]

NOTHING = "–"


def render(headers: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """Return a table; the first column is aligned to the left, the others to the right.

    Args:
        headers: Titles of the columns.
        rows: Cells, as many in each row as there are headers.
        markdown: Whether to write Markdown instead of plain text.
    """
    widths = [max(len(r[i]) for r in (headers, *rows)) for i in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip()

    rule = [("-" * w) if i == 0 else ("-" * (w - 1) + ":" if markdown else "-" * w) for i, w in enumerate(widths)]
    return "\n".join(line(cells) for cells in (headers, rule, *rows))


def set_table(result: SetResult, *, markdown: bool = False) -> str:
    """Return the means of every method on one set, in the order of the methods.

    Args:
        result: The set.
        markdown: Whether to write Markdown.
    """
    headers = ["method", "PSNR-Y", "SSIM-Y", "MSE-Y", "PSNR-RGB", "SSIM-RGB"]
    shared = result.teacher is not None
    if shared:
        headers += ["teacher's gain kept", "PSNR to teacher"]
    rows = []
    for method in result.methods:
        mean = method.mean
        row = [_label(method), f"{mean.psnr_y:.2f}", f"{mean.ssim_y:.4f}", f"{mean.mse_y:.2f}"]
        row += [f"{mean.psnr_rgb:.2f}", f"{mean.ssim_rgb:.4f}"]
        if shared:
            row += [_percent(result.share(method.name)), _db(method.mean_psnr_y_to_teacher)]
        rows.append(row)
    return render(headers, rows, markdown=markdown)


def quality_table(results: Sequence[SetResult], *, markdown: bool = False) -> str:
    """Return PSNR-Y / SSIM-Y of every method on several sets, with its cost.

    Args:
        results: The sets.
        markdown: Whether to write Markdown.
    """
    rows = []
    for method in _methods(results):
        macs = NOTHING if method.macs_per_pixel is None else f"{method.macs_per_pixel:,.0f}"
        cells = [_label(method), macs]
        for result in results:
            found = _find(result, method.name)
            cells.append(NOTHING if found is None else f"{found.mean.psnr_y:.2f} / {found.mean.ssim_y:.4f}")
        rows.append(cells)
    return render(["PSNR-Y / SSIM-Y", "MAC per pixel", *(r.name for r in results)], rows, markdown=markdown)


def share_table(results: Sequence[SetResult], *, kinds: Sequence[str], markdown: bool = False) -> str:
    """Return how much of the teacher's gain over the input some methods keep, by set.

    Args:
        results: The sets.
        kinds: Kinds of methods to show.
        markdown: Whether to write Markdown.
    """
    rows = [
        [method.name, *(_percent(r.share(method.name) if _find(r, method.name) else None) for r in results)]
        for method in _methods(results)
        if method.kind in kinds
    ]
    return render(["share of the teacher's gain kept", *(r.name for r in results)], rows, markdown=markdown)


def to_teacher_table(results: Sequence[SetResult], *, kinds: Sequence[str], markdown: bool = False) -> str:
    """Return the PSNR on luma between some methods and the teacher, by set.

    Args:
        results: The sets.
        kinds: Kinds of methods to show.
        markdown: Whether to write Markdown.
    """
    rows = []
    for method in _methods(results):
        if method.kind in kinds:
            found = (_find(r, method.name) for r in results)
            rows.append([method.name, *(_db(f.mean_psnr_y_to_teacher if f else None) for f in found)])
    return render(["PSNR-Y to the teacher", *(r.name for r in results)], rows, markdown=markdown)


def _methods(results: Sequence[SetResult]) -> list[MethodResult]:
    found: dict[str, MethodResult] = {}
    for result in results:
        for method in result.methods:
            found.setdefault(method.name, method)
    return list(found.values())


def _find(result: SetResult, name: str) -> MethodResult | None:
    return next((m for m in result.methods if m.name == name), None)


def _label(method: MethodResult) -> str:
    labels = {"input": " (input)", "teacher": " (teacher)", "control": " (control)"}
    return method.name + labels.get(method.kind, "")


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value * 100:.0f} %"


def _db(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
