"""Train a conditioned student on calls: data, loop, checkpoints and the file at the end."""

import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from acutance._util.background import Producer
from acutance.choosing.condition import KNOWN_FEATURES
from acutance.errors import ConfigError, ModelError, OutputError
from acutance.metrics import psnr
from acutance.metrics.acutance import AcutanceMeter
from acutance.training.data.calls import Call, CallBatch, CallSet, prepare_calls
from acutance.training.data.clips import find_clips
from acutance.training.data.folders import ImageFolder
from acutance.training.distill.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from acutance.training.distill.conditioned_options import CallOptions, ConditionedOptions
from acutance.training.distill.log import RunLog
from acutance.training.distill.losses.spectrum import spectrum_term
from acutance.training.distill.schedule import learning_rate
from acutance.training.distill.soap import SOAP
from acutance.training.models.conditioned import ConditionedNet
from acutance.training.models.teachers import load_teacher

__all__ = ["ConditionedResult", "call_loss", "distill_conditioned", "validate_calls"]

Progress = Callable[[int, int, str], None]

_LOG_EVERY = 100
_FLOOR = 1.2 / 255  # mean error of an input, below which its crop counts as if it were this far from the truth
_SQUARE_FLOOR = (1.5 / 255) ** 2
_HARM_FLOOR = (0.45 / 255) ** 2  # 55 dB: nobody sees what is nearer to the truth
_LARGEST_HARM = 10.0
_UNTOUCHED = 0.1  # weight of the wish that what needs nothing gets the set that does nothing
_ANCHORS = (1.5, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class ConditionedResult:
    """What a run made.

    Attributes:
        network: Averaged weights after the last step.
        figures: Of the last validation, by kind of call (see :func:`validate_calls`).
        steps: Steps done.
    """

    network: ConditionedNet
    figures: Mapping[str, Mapping[str, float]]
    steps: int


def distill_conditioned(
    options: ConditionedOptions,
    *,
    data_root: Path,
    cache: Path,
    out: Path,
    fresh: bool = False,
    preparing: Progress = lambda _done, _total, _what: None,
    progress: Progress = lambda _done, _total, _what: None,
    say: Callable[[str], None] = lambda _line: None,
    stop_after: int | None = None,
) -> ConditionedResult:
    """Run a recipe from clips and photographs to a trained network in ``out``.

    Writes ``last.pt`` and ``log.jsonl`` after each epoch, and goes on from there; the result has the same bits however
    often the run was stopped.

    Args:
        options: The recipe.
        data_root: Folder of clips, pictures and teachers.
        cache: Where calls and the teachers' outputs are kept.
        out: Folder of the run.
        fresh: Start over, forgetting what is in ``out``.
        preparing: Progress of making calls.
        progress: Progress of the steps.
        say: Called with a line on what was found.
        stop_after: Return after that step, as a kill would (for tests of resuming).

    Raises:
        ConfigError: If the loss is no longer finite, or ``out`` holds another run.
        InputNotFoundError: If sources or teachers are missing.
        TeacherError: If a teacher is none.
        OutputError: If ``out`` cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if fresh:
            for name in ("last.pt", "log.jsonl"):
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written: {error.strerror}") from error
    training = _prepare(options, options.calls, data_root, cache, preparing, taught=True)
    validation = _prepare(options, options.validation, data_root, cache, preparing, taught=False)
    say(f"{len(training)} calls to train on, {len(validation)} to validate on")
    torch.set_num_threads(options.train.threads)
    torch.manual_seed(options.train.seed)
    mean, deviation = training.statistics
    student = options.student
    network = ConditionedNet(options.shape, sets=student.sets, hidden=student.hidden, mean=mean, deviation=deviation)
    if student.start:
        _start_with(network, Path(student.start), options)
    return _train(network, training, validation, options, out=out, progress=progress, stop_after=stop_after)


def _prepare(
    options: ConditionedOptions, calls: CallOptions, data_root: Path, cache: Path, progress: Progress, *, taught: bool
) -> CallSet:
    teachers = {}
    if taught and options.losses.teacher > 0:
        teachers = {float(factor): load_teacher(data_root / name) for factor, name in options.teachers.items()}
    return prepare_calls(
        find_clips(data_root, calls.clips),
        ImageFolder(*(data_root / folder for folder in calls.pictures)),
        count=calls.count,
        soft=calls.soft,
        seed=calls.seed,
        cache=cache,
        slides=calls.slides,
        teachers=teachers,
        progress=progress,
    )


def _start_with(network: ConditionedNet, path: Path, options: ConditionedOptions) -> None:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["average"]
        network.load_state_dict(weights)
    except Exception as error:  # torch raises a dozen kinds here
        raise ModelError(f"{path}: cannot be the start of {options.name}: {str(error).splitlines()[0]}") from error


def _train(
    network: ConditionedNet,
    training: CallSet,
    validation: CallSet,
    options: ConditionedOptions,
    *,
    out: Path,
    progress: Progress,
    stop_after: int | None,
) -> ConditionedResult:
    train, schedule = options.train, options.schedule
    average = copy.deepcopy(network).requires_grad_(False)
    condition = network.condition_parameters()
    known = {id(parameter) for parameter in condition}
    sets = [parameter for parameter in network.parameters() if id(parameter) not in known]
    if options.student.frozen_condition:
        for parameter in condition:
            parameter.requires_grad_(False)
    optimizers = (SOAP(sets, lr=train.lr, betas=(0.9, 0.95)), torch.optim.Adam(condition, lr=train.condition_lr))
    last, step = out / "last.pt", 0
    if last.exists():
        state = load_checkpoint(last, options)
        if state.data_sha256 != training.digest:
            raise ConfigError(f"{last}: was trained on other calls than those there are now")
        network.load_state_dict(state.student)
        average.load_state_dict(state.average)
        for optimizer, kept in zip(optimizers, state.optimizer["parts"], strict=True):
            optimizer.load_state_dict(kept)
        step = state.step
    log = RunLog(out / "log.jsonl", at_step=step)
    figures: dict[str, dict[str, float]] = {}
    sums: dict[str, float] = {}
    started = time.monotonic()
    batches = (
        training.batch(k, seed=train.seed, groups=train.groups, size=train.batch, crop=train.crop)
        for k in range(step, options.steps)
    )
    try:
        with Producer(batches, name="batches") as feed:
            for batch in feed:
                for optimizer, rate in zip(optimizers, (train.lr, train.condition_lr), strict=True):
                    for group in optimizer.param_groups:
                        group["lr"] = learning_rate(step, rate, schedule)
                    optimizer.zero_grad()
                terms = call_loss(network, batch, options, step=step)
                terms["loss"].backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), train.clip_norm)
                for optimizer in optimizers:
                    optimizer.step()
                step += 1
                _update_average(average, network, min(train.ema, (1 + step) / (10 + step)))
                for name, value in terms.items():
                    sums[name] = sums.get(name, 0.0) + float(value.detach())
                if not math.isfinite(sums["loss"]):
                    raise ConfigError(f"{options.name}: the loss is no longer finite at step {step}; lower train.lr")
                if step % _LOG_EVERY == 0:
                    means = {name: value / _LOG_EVERY for name, value in sums.items()}
                    log.write("train", step=step, **means)
                    progress(step, options.steps, f"loss {means['loss']:.4f}")
                    sums = {}
                if stop_after is not None and step >= stop_after:
                    break
                if step % schedule.steps_per_epoch == 0:
                    figures = validate_calls(average, validation)
                    log.write("validate", step=step, seconds=time.monotonic() - started, figures=figures)
                    checkpoint = Checkpoint(
                        step=step,
                        student=network.state_dict(),
                        average=average.state_dict(),
                        optimizer={"parts": [optimizer.state_dict() for optimizer in optimizers]},
                        torch_rng=torch.get_rng_state(),
                        data_sha256=training.digest,
                    )
                    save_checkpoint(last, checkpoint, options)
                    sums = {}
    finally:
        log.close()
    return ConditionedResult(average.eval(), figures, step)


def call_loss(
    network: ConditionedNet, batch: CallBatch, options: ConditionedOptions, *, step: int
) -> dict[str, Tensor]:
    """Return ``loss``, to be minimised, and the plain value of each term.

    Args:
        network: The student.
        batch: Crops of one step.
        options: Weights of the terms.
        step: Number of the step; the anchors fade with it.
    """
    weights = options.losses
    shown, truth = torch.from_numpy(batch.degraded), torch.from_numpy(batch.sharp)
    features = torch.from_numpy(batch.features)
    if options.train.feature_noise > 0:
        generator = torch.Generator().manual_seed(options.train.seed * 1_000_003 + step)
        noise = torch.randn(features.shape, generator=generator) * options.train.feature_noise * network.deviation
        noise[:, -KNOWN_FEATURES:] = 0.0  # facts are facts
        features = features + noise
    output, mixture = network(shown, features)
    groups = len(mixture)
    per_group = len(shown) // groups
    same_size = torch.tensor([record["factor"] == 1 for record in batch.records])
    of_crop = same_size.repeat_interleave(per_group)
    unit = (shown - truth).abs().mean((1, 2, 3)).clamp_min(_FLOOR)
    absolute = (output - truth).abs().mean((1, 2, 3)) / unit
    # At factor 1 most pixels are right already, and the least absolute error is to change nothing at all.
    square_unit = (shown - truth).square().mean((1, 2, 3)).clamp_min(_SQUARE_FLOOR)
    square = (output - truth).square().mean((1, 2, 3)) / square_unit
    terms = {"error": torch.where(of_crop, 0.5 * (absolute + square), absolute).mean()}
    loss = weights.error * terms["error"]
    if weights.harm > 0:
        before, after = (
            plane.square().mean((1, 2, 3)).reshape(groups, -1).mean(1) for plane in (shown - truth, output - truth)
        )
        worse = after / before.clamp_min(_HARM_FLOOR) - 1
        terms["harm"] = worse.clamp(0, _LARGEST_HARM).mean()
        loss = loss + weights.harm * terms["harm"]
    if weights.teacher > 0:
        taught = (output - torch.from_numpy(batch.teacher)).abs().mean((1, 2, 3)) / unit
        terms["teacher"] = taught[~of_crop].sum() / len(shown)
        loss = loss + weights.teacher * terms["teacher"]
    if weights.spectrum > 0:
        terms["spectrum"] = spectrum_term(output, truth, groups=groups)
        loss = loss + weights.spectrum * terms["spectrum"]
    if not options.student.frozen_condition:
        logs = (mixture + 1e-6).log()
        untouched = same_size & torch.tensor([record["codec"] is None for record in batch.records])
        loss = loss - _UNTOUCHED * (logs[:, 0] * untouched).sum() / groups
        if step < weights.anchor_steps:
            wanted = torch.tensor([_anchor(record, network.sets) for record in batch.records])
            loss = loss + weights.anchor * (1 - step / weights.anchor_steps) * F.nll_loss(logs, wanted)
    return {"loss": loss, **terms}


def _anchor(record: Mapping[str, Any], sets: int) -> int:
    """Return the set that a kind of call begins with: identity, encoded, 1.5, 2, 3, 4, scaled alone."""
    if record["factor"] == 1:
        return 0 if record["codec"] is None else 1
    if record["codec"] is None:
        return min(6, sets - 1)
    nearest = min(range(4), key=lambda k: abs(math.log(record["factor"] / _ANCHORS[k])))
    return min(2 + nearest, sets - 1)


@torch.no_grad()
def _update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1.0 - decay)


@torch.no_grad()
def validate_calls(network: ConditionedNet, calls: CallSet) -> dict[str, dict[str, float]]:
    """Measure a network on whole windows of calls of which nothing is known.

    Args:
        network: The student.
        calls: Calls whose clips were not trained on.

    Returns:
        By kind of call (``x2`` encoded, ``x2 clean`` not): number of frames, PSNR of the input in dB, gain in dB, the
        worst gain, acutance of input and output, natural acutance and coherence of the output.
    """
    folded = network.folded()
    rows: dict[str, list[list[float]]] = {}
    for call in calls.calls:
        for k in sorted({0, len(call.planes) - 1}):
            row = _figures(network, folded, call, k)
            nearest = min((1.0, *_ANCHORS), key=lambda factor: abs(math.log(call.record["factor"] / factor)))
            kind = f"x{nearest:g}" + ("" if call.record["codec"] else " clean")
            rows.setdefault(kind, []).append(row)
    names = ("psnr_input", "gain", "acutance_input", "acutance", "acutance_natural", "coherence_input", "coherence")
    out = {}
    for kind, values in sorted(rows.items()):
        table = np.array(values)
        out[kind] = {name: round(float(v), 4) for name, v in zip(names, np.nanmean(table, axis=0), strict=True)}
        out[kind] |= {"worst_gain": round(float(table[:, 1].min()), 4), "frames": len(values)}
    return out


def _figures(network: ConditionedNet, folded: list[tuple[Tensor, Tensor]], call: Call, k: int) -> list[float]:
    shown, truth = call.planes[k]
    mixture = network.mixture(torch.from_numpy(call.features[k])[None])
    x = torch.from_numpy(shown.astype(np.float32) / np.float32(255))[None, None]
    output = network.run(x, network.mixed(mixture, folded)[0])[0, 0].mul(255).round().clamp(0, 255).numpy()
    before, after = AcutanceMeter(), AcutanceMeter()
    before.add(shown, truth)
    after.add(output, truth)
    first, second = before.result(), after.result()
    quality = [min(100.0, psnr(plane.astype(np.float32), truth.astype(np.float32))) for plane in (shown, output)]
    return [
        quality[0], quality[1] - quality[0], first.acutance, second.acutance, second.natural_acutance,
        first.coherence, second.coherence,
    ]  # fmt: skip


def describe_run(options: ConditionedOptions, result: ConditionedResult) -> str:
    """Return what a run was, as JSON: its options and its last figures."""
    return json.dumps({"options": dataclasses.asdict(options), "figures": result.figures, "steps": result.steps})
