"""Training curves from a run's log, as a picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from acutance._util.extras import require

__all__ = ["draw_curves"]

# Okabe and Ito's colours, which colour-blind readers can tell apart; black is for the sum.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D1F", "#7F7F7F")
_INK, _FAINT = "#222222", "#8A8A8A"
_ROW = 0.085  # of the height of a panel that a row of its legend takes: kept free above the lines
_STYLE = {
    "font.size": 10.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
}
_NOT_TERMS = {"event", "step", "epoch", "lr", "loss"}


def draw_curves(
    log: Sequence[Mapping[str, Any]],
    *,
    title: str,
    weights: Mapping[str, float],
    input_psnr: float | None = None,
    teacher_psnr: float | None = None,
) -> bytes:
    """Every loss term, validation PSNR and SSIM, and the learning rate over epochs, as PNG.

    log: events as :func:`acutance.training.distill.log.read_log` returns them. weights: of the loss terms.
    input_psnr, teacher_psnr: on the validation pictures, in dB. Raises MissingExtraError without matplotlib.
    """
    matplotlib = require("matplotlib", extra="train", purpose="drawing training curves")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    steps = [event for event in log if event["event"] == "train"]
    figures = [event for event in log if event["event"] == "validate"]
    if len(figures) > 1:  # what was measured before the first step would stretch the axis of all that matters
        figures = [event for event in figures if event["step"] > 0]
    last = max((float(event["epoch"]) for event in [*steps, *figures]), default=0.0)
    # Not pyplot: its global state and choice of a window system are the caller's.
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(12, 7.6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.008, ha="left", fontsize=14, color=_INK)
        (losses, psnr), (rate, ssim) = figure.subplots(2, 2)
        _draw_losses(losses, steps, weights)
        _draw_psnr(psnr, figures, input_psnr, teacher_psnr)
        _draw_ssim(ssim, figures)
        rate.plot([e["epoch"] for e in steps], [e["lr"] for e in steps], color=_INK)
        rate.set_title("Learning rate")
        rate.yaxis.set_major_formatter("{x:g}")
        rate.set_ylim(bottom=0)
        for axes in (losses, psnr, ssim, rate):
            axes.set_xlim(0, max(last, 1e-9))
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=last > 2))
        out = io.BytesIO()
        # Without the version of matplotlib in it, equal runs give equal files.
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _draw_losses(axes: Any, steps: Sequence[Mapping[str, Any]], weights: Mapping[str, float]) -> None:
    terms = sorted({name for event in steps for name in event} - _NOT_TERMS)
    epochs = [event["epoch"] for event in steps]
    for name, colour in zip(terms, _COLOURS * (1 + len(terms) // len(_COLOURS)), strict=False):
        label = f"{name} (weight {weights[name]:g})" if name in weights else name
        axes.plot(epochs, [event.get(name) for event in steps], color=colour, label=label, linewidth=1.2)
    axes.plot(epochs, [event["loss"] for event in steps], color=_INK, label="weighted sum", linewidth=2)
    axes.set_title("Training loss, every term by itself")
    if not steps:
        return
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    bottom, top = axes.get_ylim()
    rows = (len(terms) + 2) // 2
    axes.set_ylim(bottom, top * (top / bottom) ** (_ROW * rows / (1 - _ROW * rows)))
    axes.legend(loc="upper right", ncols=2)


def _draw_psnr(
    axes: Any, figures: Sequence[Mapping[str, Any]], input_psnr: float | None, teacher_psnr: float | None
) -> None:
    values = [event["psnr_y"] for event in figures]
    axes.plot([e["epoch"] for e in figures], values, color=_COLOURS[0], marker=".", label="student")
    for level, name, colour in ((teacher_psnr, "teacher", _COLOURS[1]), (input_psnr, "input", _FAINT)):
        if level is not None:
            axes.axhline(level, color=colour, linestyle="--", linewidth=1.4, label=f"{name} {level:.2f} dB")
    if values:
        best = max(range(len(values)), key=values.__getitem__)
        axes.plot(
            [figures[best]["epoch"]], [values[best]], "o", color=_COLOURS[0], markersize=8, markerfacecolor="white",
            label=f"best {values[best]:.2f} dB, epoch {figures[best]['epoch']:g}", clip_on=False, zorder=3,
        )  # fmt: skip
    axes.margins(y=0.08)
    axes.set_title("Validation PSNR on luma, dB")
    if axes.get_legend_handles_labels()[0]:
        bottom, top = axes.get_ylim()
        axes.set_ylim(bottom, top + (top - bottom) * 2 * _ROW / (1 - 2 * _ROW))
        axes.legend(loc="upper right", ncols=2)


def _draw_ssim(axes: Any, figures: Sequence[Mapping[str, Any]]) -> None:
    axes.plot([e["epoch"] for e in figures], [e["ssim_y"] for e in figures], color=_COLOURS[2], marker=".")
    axes.margins(y=0.12)
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title("Validation SSIM on luma")
