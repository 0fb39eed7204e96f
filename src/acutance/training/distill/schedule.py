"""The learning rate of each step: a pure function of the step."""

import math

from acutance.training.distill.options import ScheduleOptions

__all__ = ["learning_rate"]


def learning_rate(step: int, base: float, options: ScheduleOptions) -> float:
    """Return the learning rate of a step.

    After a linear warm-up it follows a cosine (Loshchilov & Hutter, arXiv 1608.03983), steps down at milestones, or
    stays constant.

    Args:
        step: from 0.
        base: the rate after the warm-up.
        options: kind of schedule and its parameters.
    """
    if step < options.warmup_steps:
        return base * (step + 1) / options.warmup_steps
    if options.kind == "cosine":
        total = options.epochs * options.steps_per_epoch - options.warmup_steps
        progress = (step - options.warmup_steps) / max(1, total)
        return options.final_lr + (base - options.final_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    if options.kind == "multistep":
        epoch = step // options.steps_per_epoch
        return base * options.gamma ** sum(epoch >= m for m in options.milestones)
    return base
