"""Speed of the students with every tile computed: against the targets, and against other runtimes."""

import math

import numpy as np

from _speed.clips import Clip, Luma, noise, timing_clip
from _speed.runtimes import RUNTIMES, MissingRuntime, Runner, choose
from _speed.setting import NOMINAL_PEAK, Section, Setting, clip_path
from acutance.engine import open_engine
from acutance.evaluate.speed import Contender, int16_peak, race

__all__ = ["floors", "runner_of", "runtimes", "sets"]

_CLIP = "mixkit_call_720p"
_DISTINCT = 48  # frames that are gone through round and round: more than any cache holds
_FLOORS = {"fast": 60.0, "balanced": 30.0, "quality": 5.0}
_SLOWER = 10  # quality gets a tenth of the frames
_AGAINST_FLOAT = {"fast": 3.0, "balanced": 2.7}
_AGAINST_OTHERS = 2.0
_FLOAT, _OTHERS = ("OpenVINO fp32", "ONNX Runtime fp32"), ("OpenVINO int8", "ncnn")


def _frames(setting: Setting) -> list[Luma]:
    """Return frames of a call, or noise without data: with every tile computed the content has no influence."""
    clip: Clip = (
        noise(setting.size, _DISTINCT)
        if setting.data is None
        else timing_clip(clip_path(setting, _CLIP), setting.size, _DISTINCT)
    )
    return [np.array(luma) for luma in clip.luma]  # OpenVINO takes no read-only memory


def runner_of(setting: Setting, tier: str) -> Runner:
    """Return a tier in our engine, from plane to plane, every tile computed."""
    engine = setting.open(tier)

    def run(plane: Luma, out: Luma) -> None:
        engine.process(plane, out=out)

    return run


def _contender(name: str, run: Runner, frames: list[Luma], block: int) -> Contender:
    outs = [np.empty_like(frames[0]) for _ in range(3)]
    return Contender(name, lambda n: run(frames[n % len(frames)], outs[n % len(outs)]), block)


def floors(setting: Setting, section: Section) -> None:
    """Measure frames per second, percentiles and share of the peak of each tier, without thresholds and reuse."""
    frames = _frames(setting)
    block = 100  # so that few of the frames are the first after a pause, which no stream has
    rounds = max(1, math.ceil(setting.frames / block))
    contenders = [
        _contender(tier, runner_of(setting, tier), frames, block // _SLOWER if tier == "quality" else block)
        for tier in _FLOORS
    ]
    timed = setting.race(contenders, rounds=rounds, settle=5)
    section.add_conditions("floors", timed)
    for tier, floor in _FLOORS.items():
        timing, share = timed.timing(tier), timed.share_of_peak(tier, setting.macs(tier))
        at_nominal = None if share is None else share * NOMINAL_PEAK * 2 / setting.macs(tier)
        section.row(
            name=tier,
            engine=setting.engine,
            instruction_set=getattr(setting.open(tier), "instruction_set", None),
            share_of_int16_peak=share,
            fps_at_nominal_peak=at_nominal,
            gmacs=setting.macs(tier) / timing.median / 1e9,
            **timing.to_dict(),
        )
        section.target(f"{tier}, every tile: frames a second", timing.fps, floor, unit="fps")
        if tier == "fast":
            section.target(
                "fast, every tile: 99th percentile", timing.p99 * 1e3, 16.7, unit="ms", at_least=False, strict=True
            )
            section.target("fast, every tile: share of the int16 peak", share and share * 100, 75, unit="%")
    section.notes.append(
        "fps_at_nominal_peak: what the same share of 2 x 78 GMAC/s would be, the peak of the machine the floors are for"
    )


def sets(setting: Setting, section: Section) -> None:
    """Measure every instruction set that runs here, each beside its own peak."""
    from acutance.engine.native_engine import NativeEngine, instruction_sets

    frames = _frames(setting)
    for name in instruction_sets():
        plain = name == "portable"
        contenders = []
        for tier in ("fast",) if plain else _FLOORS:
            engine = open_engine(setting.student(tier), f"native:{name}", threads=setting.threads)
            assert isinstance(engine, NativeEngine)

            def run(plane: Luma, out: Luma, engine: NativeEngine = engine) -> None:
                engine.process(plane, out=out)

            contenders.append(_contender(tier, run, frames, 1 if plain or tier == "quality" else 10))
        timed = race(
            contenders,
            rounds=setting.rounds,
            settle=1,
            peak=lambda name=name: int16_peak(setting.threads, instruction_set=name),
        )
        section.add_conditions(name, timed)
        for contender in contenders:
            macs = setting.macs(contender.name)
            section.row(
                instruction_set=name,
                tier=contender.name,
                share_of_int16_peak=timed.share_of_peak(contender.name, macs),
                peak_gmacs=timed.peak and timed.peak / 1e9,
                **timed.timing(contender.name).to_dict(),
            )
    section.notes.append("The peak is that of the set; AVX-512-VNNI multiplies and adds in one instruction.")


def runtimes(setting: Setting, section: Section) -> None:
    """Measure the same network in OpenVINO (float and int8), ONNX Runtime and ncnn."""
    frames = _frames(setting)
    for tier, at_least in _AGAINST_FLOAT.items():
        contenders = [_contender("ours", runner_of(setting, tier), frames, 10)]
        chosen = {}
        for name in RUNTIMES:
            try:
                chosen[name] = choose(name, setting.student(tier), frames[:24], setting.threads)
            except MissingRuntime as error:
                section.missing[name] = str(error)
                continue
            contenders.append(_contender(name, chosen[name].run, frames, 5))
        timed = setting.race(contenders, rounds=setting.rounds, settle=1)
        section.add_conditions(tier, timed)
        truth = _float_output(setting, tier, frames[0])
        for contender in contenders:
            name, other = contender.name, chosen.get(contender.name)
            section.row(
                tier=tier,
                name=name,
                engine=setting.engine if other is None else name,
                ours_is_faster_by=None if other is None else timed.speedup("ours", name),
                psnr_to_float=_psnr_to(truth, runner_of(setting, tier) if other is None else other.run, frames[0]),
                variant=None if other is None else other.variant,
                tried_ms=None if other is None else other.tried,
                settings=None if other is None else other.settings,
                share_of_int16_peak=timed.share_of_peak(name, setting.macs(tier)),
                **timed.timing(name).to_dict(),
            )

        for names, limit in ((_FLOAT, at_least), (_OTHERS, _AGAINST_OTHERS)):
            factors = [timed.speedup("ours", n) for n in names if n in chosen]
            # Without one of the two nobody knows which is the better.
            worst = min(factors) if len(factors) == len(names) else None
            section.target(f"{tier}: times as fast as the better of {' and '.join(names)}", worst, limit)


def _float_output(setting: Setting, tier: str, frame: Luma) -> Luma:
    from acutance.engine.onnxruntime_engine import OnnxRuntimeEngine

    out: Luma = OnnxRuntimeEngine(setting.student(tier), threads=setting.threads).process(frame).astype(np.uint8)
    return out


def _psnr_to(truth: Luma, run: Runner, frame: Luma) -> float:
    """Return the PSNR between a runner's output and that of the float network in dB, 100 for no difference."""
    from acutance.metrics import psnr

    out = np.empty_like(frame)
    run(frame, out)
    return min(psnr(out, truth), 100.0)
