"""Training that may be stopped anywhere: batches, resuming, early stopping, Ctrl-C."""

import dataclasses
import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from acutance.errors import ConfigError, ModelError  # noqa: E402
from acutance.training.data.pairs import Pair, PairSet  # noqa: E402
from acutance.training.distill import loop  # noqa: E402
from acutance.training.distill.batches import batch_feed  # noqa: E402
from acutance.training.distill.checkpoint import load_checkpoint  # noqa: E402
from acutance.training.distill.log import RunLog, read_log  # noqa: E402
from acutance.training.distill.loop import train  # noqa: E402
from acutance.training.distill.options import load_config  # noqa: E402
from acutance.training.distill.run import build_student  # noqa: E402
from acutance.training.distill.task import DistillationTask  # noqa: E402
from acutance.training.models.teachers import Teacher  # noqa: E402
from miniature import CONFIG  # noqa: E402


@pytest.fixture(autouse=True)
def _reproducible(monkeypatch):
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "torch")
    monkeypatch.setattr(loop, "LOG_EVERY", 3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _pairs(count, *, seed=0, teacher=True, factor=2):
    """Pairs of smooth noise: what is learned does not matter here."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        height, width = 60 + 12 * (number % 3), 72
        sharp = rng.integers(16 * 256, 235 * 256, (1, height, width)).astype(np.uint16)
        degraded = np.roll(sharp, 1, axis=2) // 2 + sharp // 2
        low = rng.integers(0, 256, (3, height // factor, width // factor)).astype(np.uint16) * np.uint16(256)
        target = rng.normal(0, 3, sharp.shape).astype(np.float16) if teacher else None
        pairs.append(Pair(low, degraded, sharp, target, {"factor": float(factor), "picture": str(number)}))
    return PairSet(pairs)


@pytest.fixture
def options():
    return load_config(
        CONFIG, ["epochs=3", "steps_per_epoch=5", "warmup_steps=3", "crop=24", "batch=2", "clip_norm=0.5"]
    )


def _train(options, out, *, stop_after=None, pairs=None, **more):
    out.mkdir(exist_ok=True)
    task = DistillationTask(build_student(options), options.losses)
    return train(task, pairs or _pairs(4), _pairs(2, seed=9), options, out=out, stop_after=stop_after, **more)


def _state(out, options):
    """Everything a run leaves that must not depend on how often it was stopped."""
    last = load_checkpoint(out / "last.pt", options)
    best = load_checkpoint(out / "best.pt", options)
    log = [{k: v for k, v in event.items() if k != "seconds"} for event in read_log(out / "log.jsonl")]
    return last, best, log


def _assert_equal(a, b):
    for mine, theirs in zip(a[:2], b[:2], strict=True):
        for name in ("student", "average"):
            ours, others = getattr(mine, name), getattr(theirs, name)
            assert ours.keys() == others.keys()
            assert all(torch.equal(ours[key], others[key]) for key in ours)
        moments = zip(mine.optimizer["state"].values(), theirs.optimizer["state"].values(), strict=True)
        assert all(torch.equal(m["exp_avg_sq"], t["exp_avg_sq"]) for m, t in moments)
        for name in ("step", "best_psnr", "best_epoch", "stale", "finished"):
            assert getattr(mine, name) == getattr(theirs, name)
    assert a[2] == b[2]


@pytest.fixture
def uninterrupted(options, tmp_path):
    _train(options, tmp_path / "whole")
    return _state(tmp_path / "whole", options)


@pytest.mark.parametrize("kill_at", range(1, 16))
def test_a_run_killed_at_any_step_and_resumed_ends_bit_equal(kill_at, options, tmp_path, uninterrupted):
    _train(options, tmp_path / "cut", stop_after=kill_at)
    _train(options, tmp_path / "cut")
    _assert_equal(_state(tmp_path / "cut", options), uninterrupted)


def test_a_run_killed_again_and_again_ends_bit_equal(options, tmp_path, uninterrupted):
    for stop_after in (2, 7, 8, 13):
        _train(options, tmp_path / "cut", stop_after=stop_after)
    _train(options, tmp_path / "cut")
    _assert_equal(_state(tmp_path / "cut", options), uninterrupted)


def test_a_finished_run_started_again_changes_nothing(options, tmp_path, uninterrupted):
    first = _train(options, tmp_path / "whole")
    _assert_equal(_state(tmp_path / "whole", options), uninterrupted)
    assert first.steps == 15


def test_the_native_kernel_resumes_bit_equal_too(options, tmp_path, monkeypatch):
    from acutance.training.models.conv_prelu import native_available

    if not native_available():
        pytest.skip("no compiler for the native kernel")
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "native")
    _train(options, tmp_path / "whole")
    _train(options, tmp_path / "cut", stop_after=8)
    _train(options, tmp_path / "cut")
    _assert_equal(_state(tmp_path / "cut", options), _state(tmp_path / "whole", options))


def test_a_run_does_not_go_on_with_other_pictures(options, tmp_path):
    _train(options, tmp_path / "run", stop_after=7)
    with pytest.raises(ConfigError, match="other pictures"):
        _train(options, tmp_path / "run", pairs=_pairs(5))


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(options, tmp_path, monkeypatch, uninterrupted):
    _train(options, tmp_path / "cut", stop_after=6)
    save = torch.save

    def dies(content, path, *args, **kwargs):
        save(content, path, *args, **kwargs)
        path.write_bytes(path.read_bytes()[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        _train(options, tmp_path / "cut")
    monkeypatch.undo()
    monkeypatch.setenv("ACUTANCE_TRAIN_KERNEL", "torch")
    monkeypatch.setattr(loop, "LOG_EVERY", 3)
    _train(options, tmp_path / "cut")
    _assert_equal(_state(tmp_path / "cut", options), uninterrupted)


def test_ctrl_c_leaves_a_good_checkpoint_and_no_thread(options, tmp_path, uninterrupted):
    def stop(done, _total, _what):
        if done >= 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _train(options, tmp_path / "cut", progress=stop)
    assert load_checkpoint(tmp_path / "cut" / "last.pt", options).step == 5
    _train(options, tmp_path / "cut")
    _assert_equal(_state(tmp_path / "cut", options), uninterrupted)


def test_a_checkpoint_of_other_options_is_refused_by_what_differs(options, tmp_path):
    _train(options, tmp_path / "run", stop_after=6)
    other = load_config(CONFIG, ["epochs=3", "steps_per_epoch=5", "warmup_steps=3", "crop=24", "batch=2", "lr=0.5"])
    with pytest.raises(ConfigError, match=r"optimizer\.clip_norm: 0\.5 -> 1\.0, optimizer\.lr: 0\.005 -> 0\.5"):
        _train(other, tmp_path / "run")


def test_a_checkpoint_that_is_none_is_refused_in_one_line(options, tmp_path):
    (tmp_path / "last.pt").write_text("not a checkpoint")
    with pytest.raises(ModelError) as caught:
        load_checkpoint(tmp_path / "last.pt", options)
    assert "\n" not in str(caught.value)


def test_early_stopping_waits_as_long_as_patience_says(options, tmp_path, monkeypatch):
    figures = iter([30.0, 31.0, 30.5, 30.9, 30.9, 33.0])
    monkeypatch.setattr(loop, "validate", lambda *_: {"psnr_y": next(figures), "ssim_y": 0.9, "psnr_y_input": 29.0})
    patient = dataclasses.replace(
        options,
        schedule=dataclasses.replace(options.schedule, epochs=10),
        train=dataclasses.replace(options.train, patience=3),
    )
    result = _train(patient, tmp_path / "run")
    assert result.stopped_early
    assert (result.best_epoch, result.best_psnr, result.steps) == (1, 31.0, 20)
    best = load_checkpoint(tmp_path / "run" / "best.pt", patient)
    assert all(torch.equal(best.average[k], v) for k, v in result.best.state_dict().items())
    again = _train(patient, tmp_path / "run")
    assert (again.steps, again.stopped_early) == (20, True)


def test_best_and_last_are_kept_apart(options, tmp_path, monkeypatch):
    figures = iter([20.0, 31.0, 30.0, 29.0])
    monkeypatch.setattr(loop, "validate", lambda *_: {"psnr_y": next(figures), "ssim_y": 0.9, "psnr_y_input": 29.0})
    result = _train(options, tmp_path / "run")
    last, best, log = _state(tmp_path / "run", options)
    assert (best.step, last.step, result.best_epoch) == (5, 15, 1)
    assert [event["psnr_y"] for event in log if event["event"] == "validate"] == [20.0, 31.0, 30.0, 29.0]


def test_a_loss_that_is_no_longer_finite_stops_the_run(options, tmp_path):
    pairs = _pairs(1)
    pairs.pairs[0].teacher[:] = np.nan
    with pytest.raises(ConfigError, match="no longer finite at step 1"):
        _train(options, tmp_path / "run", pairs=pairs)


def test_the_log_has_every_term_and_the_rate(options, tmp_path):
    _train(options, tmp_path / "run")
    steps = [event for event in read_log(tmp_path / "run" / "log.jsonl") if event["event"] == "train"]
    assert [event["step"] for event in steps] == [3, 5, 6, 9, 10, 12, 15]
    for event in steps:
        assert event["loss"] == pytest.approx(event["l1"] + 0.5 * event["teacher_l1"], rel=1e-5)
        assert event["lr"] > 0


def test_a_line_of_the_log_that_a_kill_cut_off_is_forgotten(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"event": "train", "step": 3}\n{"event": "train", "step": 6}\n{"event": "tr')
    log = RunLog(path, at_step=3)
    log.write("train", step=4)
    log.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [3, 4]


def test_batches_are_a_function_of_seed_and_step_alone():
    pairs = _pairs(5)

    def batch(step, seed=1, source=pairs):
        return source.batch(step, seed=seed, size=3, crop=24)

    first, again = batch(7), batch(7, source=_pairs(5))
    for name in ("low", "degraded", "sharp", "teacher"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(batch(8).sharp, first.sharp)
    assert not np.array_equal(batch(7, seed=2).sharp, first.sharp)
    with batch_feed(pairs, start=5, stop=9, seed=1, size=3, crop=24) as feed:
        fed = list(feed)
    assert len(fed) == 4
    assert np.array_equal(fed[2].degraded, first.degraded)


def test_batches_with_and_without_a_teacher_show_the_same_pictures():
    taught, alone = (_pairs(5, teacher=False) for _ in range(2))
    for pair in taught.pairs:
        object.__setattr__(pair, "teacher", np.ones(pair.sharp.shape, np.float16))
    a, b = (pairs.batch(3, seed=1, size=4, crop=24) for pairs in (taught, alone))
    assert np.array_equal(a.degraded, b.degraded)
    assert np.array_equal(a.sharp, b.sharp)
    assert b.teacher is None
    assert a.teacher == pytest.approx(a.degraded + 1 / 255, abs=1e-6)


@pytest.mark.parametrize(("factor", "crop"), [(2, 50), (4, 32), (1.5, 48), (3, 39)])
def test_crops_of_all_three_pictures_show_the_same_place(factor, crop):
    """Also where a crop is no multiple of 12: it starts at one, and that is enough."""
    height, width = 96, 132
    y, x = np.mgrid[0:height, 0:width].astype(np.uint16)
    place = (y * 256 + x)[None]
    low_y, low_x = np.mgrid[0 : round(height / factor), 0 : round(width / factor)].astype(np.uint16)
    low = np.repeat((low_y * 256 + low_x)[None], 3, axis=0)
    batch = PairSet([Pair(low, place, place, None, {"factor": factor})]).batch(0, seed=0, size=16, crop=crop)
    for lows, degraded in zip(batch.low, batch.degraded, strict=True):
        assert lows.shape[1:] == (crop / factor, crop / factor)
        corner = np.rint(np.array([degraded[0].min(), lows[0].min()]) * 255 * 256).astype(int)
        (y, x), (ly, lx) = divmod(corner[0], 256), divmod(corner[1], 256)
        assert (y % 12, x % 12) == (0, 0)
        assert (ly * factor, lx * factor) == (y, x)


def test_affinity_needs_a_teacher_that_gives_features(options):
    student = build_student(options)
    losses = dataclasses.replace(options.losses, affinity=1.0)
    with pytest.raises(ConfigError, match="needs a teacher"):
        DistillationTask(student, losses)
    foreign = Teacher("t", torch.nn.Conv2d(3, 12, 3), 2, "0", "Foreign")
    with pytest.raises(ConfigError, match="Foreign does not give"):
        DistillationTask(student, losses, teacher=foreign)


def test_affinity_trains_with_the_features_of_a_teacher(options):
    from acutance.training.models.teachers import UpConv7

    losses = dataclasses.replace(options.losses, affinity=1.0)
    teacher = Teacher("t", UpConv7().eval().requires_grad_(False), 2, "0", "upconv_7")
    task = DistillationTask(build_student(options), losses, teacher=teacher)
    terms = task(_pairs(2).batch(0, seed=1, size=2, crop=24))
    assert set(terms) == {"loss", "l1", "teacher_l1", "affinity"}
    terms["loss"].backward()
    assert math.isfinite(terms["affinity"].item())
    assert all("_teacher" not in name for name in task.state_dict())
