"""Calls and slides: FFmpeg's filters on the same frames, tiles that are skipped, tiles that are reused."""

import math
from collections.abc import Callable

import numpy as np

from _speed.clips import Clip, Luma, Rung, call_rung, noise, rung_rates, slide_show, timing_clip
from _speed.filters import FILTERS, filter_runner, sharpen_runner, to_av
from _speed.setting import TEST_CLIPS, VAL_CLIPS, Section, Setting, clip_path
from acutance.engine.base import Session, TileOptions
from acutance.errors import EngineError
from acutance.evaluate.speed import Contender
from acutance.metrics import psnr

__all__ = ["filters", "open_session", "reuse", "sweep", "threshold"]

_TURN = 30  # frames
_PASSES = 3
_RUNG_FRAMES = 120
_SPEEDUPS = {"fast": 1.7, "balanced": 2.0}
_LOSSES = {"fast": 0.02, "balanced": 0.03}
_STILL_CLIP, _STILL_SPEEDUP = "liveportrait_s18_720p", 2.5
_REUSE_CLIP, _REUSE_SPEEDUP, _SLIDES_SPEEDUP, _REUSE_FLOOR = "latentsync_demo1_1080x1920", 1.4, 8.0, 0.97
_SWEEP_KBPS = 300.0
_SWEEP = (0, 2, 4, 6, 8, 10, 12, 14, 16, 20, 24, 32)


def open_session(setting: Setting, section: Section, tier: str, options: TileOptions) -> Session | None:
    """Return a session, or None with a note if the engine has no sessions."""
    try:
        return setting.open(tier).session(options)
    except EngineError as error:
        section.missing["tiles"] = str(error)
        return None


def _clip(setting: Setting, name: str) -> Clip:
    return timing_clip(clip_path(setting, name), setting.size, setting.clip_frames)


def _rounds(clip: Clip) -> int:
    """Return enough rounds for a few passes over the clip."""
    return max(1, math.ceil(_PASSES * len(clip.frames) / _TURN))


class _Shares:
    """A session as a runner that also counts what happened to the tiles."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.tiles = self.computed = self.reused = 0

    def __call__(self, plane: Luma, out: Luma) -> None:
        self.session.process(plane, out=out)
        counts = self.session.counts
        self.tiles += counts.tiles
        self.computed += counts.computed
        self.reused += counts.reused

    def to_dict(self) -> dict[str, float]:
        tiles = max(1, self.tiles)
        return {"computed_share": self.computed / tiles, "reused_share": self.reused / tiles}


class _Over:
    """Runs over a clip again and again, into a few outputs in turn."""

    def __init__(self, clip: Clip, run: Callable[[Luma, Luma], object], *, outs: int = 3) -> None:
        self._frames, self._run = clip.luma, run
        self.outs = [np.zeros_like(self._frames[0]) for _ in range(outs)]

    def __call__(self, number: int) -> None:
        self._run(self._frames[number % len(self._frames)], self.outs[number % len(self.outs)])


def _whole(setting: Setting, tier: str) -> Callable[[Luma, Luma], object]:
    """Return a runner that computes every tile."""
    engine = setting.open(tier)
    return lambda plane, out: engine.process(plane, out=out)


# -- ffmpeg's filters -----------------------------------------------------------------------------------------------


def filters(setting: Setting, section: Section) -> None:
    """Measure ``unsharp`` and ``cas`` on the same 4:2:0 frames, beside ``fast`` with and without threshold."""
    worst, with_threshold = [], []
    on_luma: list[float] = []
    for name in TEST_CLIPS:
        clip = _clip(setting, name)
        pictures = [to_av(frame) for frame in clip.frames]
        contenders = [
            Contender(label, filter_runner(*arguments, pictures, setting.threads), _TURN)
            for label, arguments in FILTERS.items()
        ]
        contenders.append(Contender("fast", sharpen_runner(_whole(setting, "fast"), pictures), _TURN))
        session = open_session(setting, section, "fast", TileOptions(threshold=setting.threshold_of("fast")))
        if session is not None:
            tiles = _Shares(session)
            contenders.append(Contender("fast, threshold", sharpen_runner(tiles, pictures), _TURN))
        timed = setting.race(contenders, rounds=_rounds(clip))
        section.add_conditions(name, timed)
        for contender in contenders:
            section.row(clip=name, name=contender.name, **timed.timing(contender.name).to_dict())
        worst.append(timed.total_speedup("fast", "cas, all planes", period=len(clip.frames)))
        on_luma.append(timed.total_speedup("fast", "cas", period=len(clip.frames)))
        if session is not None:
            with_threshold.append(timed.total_speedup("fast, threshold", "unsharp", period=len(clip.frames)))
    section.target("fast, every tile: times as fast as `cas`, as it comes, worst clip", min(worst), 1.0, strict=True)
    section.target("fast, every tile: times as fast as `cas` on luma alone, worst clip", min(on_luma), 1.0, strict=True)
    section.target(
        "fast, threshold: times as fast as `unsharp`, worst clip", min(with_threshold) if with_threshold else None, 1.0
    )
    section.notes.append(
        "Filters run in this process through PyAV, on frames of yuv420p, with as many threads; ours sharpens luma and "
        "copies chroma. unsharp 5x5 amount 1 on luma; cas strength 0.5 on luma, and on all planes as it comes."
    )


# -- tiles that are passed ------------------------------------------------------------------------------------------


def threshold(setting: Setting, section: Section) -> None:
    """Compare the default threshold with none: speed on the clips at 1080p, loss on the x2 rung of the ladder."""
    for tier, at_least in _SPEEDUPS.items():
        speedups, losses = {}, {}
        if not setting.threshold_of(tier):
            section.missing[f"{tier}'s threshold"] = "its file names none; --threshold tries one"
        for name in TEST_CLIPS:
            session = open_session(setting, section, tier, TileOptions(threshold=setting.threshold_of(tier)))
            if session is None:
                continue
            clip, tiles = _clip(setting, name), _Shares(session)
            contenders = [
                Contender("off", _Over(clip, _whole(setting, tier)), _TURN),
                Contender("on", _Over(clip, tiles), _TURN),
            ]
            timed = setting.race(contenders, rounds=_rounds(clip))
            section.add_conditions(f"{tier}, {name}", timed)
            speedups[name] = timed.total_speedup("on", "off", period=len(clip.frames))
            loss = {f"{rung.kbps:g}": _loss(setting, tier, rung.truth, rung.shown) for rung in _rungs(setting, name)}
            losses[name] = max(loss.values())
            section.row(
                tier=tier,
                clip=name,
                threshold=setting.threshold_of(tier),
                speedup=speedups[name],
                loss_db_by_kbps=loss,
                off=timed.timing("off").to_dict(),
                on=timed.timing("on").to_dict(),
                **tiles.to_dict(),
            )
        worst = min(speedups.values(), default=None)
        section.target(f"{tier}, threshold: times as fast as every tile, worst clip", worst, at_least)
        if tier == "fast":
            section.target(
                f"fast, threshold: times as fast as every tile, {_STILL_CLIP}",
                speedups.get(_STILL_CLIP),
                _STILL_SPEEDUP,
            )
        else:
            fps = [1000 / r["on"]["mean_ms"] for r in section.rows if r["tier"] == tier]
            section.target(f"{tier}, threshold: frames a second, worst clip", min(fps, default=None), 60.0)
        section.target(
            f"{tier}, threshold: PSNR lost, worst clip and rate", max(losses.values(), default=None), _LOSSES[tier],
            unit="dB", at_least=False,
        )  # fmt: skip
    section.notes.append(
        "At 1080p there is no truth: the loss is PSNR without the threshold less PSNR with it, mean over frames, on "
        f"the call test's x2 rung (960x540 and 720x1280, H.264, low, middle and high rate, {_RUNG_FRAMES} frames)"
    )


def _rungs(setting: Setting, name: str) -> list[Rung]:
    path = clip_path(setting, name)
    return call_rung(path, rung_rates(path), min(_RUNG_FRAMES, setting.clip_frames))


def _loss(setting: Setting, tier: str, truth: list[Luma], shown: list[Luma]) -> float:
    """Return the loss that the threshold causes, in dB."""
    engine = setting.open(tier)
    with engine.session(TileOptions(threshold=setting.threshold_of(tier))) as session:
        pairs = [
            psnr(engine.process(plane), wanted) - psnr(session.process(plane), wanted)
            for plane, wanted in zip(shown, truth, strict=True)
        ]
    return float(np.mean(pairs))


def sweep(setting: Setting, section: Section) -> None:
    """Measure loss and computed share for many thresholds on validation clips. The default is chosen by it."""
    for name in VAL_CLIPS:
        for tier in _SPEEDUPS:
            engine = setting.open(tier)
            rung = call_rung(clip_path(setting, name), (_SWEEP_KBPS,), min(_RUNG_FRAMES, setting.clip_frames))[0]
            whole = [psnr(engine.process(p), wanted) for p, wanted in zip(rung.shown, rung.truth, strict=True)]
            for level in _SWEEP:
                session = open_session(setting, section, tier, TileOptions(threshold=level))
                if session is None:
                    return
                tiles, out = _Shares(session), np.empty_like(rung.shown[0])
                loss = []
                for plane, wanted, best in zip(rung.shown, rung.truth, whole, strict=True):
                    tiles(plane, out)
                    loss.append(best - psnr(out, wanted))
                section.row(
                    tier=tier,
                    clip=name,
                    kbps=rung.kbps,
                    threshold=level,
                    loss_db=float(np.mean(loss)),
                    **tiles.to_dict(),
                )


# -- tiles that are used again --------------------------------------------------------------------------------------


def reuse(setting: Setting, section: Section) -> None:
    """Compare exact reuse with none: speed, and that the output is equal. Every tile that is not reused is computed."""
    clips = [_clip(setting, name) for name in TEST_CLIPS]
    clips += [slide_show(setting.size), noise(setting.size, min(90, setting.clip_frames))]
    speedups: dict[str, float] = {}
    differing = 0
    for clip in clips:
        session = open_session(setting, section, "fast", TileOptions(reuse=True))
        if session is None:
            break
        tiles = _Shares(session)
        # As many outputs as a turn has frames, so that both turns' are there to compare when the round is over.
        plain, again = _Over(clip, _whole(setting, "fast"), outs=_TURN), _Over(clip, tiles, outs=_TURN)
        same: list[bool] = []

        def compare(_: int, plain: _Over = plain, again: _Over = again, same: list[bool] = same) -> None:
            same += [np.array_equal(a, b) for a, b in zip(plain.outs, again.outs, strict=True)]

        contenders = [Contender("none", plain, _TURN), Contender("reuse", again, _TURN)]
        timed = setting.race(contenders, rounds=_rounds(clip), after_round=compare)
        section.add_conditions(clip.name, timed)
        speedups[clip.name] = timed.total_speedup("reuse", "none", period=len(clip.frames))
        differing += same.count(False)
        section.row(
            clip=clip.name,
            speedup=speedups[clip.name],
            frames_compared=len(same),
            frames_that_differ=same.count(False),
            none=timed.timing("none").to_dict(),
            reuse=timed.timing("reuse").to_dict(),
            **tiles.to_dict(),
        )
    section.target(f"fast, reuse: times as fast as without, {_REUSE_CLIP}", speedups.get(_REUSE_CLIP), _REUSE_SPEEDUP)
    section.target("fast, reuse: times as fast as without, slide show", speedups.get("slides"), _SLIDES_SPEEDUP)
    worst = min(speedups.values(), default=None)
    section.target("fast, reuse: times as fast as without, worst (noise is among them)", worst, _REUSE_FLOOR)
    frames_off = float(differing) if speedups else None
    section.target("fast, reuse: frames that come out differently", frames_off, 0, unit="frames", at_least=False)
