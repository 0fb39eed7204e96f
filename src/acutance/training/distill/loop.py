"""The training loop. Of what the task returns it reads only ``loss``."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from acutance.errors import ConfigError
from acutance.training.data.pairs import PairSet
from acutance.training.distill.batches import batch_feed
from acutance.training.distill.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from acutance.training.distill.log import RunLog
from acutance.training.distill.options import RunOptions
from acutance.training.distill.processes import ALONE, Processes
from acutance.training.distill.schedule import learning_rate
from acutance.training.distill.soap import SOAP
from acutance.training.distill.task import DistillationTask
from acutance.training.distill.validation import validate

__all__ = ["TrainResult", "train"]

LOG_EVERY = 100  # steps averaged in one line of the log
_DRIFTED = "machines whose processors or libraries round differently cannot share a run"
_SHOW_EVERY = 5.0  # seconds after which progress is told even between two lines of the log


@dataclass(frozen=True)
class TrainResult:
    """best: the student (averaged weights) of the best validation. best_psnr: its PSNR on luma, in dB."""

    best: nn.Module
    best_psnr: float
    best_epoch: int
    steps: int
    stopped_early: bool


def train(
    task: DistillationTask,
    pairs: PairSet,
    validation: PairSet,
    options: RunOptions,
    *,
    out: Path,
    processes: Processes = ALONE,
    progress: Callable[[int, int, str], None] = lambda _done, _total, _what: None,
    stop_after: int | None = None,
) -> TrainResult:
    """Train until the schedule ends or patience runs out, from the last checkpoint in ``out`` where there is one.

    Writes ``log.jsonl``, ``last.pt`` and ``best.pt`` in ``out`` after each epoch. stop_after: return after that step
    as a kill would (for tests of resuming). Ends bit-equal however often it was stopped, given the same number of
    threads and of processes. Raises ConfigError where the checkpoint is of other options or other pictures.

    processes: that share the run, in each of which this is called with the same arguments; only rank 0 reads and writes
    in ``out``. Raises PeerError where one is lost or has come to other weights.
    """
    student = task.student
    average = copy.deepcopy(student).eval().requires_grad_(False)
    optimizer = _optimizer(student, options)
    last = out / "last.pt"

    def snapshot(**done: Any) -> Checkpoint:
        return Checkpoint(
            student=student.state_dict(),
            average=average.state_dict(),
            optimizer=optimizer.state_dict(),
            torch_rng=torch.get_rng_state(),
            data_sha256=pairs.digest,
            **done,
        )

    state = load_checkpoint(last, options) if processes.first and last.exists() else snapshot(step=0)
    state = Checkpoint(**processes.broadcast(vars(state)))
    if state.data_sha256 != pairs.digest:
        raise ConfigError(f"{last}: was trained on other pictures than those there are now").offering("fresh")
    student.load_state_dict(state.student)
    average.load_state_dict(state.average)
    optimizer.load_state_dict(state.optimizer)
    torch.set_rng_state(state.torch_rng)
    step, finished = state.step, state.finished
    best_psnr, best_epoch, stale = state.best_psnr, state.best_epoch, state.stale
    log = RunLog(out / "log.jsonl" if processes.first else None, at_step=step)
    schedule, data = options.schedule, options.data
    total = options.steps if not finished else step
    if step == 0:
        figures = validate(average, validation, processes)
        log.write("validate", step=0, epoch=0, **figures)
    started = time.monotonic()
    sums: dict[str, float] = {}
    count = 0
    shared = processes.shared(task)
    part = processes.share(data.batch)
    share = (part.stop - part.start) / data.batch
    feed = batch_feed(
        pairs, start=step, stop=total, seed=options.train.seed, size=data.batch, crop=data.crop, part=part
    )
    shown_at, shown = started, ""
    try:
        with feed:
            for batch in feed:
                rate = learning_rate(step, options.optimizer.lr, schedule)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                terms = shared(batch)
                optimizer.zero_grad()
                means = processes.backward(terms, share=share)
                if options.optimizer.clip_norm > 0:
                    nn.utils.clip_grad_norm_(student.parameters(), options.optimizer.clip_norm)
                optimizer.step()
                step += 1
                _update_average(average, student, min(options.train.ema, (1 + step) / (10 + step)))
                for name, value in means.items():
                    sums[name] = sums.get(name, 0.0) + value
                count += 1
                if not math.isfinite(sums["loss"]):
                    raise ConfigError(f"{options.name}: the loss is no longer finite at step {step}; lower the rate")
                if step % LOG_EVERY == 0 or step % schedule.steps_per_epoch == 0:
                    means = {name: value / count for name, value in sums.items()}
                    log.write("train", step=step, epoch=step / schedule.steps_per_epoch, lr=rate, **means)
                    shown_at, shown = time.monotonic(), f"loss {means['loss']:.5f}" + _best(best_psnr)
                    progress(step, options.steps, shown)
                    sums, count = {}, 0
                elif time.monotonic() - shown_at >= _SHOW_EVERY:
                    shown_at = time.monotonic()
                    progress(step, options.steps, shown or f"loss {sums['loss'] / count:.5f}" + _best(best_psnr))
                if stop_after is not None and step >= stop_after:
                    break
                if step % schedule.steps_per_epoch == 0:
                    epoch = step // schedule.steps_per_epoch
                    figures = validate(average, validation, processes)
                    log.write("validate", step=step, epoch=epoch, seconds=time.monotonic() - started, **figures)
                    stale += 1
                    better = figures["psnr_y"] > best_psnr
                    if better:
                        best_psnr, best_epoch, stale = figures["psnr_y"], epoch, 0
                    finished = bool(options.train.patience) and stale >= options.train.patience
                    checkpoint = snapshot(
                        step=step, best_psnr=best_psnr, best_epoch=best_epoch, stale=stale, finished=finished
                    )
                    # Before it is written: what lies there is what all have agreed on.
                    processes.agree({f"the weights after step {step}": checkpoint.sha256}, advice=_DRIFTED)
                    if processes.first:
                        if better:
                            save_checkpoint(out / "best.pt", checkpoint, options)
                        save_checkpoint(last, checkpoint, options)
                    shown = f"epoch {epoch}  {figures['psnr_y']:.3f} dB" + _best(best_psnr)
                    progress(step, options.steps, shown)
                    if finished:
                        break
    finally:
        log.close()
    best = average
    kept = load_checkpoint(out / "best.pt", options).average if processes.first and (out / "best.pt").exists() else {}
    if kept := processes.broadcast(kept):
        best = copy.deepcopy(average)
        best.load_state_dict(kept)
    return TrainResult(best, best_psnr, best_epoch, step, finished)


def _best(psnr: float) -> str:
    return f"  best {psnr:.3f} dB" if math.isfinite(psnr) else ""


def _optimizer(student: nn.Module, options: RunOptions) -> torch.optim.Optimizer:
    o = options.optimizer
    if o.name == "soap":
        return SOAP(student.parameters(), lr=o.lr, betas=o.betas)
    kind = torch.optim.AdamW if o.name == "adamw" else torch.optim.Adam
    # Fused: for networks this small the plain step costs as much as a layer.
    return kind(student.parameters(), lr=o.lr, betas=o.betas, weight_decay=o.weight_decay, fused=True)


@torch.no_grad()
def _update_average(average: nn.Module, student: nn.Module, decay: float) -> None:
    theirs: list[Tensor] = [*student.parameters()]
    ours: list[Tensor] = [*average.parameters()]
    torch._foreach_lerp_(ours, theirs, 1.0 - decay)
    for ours_buffer, buffer in zip(average.buffers(), student.buffers(), strict=True):
        ours_buffer.copy_(buffer)
