"""``acutance distill``."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from acutance._util.extras import require
from acutance.cli.progress import JobProgress, ProgressMode
from acutance.errors import Cancelled, PeerError, UsageError
from acutance.training.distill.place import Place, find_place

if TYPE_CHECKING:
    from acutance.training.distill.run import DistillResult

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """What to train. Goes on from the last whole epoch where the output folder holds this run already."""

    config: Path
    """The recipe, a TOML file: configs/fast-clean-x2.toml."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="KEY=VALUE")] = ()
    """Change one value of the recipe, such as lr=1e-3 or schedule.epochs=5; may be given several times."""
    control: bool = False
    """Train the same run without its teacher, to compare with."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Folder that the recipe's folders and weights are in; else the variable ACUTANCE_DATA, else the current folder."""
    cache: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Where prepared pictures and the teacher's outputs are kept; else the user's cache folder."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Folder of the run; runs/NAME where not given."""
    fresh: bool = False
    """Start over, forgetting what the folder of the run holds."""
    peer_timeout: float = 300.0
    """Where several processes share the run: seconds without a sign of life of another after which one gives up."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stdout) or none."""


def run(options: Options) -> int:
    """Train until done, stopped early or interrupted; the last whole epoch is never lost.

    Started by torchrun or another launcher, this process shares the run with others: see docs/training.md.
    """
    place = find_place()
    if place.size > 1:
        # Of a peer that is lost, torch's C++ would print pages of its own before the one line that says so.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")
    require("torch", extra="train", purpose="acutance distill")
    from acutance._util.machine import cache_folder
    from acutance.training.data.places import default_data_root
    from acutance.training.distill.conditioned_options import is_conditioned
    from acutance.training.distill.options import load_config

    if is_conditioned(options.config):
        return _run_conditioned(options, place)
    recipe = load_config(options.config, options.set)
    if options.control:
        recipe = recipe.without_teacher()
    if options.fresh and place.restarts:
        raise UsageError(
            "--fresh would start over each time the launcher starts it again: take --max-restarts 0 for it"
        )
    out = options.out if options.out is not None else Path("runs") / recipe.name
    with JobProgress(options.progress if place.rank == 0 else "none") as progress:
        from acutance.training.distill.processes import join
        from acutance.training.distill.run import distill

        progress.say(f"{recipe.name}: {recipe.steps:,} steps, into {out}")
        try:
            with _ends_when_told(place), join(place, timeout=options.peer_timeout) as processes:
                if place.size > 1:
                    progress.say(f"{place}: all are there")
                result = distill(
                    recipe,
                    data_root=options.data if options.data is not None else default_data_root(),
                    cache=options.cache if options.cache is not None else cache_folder(),
                    out=out,
                    fresh=options.fresh,
                    processes=processes,
                    preparing=lambda done, total, what: progress.update(
                        "preparing", done, total, what, unit="pictures"
                    ),
                    progress=lambda done, total, what: progress.update("training", done, total, what, unit="steps"),
                    say=progress.say,
                )
        except KeyboardInterrupt as error:
            told = f"{error}: " if isinstance(error, Cancelled) else ""
            raise Cancelled(told + _how_to_go_on(place, out, fresh=options.fresh)) from error
        except PeerError as error:
            raise PeerError(f"{error}; {_how_to_go_on(place, out, fresh=options.fresh)}") from error
        if place.rank == 0:
            _tell(result, progress)
    return 0


def _run_conditioned(options: Options, place: Place) -> int:
    """Train a conditioned student, in one process."""
    from acutance._util.machine import cache_folder
    from acutance.training.data.places import default_data_root
    from acutance.training.distill.conditioned import describe_run, distill_conditioned
    from acutance.training.distill.conditioned_options import load_conditioned_config

    if place.size > 1:
        raise UsageError(f"{options.config}: a conditioned student is trained in one process, not in {place.size}")
    recipe = load_conditioned_config(options.config, options.set)
    if options.control:
        recipe = recipe.without_teacher()
    out = options.out if options.out is not None else Path("runs") / recipe.name
    with JobProgress(options.progress) as progress:
        progress.say(f"{recipe.name}: {recipe.steps:,} steps, into {out}")
        try:
            result = distill_conditioned(
                recipe,
                data_root=options.data if options.data is not None else default_data_root(),
                cache=options.cache if options.cache is not None else cache_folder(),
                out=out,
                fresh=options.fresh,
                preparing=lambda done, total, what: progress.update("preparing", done, total, what, unit="pictures"),
                progress=lambda done, total, what: progress.update("training", done, total, what, unit="steps"),
                say=progress.say,
            )
        except KeyboardInterrupt as error:
            raise Cancelled(_how_to_go_on(place, out, fresh=options.fresh)) from error
        for kind, row in result.figures.items():
            progress.say(
                f"{kind}: {row['gain']:+.2f} dB, worst {row['worst_gain']:+.2f}, acutance {row['acutance']:.3f}"
            )
        progress.event("done", steps=result.steps, run=describe_run(recipe, result))
    return 0


@contextlib.contextmanager
def _ends_when_told(place: Place) -> Iterator[None]:
    """Launchers end the processes that are left with SIGTERM when one has died: that is told too, and the first to
    notice must have the time to say what it noticed."""
    if place.size == 1:
        yield
        return

    def end(*_: object) -> None:
        raise Cancelled(f"{place}: told to end (SIGTERM), as launchers do where another process has failed")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.exc_info()[0] else before)


def _tell(result: "DistillResult", progress: JobProgress) -> None:
    training = result.training
    early = ", stopped early" if training.stopped_early else ""
    progress.say(f"best {training.best_psnr:.3f} dB in epoch {training.best_epoch}, {training.steps:,} steps{early}")
    for what, path in (("student", result.student_file), ("report", result.report)):
        if path is not None:
            progress.say(f"{what}: {path}")
    progress.event(
        "done",
        best_psnr=training.best_psnr,
        best_epoch=training.best_epoch,
        steps=training.steps,
        stopped_early=training.stopped_early,
        student=None if result.student_file is None else str(result.student_file),
        report=None if result.report is None else str(result.report),
    )


def _how_to_go_on(place: Place, out: Path, *, fresh: bool) -> str:
    command = "the same command without --fresh" if fresh else "the same command"
    if place.size > 1:
        command += " everywhere"
    if place.rank > 0:
        return f"stopped; rank 0 keeps all up to the last whole epoch, and {command} goes on from there"
    if (out / "last.pt").exists():
        return f"stopped; {out} keeps all up to the last whole epoch, and {command} goes on from there"
    return f"stopped before the first whole epoch; what was prepared is kept, and {command} starts with it"
