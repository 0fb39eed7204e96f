"""The native engine: the same bits as its plain twin, whatever the instruction set, threads, strides and sizes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acutance import __version__
from acutance.engine import open_engine
from acutance.engine.base import TileOptions
from acutance.engine.enlargement import enlarge
from acutance.engine.integer import IntegerLayer, IntegerNetwork
from acutance.engine.numpy_engine import NumpyEngine
from acutance.errors import EngineError, MissingExtraError, UsageError
from acutance.students.bundled import find_student
from acutance.students.spec import StudentShape

pytest.importorskip("acutance._native", reason="this installation has no native engine")

from acutance import _native
from acutance.engine.native_engine import NativeEngine, instruction_sets


def random_network(shape: StudentShape, seed: int) -> IntegerNetwork:
    """Weights as large as the proofs allow, so that sums, shifts and saturation are all at work."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(shape.layer_channels):
        weight = rng.normal(size=(outputs, inputs, 3, 3))
        weight *= 60000 / np.abs(weight).sum(axis=(1, 2, 3), keepdims=True)
        weight *= np.minimum(1, 32700 / np.abs(weight).sum(axis=2, keepdims=True))
        last = number + 1 == len(shape.layer_channels)
        layers.append(
            IntegerLayer(
                np.rint(weight).clip(-16383, 16383).astype(np.int16),
                rng.integers(-(1 << 24), 1 << 24, outputs, dtype=np.int32),
                None if last else rng.integers(-32766, 32768, outputs, dtype=np.int16),
                int(rng.integers(9, 17)),
            )
        )
    return IntegerNetwork(shape, tuple(layers))


factors = st.sampled_from(
    [(1, 0), (2, 0), (2, 0), (3, 0), (4, 0), (1, 2), (1, 3), (1, 4), (2, 3), (2, 5), (3, 4), (4, 7), (8, 8), (5, 6)]
)
shapes = st.builds(
    lambda factors, channels, depth: StudentShape(factors[0], channels, depth, factors[1]),
    factors,
    st.integers(1, 18),
    st.integers(0, 4),
)
sizes = st.tuples(st.integers(1, 70), st.integers(1, 110))


def random_plane(size: tuple[int, int], bit_depth: int, seed: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Half of it calm, so that tiles can pass; 10 bits and the like with codes that are too large among them."""
    rng = np.random.default_rng(seed)
    kind = np.uint8 if bit_depth == 8 else np.uint16
    plane = rng.integers(0, np.iinfo(kind).max, size, dtype=kind, endpoint=True)
    plane[:, : size[1] // 2] = plane[:1, :1] >> 1
    return plane


@settings(max_examples=1000, deadline=None)
@given(
    shape=shapes,
    size=sizes,
    bit_depth=st.sampled_from([8, 8, 9, 10, 12, 13, 14, 16]),
    full_range=st.booleans(),
    strength=st.floats(0, 2),
    threads=st.integers(1, 4),
    instruction_set=st.sampled_from(instruction_sets()),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_instruction_set_and_thread_count_gives_the_twins_bits(
    shape: StudentShape,
    size: tuple[int, int],
    bit_depth: int,
    full_range: bool,
    strength: float,
    threads: int,
    instruction_set: str,
    seed: int,
) -> None:
    network = random_network(shape, seed)
    plane = random_plane(size, bit_depth, seed)
    native = NativeEngine(network, threads=threads, instruction_set=instruction_set)
    how = {"strength": strength, "bit_depth": bit_depth, "full_range": full_range}
    np.testing.assert_array_equal(native.process(plane, **how), NumpyEngine(network).process(plane, **how))


@settings(max_examples=200, deadline=None)
@given(
    shape=shapes,
    size=sizes,
    bit_depth=st.sampled_from([8, 8, 10, 16]),
    threshold=st.sampled_from([0, 1, 40, 300, 1100, 1279, 1280, 5000]),
    tile_budget=st.sampled_from([None, 0.0, 0.2, 0.7, 1.0]),
    reuse=st.booleans(),
    threads=st.integers(1, 3),
    frames=st.sampled_from([4, 4, 20]),
    calm=st.sampled_from([0.0, 0.7, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sessions_choose_and_compute_what_the_twins_do(
    shape: StudentShape,
    size: tuple[int, int],
    bit_depth: int,
    threshold: int,
    tile_budget: float | None,
    reuse: bool,
    threads: int,
    frames: int,
    calm: float,
    seed: int,
) -> None:
    network = random_network(shape, seed)
    options = TileOptions(threshold=threshold, tile_budget=tile_budget, reuse=reuse)
    rng = np.random.default_rng(seed)
    plane = random_plane(size, bit_depth, seed)
    with (
        NativeEngine(network, threads=threads).session(options) as native,
        NumpyEngine(network).session(options) as twin,
    ):
        for _ in range(frames):
            np.testing.assert_array_equal(
                native.process(plane, bit_depth=bit_depth), twin.process(plane, bit_depth=bit_depth)
            )
            assert native.counts == twin.counts
            plane = plane.copy() if rng.random() < calm else random_plane(size, bit_depth, int(rng.integers(1 << 32)))
            y, x = rng.integers(size[0]), rng.integers(size[1])
            plane[y : y + 5, x : x + 5] = rng.integers(0, 256)


@settings(max_examples=100, deadline=None)
@given(size=sizes, bit_depth=st.sampled_from([8, 10]), seed=st.integers(0, 2**32 - 1), data=st.data())
def test_planes_of_any_stride_are_read_and_written_in_place(
    size: tuple[int, int], bit_depth: int, seed: int, data: st.DataObject
) -> None:
    network = random_network(StudentShape(2, 4, 1), 0)
    engine = NativeEngine(network, threads=2)
    plane = random_plane(size, bit_depth, seed)

    def view(label: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """A view with room around it, rows or columns in either order or apart."""
        rows, columns = (data.draw(st.sampled_from([-2, -1, 1, 2]), label=label) for _ in range(2))
        height, width = size[0] * abs(rows), size[1] * abs(columns)
        space = np.full((height + 2, width + 3), 77, plane.dtype)
        spaces.append(space)
        return space[1 : height + 1, 2 : width + 2][::rows, ::columns]

    spaces: list[NDArray[np.generic]] = []
    source, out = view("in"), view("out")
    source[...] = plane
    before = spaces[1].copy()
    assert engine.process(source, bit_depth=bit_depth, out=out) is out
    expected = engine.process(plane, bit_depth=bit_depth)
    np.testing.assert_array_equal(out, expected)
    out[...] = 77  # what lies between the rows and columns is as it was
    np.testing.assert_array_equal(spaces[1], before)


def test_the_residual_of_a_float_picture_is_the_twins() -> None:
    student = find_student("fast")
    luma = np.random.default_rng(0).uniform(16, 235, (37, 51)).astype(np.float32)
    np.testing.assert_array_equal(NativeEngine(student).residual(luma), NumpyEngine(student).residual(luma))


def test_samples_beyond_the_range_of_activations_are_clipped() -> None:
    """Two of them are added before they are multiplied, and must fit in 16 bits."""
    network = random_network(StudentShape(2, 6, 2), 3)
    wild = np.random.default_rng(0).integers(-(2**15), 2**15, (20, 31)).astype(np.int16)
    outs = []
    for samples in (wild, wild.clip(-16383, 16383)):
        out = np.empty_like(samples)
        _native.Engine(network.to_bytes(), 2).residual(samples, out)
        outs.append(out)
    np.testing.assert_array_equal(*outs)
    expected = NumpyEngine(network).residual(wild.clip(-16383, 16383).astype(np.float32) / np.float32(64))
    np.testing.assert_array_equal(outs[0], expected * 64)


def test_a_whole_hd_frame_of_each_bundled_student_is_the_twins() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (270, 1920), dtype=np.uint8)
    for tier in ("fast", "balanced"):
        student = find_student(tier)
        np.testing.assert_array_equal(NativeEngine(student).process(plane), NumpyEngine(student).process(plane))


def test_a_time_budget_limits_the_tiles() -> None:
    plane = np.random.default_rng(0).integers(0, 256, (720, 1280), dtype=np.uint8)
    engine = NativeEngine(find_student("quality"), threads=1)
    with engine.session(TileOptions(time_budget=1e-3)) as session:
        for _ in range(5):
            session.process(plane)
        assert session.counts.computed < session.counts.tiles / 4
        assert session.counts.computed + session.counts.passed == session.counts.tiles


def test_several_threads_share_one_engine() -> None:
    engine = NativeEngine(find_student("fast"), threads=2)
    planes = [np.random.default_rng(i).integers(0, 256, (90, 160), dtype=np.uint8) for i in range(4)]
    expected = [engine.process(plane) for plane in planes]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(20):
            if not np.array_equal(engine.process(planes[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,), name=f"caller-{i}") for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_python_threads_run_while_it_works() -> None:
    engine = NativeEngine(find_student("quality"), threads=1)
    plane = np.zeros((1080, 1920), np.uint8)
    frames, ticks = 0, 0
    enough = threading.Event()

    def work() -> None:
        nonlocal frames
        while not enough.is_set():
            engine.process(plane)
            frames += 1

    worker = threading.Thread(target=work, name="sharpening")
    worker.start()
    deadline = time.monotonic() + 20
    while ticks < 10 * (frames + 1) and time.monotonic() < deadline:  # with the GIL held there is one tick a frame
        time.sleep(0.001)
        ticks += 1
    enough.set()
    worker.join()
    assert ticks >= 10 * frames


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_and_the_end_of_the_interpreter_are_survived() -> None:
    code = """
import os, sys, numpy as np
from acutance import __version__
from acutance.engine import open_engine
from acutance.students.bundled import find_student
engine = open_engine(find_student("fast"), "native", threads=3)
plane = np.random.default_rng(0).integers(0, 256, (90, 160), dtype=np.uint8)
before = engine.process(plane)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(engine.process(plane), before) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(engine.process(plane), before)
print("done")  # and the interpreter ends with the engine alive
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "done", "")


def test_the_instruction_set_can_be_forced_by_name_and_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    student = find_student("fast")
    forced = open_engine(student, "native:portable")
    assert isinstance(forced, NativeEngine)
    assert forced.instruction_set == "portable"
    monkeypatch.setenv("ACUTANCE_INSTRUCTION_SET", "portable")
    assert NativeEngine(student).instruction_set == "portable"
    monkeypatch.setenv("ACUTANCE_INSTRUCTION_SET", "altivec")
    with pytest.raises(EngineError, match=r"'altivec' cannot run here; this machine runs: .*portable"):
        NativeEngine(student)


def test_wrong_calls_are_errors_and_not_crashes() -> None:
    engine = _native.Engine(random_network(StudentShape(2, 4, 1), 0).to_bytes(), 1)
    plane, out = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)
    for wrong in (np.zeros((8, 9), np.uint8), np.zeros((8, 16), np.uint8)[:, ::2]):
        with pytest.raises(ValueError, match=r"another size than the output|beside each other"):
            engine.process(plane, wrong, 1.0, 8, False)
    with pytest.raises(TypeError):
        engine.process(plane, np.zeros((8, 8), np.uint16), 1.0, 8, False)
    with pytest.raises(TypeError):
        engine.process(plane, np.zeros(64, np.uint8), 1.0, 8, False)
    overlapping = np.lib.stride_tricks.as_strided(np.zeros(64, np.uint8), (8, 8), (4, 1))
    with pytest.raises(ValueError, match="stride of 4 bytes"):
        engine.process(overlapping, out, 1.0, 8, False)
    for strength in (-1.0, 2.1, float("nan")):
        with pytest.raises(ValueError, match="strength"):
            engine.process(plane, out, strength, 8, False)


def test_damaged_models_are_refused() -> None:
    good = random_network(StudentShape(2, 4, 1), 0).to_bytes()
    for damaged in (b"", good[:7], good[:-1], good + b"\0", b"X" + good[1:], good[:8] + b"\1" + good[9:]):
        with pytest.raises(ValueError, match="not a usable model"):
            _native.Engine(damaged, 1)


def test_weights_that_could_overflow_are_refused() -> None:
    network = random_network(StudentShape(2, 4, 0), 0)
    data = bytearray(network.to_bytes())
    data[32 : 32 + 4 * 9 * 2] = np.full(36, 10922, "<i2").tobytes()  # of the first output
    with pytest.raises(ValueError, match="layer 0, output 0: its sum could reach"):
        _native.Engine(bytes(data), 1)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ((16384, 0, 0), "weights of 16384, 0, 0 are too large"),
        ((0, 0, -16384), "weights of 0, 0, -16384 are too large"),
        ((10923, -10923, 10923), "weights of 10923, -10923, 10923 are too large"),
    ],
)
def test_weights_whose_combinations_do_not_fit_are_refused(column: tuple[int, int, int], reason: str) -> None:
    data = bytearray(random_network(StudentShape(2, 4, 0), 0).to_bytes())
    for row, weight in enumerate(column):
        data[32 + 6 * row : 34 + 6 * row] = np.array(weight, "<i2").tobytes()
    with pytest.raises(ValueError, match=f"layer 0, output 0: {reason}"):
        _native.Engine(bytes(data), 1)


def test_slopes_that_reach_beyond_the_range_are_refused() -> None:
    data = bytearray(random_network(StudentShape(1, 1, 0), 0).to_bytes())
    first_slope = 32 + 9 * 2 + 4
    data[first_slope : first_slope + 2] = np.array(-32767, "<i2").tobytes()
    with pytest.raises(ValueError, match="layer 0, output 0: a slope of -32767"):
        _native.Engine(bytes(data), 1)


@pytest.mark.parametrize("instruction_set", instruction_sets())
@pytest.mark.parametrize("shift", [0, 7, 30])
def test_the_largest_values_there_are_give_the_twins_bits(instruction_set: str, shift: int) -> None:
    """Columns and slopes at their bounds, sums that fill the proof, samples that make every combination large."""
    shape = StudentShape(1, 4, 2)
    columns = [(0, 32767, 0), (0, -32767, 0), (16383, 1, 16383), (-16383, 1, -16383), (16383, -1, 16383)]
    layers = []
    for number, (inputs, outputs) in enumerate(shape.layer_channels):
        weight = np.zeros((outputs, inputs, 3, 3), np.int16)
        for o in range(outputs):
            for place in range(2):  # two columns of that size are what the proof allows
                weight[o, (o + place) % inputs, :, (number + o + place) % 3] = columns[(o + number + place) % 5]
        room = 2**30 - 1 - 2**14 * np.abs(weight.astype(np.int64)).sum(axis=(1, 2, 3))
        bias = (np.where(np.arange(outputs) % 2, 1, -1) * room).astype(np.int32)
        slope = np.where(np.arange(outputs) % 2, 32767, -32766).astype(np.int16)
        layers.append(IntegerLayer(weight, bias, slope if number + 1 < len(shape.layer_channels) else None, shift))
    network = IntegerNetwork(shape, tuple(layers))
    rows = np.arange(23)[:, None] + np.arange(37)[None]
    for pattern in (rows // 37 * 0 + np.arange(23)[:, None], rows, rows // 2):
        samples = np.where(pattern % 2, 16383, -16383).astype(np.int16)
        out = np.empty_like(samples)
        _native.Engine(network.to_bytes(), 1, instruction_set).residual(samples, out)
        expected = NumpyEngine(network).residual(samples.astype(np.float32) / np.float32(64)) * 64
        np.testing.assert_array_equal(out, expected)


def test_a_frame_of_which_threads_take_rows_from_each_other_is_the_twins() -> None:
    """Larger than a thread finishes before the others wake, with more threads than cores, whole and in tiles."""
    network = random_network(StudentShape(2, 3, 1), 5)
    rng = np.random.default_rng(0)
    plane = random_plane((540, 960), 8, 7)
    native, twin = NativeEngine(network, threads=5), NumpyEngine(network)
    np.testing.assert_array_equal(native.process(plane), twin.process(plane))
    options = TileOptions(threshold=60, reuse=True)
    with native.session(options) as fast, twin.session(options) as plain:
        for _ in range(4):
            np.testing.assert_array_equal(fast.process(plane), plain.process(plane))
            assert fast.counts == plain.counts
            plane = plane.copy()
            y, x = rng.integers(500), rng.integers(900)
            plane[y : y + 30, x : x + 50] = rng.integers(0, 256, (30, 50))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no thread affinity on this platform")
@pytest.mark.parametrize("pin_threads", [False, True])
def test_no_thread_keeps_another_affinity_than_the_caller_gave_it(pin_threads: bool) -> None:
    """Pinning moves a thread within what it may use, and gives it back all of that."""
    allowed = os.sched_getaffinity(0)
    others = {task.name for task in Path("/proc/self/task").iterdir()} - {str(threading.get_native_id())}
    engine = NativeEngine(find_student("fast"), threads=4, pin_threads=pin_threads)
    plane = np.random.default_rng(0).integers(0, 256, (360, 640), dtype=np.uint8)
    for _ in range(5):
        engine.process(plane)
    tasks = {task.name for task in Path("/proc/self/task").iterdir()} - others  # other libraries pin their own
    masks = {frozenset(os.sched_getaffinity(int(task))) for task in tasks}
    assert masks == {frozenset(allowed)}


def test_the_engine_and_the_package_have_the_same_version() -> None:
    assert _native.version() == __version__


def test_an_installation_without_the_engine_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import acutance.engine as engines

    monkeypatch.setitem(engines._NEEDS, "native", ("acutance._absent",))
    engines._warn_of_slowness.cache_clear()
    with pytest.raises(MissingExtraError, match="no C\\+\\+17 compiler could build it"):
        open_engine(find_student("fast"), "native")
    with pytest.warns(RuntimeWarning, match="installed without its native engine; .* runs the models"):
        assert open_engine(find_student("fast")).name != "native"
    engines._warn_of_slowness.cache_clear()


def test_a_threshold_beyond_every_activity_computes_nothing() -> None:
    plane = random_plane((40, 40), 8, 0)
    with NativeEngine(find_student("fast")).session(TileOptions(threshold=10**15)) as session:
        np.testing.assert_array_equal(session.process(plane), plane)
        assert session.counts.passed == session.counts.tiles


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize(("unshuffle", "shuffle"), [(1, 2), (1, 3), (1, 4), (2, 3)])
def test_an_upscaled_frame_in_tiles_and_by_several_threads_is_the_twins(
    unshuffle: int, shuffle: int, bit_depth: int
) -> None:
    network = random_network(StudentShape(unshuffle, 6, 2, shuffle), 5)
    plane = random_plane((271, 481), bit_depth, 3)
    native, twin = NativeEngine(network, threads=3), NumpyEngine(network)
    expected = twin.process(plane, bit_depth=bit_depth)
    assert expected.shape == (-(-271 * shuffle // unshuffle), -(-481 * shuffle // unshuffle))
    np.testing.assert_array_equal(native.process(plane, bit_depth=bit_depth), expected)
    enlarged = enlarge(plane, unshuffle, shuffle, bit_depth)
    np.testing.assert_array_equal(native.process(plane, bit_depth=bit_depth, strength=0), enlarged)
    options = TileOptions(threshold=60, reuse=True)
    with native.session(options) as fast, twin.session(options) as plain:
        for y in (0, 100, 100, 200):
            plane = plane.copy()
            plane[y : y + 30, 50:150] += 1
            np.testing.assert_array_equal(
                fast.process(plane, bit_depth=bit_depth), plain.process(plane, bit_depth=bit_depth)
            )
            assert fast.counts == plain.counts
        assert fast.counts.passed
        assert fast.counts.reused


def test_an_output_of_more_than_65535_samples_a_side_is_refused_before_it_is_made() -> None:
    engine = NativeEngine(random_network(StudentShape(1, 1, 0, 4), 0))
    with pytest.raises(UsageError, match="131072 x 4 samples is too large"):
        engine.process(np.zeros((1, 32768), np.uint8))


def test_an_upscaler_writes_into_planes_of_the_output_s_size_alone() -> None:
    engine = NativeEngine(random_network(StudentShape(2, 3, 0, 3), 0))
    plane = random_plane((20, 30), 8, 0)
    out = np.full((30, 100), 7, np.uint8)
    assert np.shares_memory(engine.process(plane, out=out[:, 10:55]), out)
    np.testing.assert_array_equal(out[:, 10:55], engine.process(plane))
    assert (out[:, :10] == 7).all()
    assert (out[:, 55:] == 7).all()
    with pytest.raises(UsageError, match=r"out must be an array of shape \(30, 45\)"):
        engine.process(plane, out=np.empty((20, 30), np.uint8))


def test_strengths_out_of_range_are_usage_errors() -> None:
    engine = NativeEngine(find_student("fast"))
    with pytest.raises(UsageError, match="strength"):
        engine.process(np.zeros((4, 4), np.uint8), strength=3)


def test_planes_of_other_libraries_are_read_and_written_where_they_lie() -> None:
    engine = NativeEngine(find_student("fast"))
    plane = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)
    expected = engine.process(plane)
    buffer = bytearray(30 * 40)
    engine.process(memoryview(plane), out=memoryview(buffer).cast("B", (30, 40)))
    np.testing.assert_array_equal(np.frombuffer(buffer, np.uint8).reshape(30, 40), expected)

    class Capsule:
        """Nothing but DLPack."""

        def __dlpack__(self, **options: object) -> object:
            return plane.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return plane.__dlpack_device__()

    np.testing.assert_array_equal(engine.process(Capsule()), expected)
    both = np.zeros((30, 80), np.uint8)
    both[:, :40] = plane  # the halves of one buffer do not overlap, though their rows take turns
    np.testing.assert_array_equal(engine.process(both[:, :40], out=both[:, 40:]), expected)
    with pytest.raises(UsageError, match="overlaps"):
        engine.process(both[:, :40], out=both[:, 39:79])
    with pytest.raises(UsageError, match="two-dimensional array"):
        engine.process([[1, 2], [3, 4]])


def test_options_can_change_within_a_session() -> None:
    network = random_network(StudentShape(2, 8, 1), 0)
    plane = random_plane((80, 120), 8, 0)
    with NativeEngine(network).session() as native, NumpyEngine(network).session() as twin:
        for options in (
            TileOptions(),
            TileOptions(threshold=50),
            TileOptions(tile_budget=0.1),
            TileOptions(reuse=True),
        ):
            for session in (native, twin):
                session.set_options(options)
            np.testing.assert_array_equal(native.process(plane), twin.process(plane))
    with pytest.raises(EngineError, match="closed"):
        native.set_options(TileOptions())
