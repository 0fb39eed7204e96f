"""The integer network: what it computes is docs/engine.md to the bit, and near what the float student computes."""

import contextlib
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from acutance.engine import float_network
from acutance.engine.integer import IntegerLayer, IntegerNetwork, calibration_picture, convert
from acutance.engine.numpy_engine import NumpyEngine, activate, input_from_luma, shifted_sums
from acutance.errors import ModelError
from acutance.students.bundled import find_student
from acutance.students.spec import ConvLayer, Student, StudentShape, StudentSpec

Rows = list[list[int]]
shapes = st.builds(
    lambda factors, channels, depth: StudentShape(factors[0], channels, depth, factors[1]),
    st.sampled_from([(1, 1), (2, 2), (3, 3), (4, 4), (1, 2), (1, 3), (1, 4), (2, 3), (3, 5)]),
    st.integers(1, 5),
    st.integers(0, 2),
)


def student_of(shape: StudentShape, layers: list[ConvLayer]) -> Student:
    return Student(StudentSpec("test-clean-x2", "fast", "clean", (2.0,), shape), tuple(layers))


def random_student(seed: int, shape: StudentShape, *, slopes: tuple[float, float] = (-1.0, 1.0)) -> Student:
    """Layers that neither grow nor shrink what goes through them much; a residual of a few code values."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (i, o) in enumerate(shape.layer_channels):
        last = number + 1 == len(shape.layer_channels)
        weight = rng.normal(0, (9 * i) ** -0.5, (o, i, 3, 3)) * (0.05 if last else 1.0)
        bias = rng.normal(0, 0.001 if last else 0.05, o)
        slope = None if last else rng.uniform(*slopes, o).astype(np.float32)
        layers.append(ConvLayer(weight.astype(np.float32), bias.astype(np.float32), slope))
    return student_of(shape, layers)


def random_network(seed: int, shape: StudentShape) -> IntegerNetwork:
    """Integers that need not mean anything: activations of any size, some of which saturate."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (i, o) in enumerate(shape.layer_channels):
        largest = min(32767 // 3, 65535 // (9 * i) - 1)
        weight = rng.integers(-largest, largest, (o, i, 3, 3), endpoint=True).astype(np.int16)
        slope = rng.integers(-32766, 32767, o, endpoint=True).astype(np.int16)
        last = number + 1 == len(shape.layer_channels)
        bias = rng.integers(-(2**15), 2**15, o).astype(np.int32)
        layers.append(IntegerLayer(weight, bias, None if last else slope, int(rng.integers(8, 17))))
    return IntegerNetwork(shape, tuple(layers))


# -- what it computes -----------------------------------------------------------------------------------------------


def sat15(a: int) -> int:
    return max(-(2**14), min(2**14 - 1, a))


def mulr(a: int, b: int) -> int:
    return (a * b + 2**14) >> 15


def oracle_residual(network: IntegerNetwork, q: Rows) -> Rows:
    """The page's sections in their order, one integer at a time."""
    r = network.shape.unshuffle
    height, width = -(-len(q) // r), -(-len(q[0]) // r)

    def pixel(y: int, x: int) -> int:
        return q[min(y, len(q) - 1)][min(x, len(q[0]) - 1)]

    maps = [[[pixel(r * y + c // r, r * x + c % r) for x in range(width)] for y in range(height)] for c in range(r * r)]
    for layer in network.layers:
        outputs = []
        for o, weights in enumerate(layer.weight.tolist()):
            rows = [[int(layer.bias[o])] * width for _ in range(height)]
            for y in range(height):
                for x in range(width):
                    for channel, taps in zip(maps, weights, strict=True):
                        for dy in (-1, 0, 1):
                            for dx in (-1, 0, 1):
                                if 0 <= y + dy < height and 0 <= x + dx < width:
                                    rows[y][x] += taps[dy + 1][dx + 1] * channel[y + dy][x + dx]
                    s = sat15(rows[y][x] >> layer.shift)
                    rows[y][x] = s if layer.slope is None else max(s, mulr(s, int(layer.slope[o])))
            outputs.append(rows)
        maps = outputs
    b = network.shape.shuffle
    out_width, out_height = -(-len(q[0]) * b // r), -(-len(q) * b // r)
    return [
        [maps[(y % b) * b + x % b][y // b][x // b] for x in range(out_width)] for y in range(out_height)
    ]  # fmt: skip


def oracle_line(line: list[int], a: int, b: int, n: int) -> list[int]:
    """The page's section on enlargement for one row or column."""
    out = []
    for i in range(-(-len(line) * b // a)):
        first = math.floor(Fraction((2 * i + 1) * a, 2 * b) - Fraction(3, 2))
        weights = []
        for x in range(first, first + 4):
            t, u = abs((2 * i + 1) * a - (2 * x + 1) * b), 2 * b
            w = 3 * t**3 - 5 * t**2 * u + 2 * u**3 if t < u else -(t**3) + 5 * t**2 * u - 8 * t * u**2 + 4 * u**3
            weights.append(w if t < 2 * u and 0 <= x < len(line) else 0)
        precision, total = 30 - n, 2 ** (30 - n - 1)
        for j, w in enumerate(weights):
            exact = Fraction(w * 2**precision, sum(weights))
            whole = math.floor(abs(exact) + Fraction(1, 2))
            total += (whole if w > 0 else -whole) * (line[first + j] if w else 0)
        out.append(max(0, min(2**n - 1, total >> precision)))
    return out


def oracle_enlargement(codes: Rows, a: int, b: int, n: int) -> Rows:
    wide = [oracle_line(row, a, b, n) for row in codes]
    columns = [oracle_line(list(column), a, b, n) for column in zip(*wide, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def oracle(network: IntegerNetwork, plane: Rows, n: int, full_range: bool, strength: float) -> Rows:
    top = 2**n - 1
    codes = [[min(code, top) for code in row] for row in plane]
    q = [[code << (14 - n) if n < 14 else code >> (n - 14) for code in row] for row in codes]
    if full_range:
        g = round(32768 * 219 * 64 / (top * 2.0 ** (14 - n)))
        q = [[mulr(v, g) + 1024 for v in row] for row in q]
    u = top / 219 if full_range else float(2 ** (n - 8))
    k = 15 if n <= 13 else 28 - n
    m = round(strength * u * 2**k / 64)
    shape = network.shape
    if shape.shuffle > shape.unshuffle:
        codes = oracle_enlargement(codes, shape.unshuffle, shape.shuffle, n)
    return [
        [max(0, min(top, c + ((a * m + 2 ** (k - 1)) >> k))) for c, a in zip(code_row, row, strict=True)]
        for code_row, row in zip(codes, oracle_residual(network, q), strict=True)
    ]


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    depth=st.sampled_from([8, 9, 10, 12, 14, 16]),
    full_range=st.booleans(),
    strength=st.floats(0.01, 2),
    seed=st.integers(0, 999),
)
def test_the_twin_computes_what_the_page_says_bit_by_bit(
    shape: StudentShape, height: int, width: int, depth: int, full_range: bool, strength: float, seed: int
) -> None:
    network = random_network(seed, shape)
    largest = np.iinfo(np.uint8 if depth == 8 else np.uint16).max  # more bits than are used: those are cut off
    plane = np.random.default_rng(seed).integers(0, largest, (height, width), endpoint=True)
    plane = plane.astype(np.uint8 if depth == 8 else np.uint16)
    out = NumpyEngine(network).process(plane, strength=strength, bit_depth=depth, full_range=full_range)
    assert out.tolist() == oracle(network, plane.tolist(), depth, full_range, strength)


@settings(max_examples=15, deadline=None)
@given(shape=shapes, seed=st.integers(0, 999))
def test_float_luma_enters_in_steps_of_a_64th_and_the_residual_leaves_so(shape: StudentShape, seed: int) -> None:
    network = random_network(seed, shape)
    luma = np.random.default_rng(seed).uniform(-300, 300, (5, 4)).astype(np.float32)
    q = [[max(-16383, min(16383, round(64 * float(v)))) for v in row] for row in luma]
    residual = NumpyEngine(network).residual(luma)
    assert residual.dtype == np.float32
    assert (residual * 64).tolist() == oracle_residual(network, q)


def test_the_largest_values_there_are_do_not_overflow() -> None:
    shape = StudentShape(2, 2, 1)
    layers = []
    for i, o in shape.layer_channels:
        largest = min(32767 // 3, 65535 // (9 * i))
        layers.append(
            IntegerLayer(
                np.full((o, i, 3, 3), -largest, np.int16),
                np.full(o, -(2**30) + 1 + 16384 * largest * 9 * i, np.int32),
                np.full(o, -32766, np.int16) if len(layers) < 2 else None,
                0,
            )
        )
    network = IntegerNetwork(shape, tuple(layers))
    plane = np.full((6, 6), 65535, np.uint16)
    out = NumpyEngine(network).process(plane, bit_depth=16, strength=2.0)
    assert out.tolist() == oracle(network, plane.tolist(), 16, False, 2.0)


# -- conversion -----------------------------------------------------------------------------------------------------


def float_residual(student: Student, luma: NDArray[np.float32]) -> NDArray[np.float32]:
    return float_network.residual(student, luma / np.float32(255)) * np.float32(255)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.builds(StudentShape, st.integers(1, 4), st.integers(1, 9), st.integers(0, 4), st.sampled_from([0, 0, 4])),
    slope=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    seed=st.integers(0, 999),
)
def test_a_converted_student_computes_what_the_float_one_does(shape: StudentShape, slope: float, seed: int) -> None:
    student = random_student(seed, shape, slopes=(-slope, slope))
    noise = np.random.default_rng(seed).uniform(0, 255, (26, 27))
    # As soft as inputs are; sharper noise may saturate.
    noise = (noise[:-2] + 2 * noise[1:-1] + noise[2:]) / 4
    luma = ((noise[:, :-2] + 2 * noise[:, 1:-1] + noise[:, 2:]) / 4).astype(np.float32)
    expected = float_residual(student, luma)
    error = NumpyEngine(student).residual(luma) - np.clip(expected, -256, 256)
    size = float(np.sqrt(np.mean(expected**2)))
    # A 16th of a code value; steep slopes make each layer multiply what the layers before it rounded.
    amplified = size if slope > 1 else 0.0
    assert float(np.sqrt(np.mean(error**2))) < 1 / 16 + amplified / 100
    assert np.abs(error).max() < 1 / 4 + amplified / 25


@pytest.mark.parametrize("tier", ["fast", "balanced", "quality"])
def test_hidden_activations_of_the_drawn_picture_use_half_of_the_range(tier: str) -> None:
    network = convert(find_student(tier))
    x = float_network.pixel_unshuffle(input_from_luma(calibration_picture().astype(np.float32)), 2)
    for layer in network.layers[:-1]:
        sums = shifted_sums(x, layer)
        assert 1 / 4 < np.abs(sums).max() / 16384 <= 1 / 2
        x = activate(sums, layer)


@pytest.mark.parametrize("tier", ["fast", "balanced", "quality"])
def test_integers_cost_less_than_a_fiftieth_of_a_decibel(tier: str, data_folder: Path) -> None:
    from acutance.degrade import crop_to_multiple, down_up
    from acutance.luma import luma_from_rgb
    from acutance.metrics import psnr
    from acutance.training.data.folders import ImageFolder

    student = find_student(tier)
    engine = NumpyEngine(student)
    lost = []
    for image in ImageFolder(data_folder / "test" / "Set5"):
        sharp = crop_to_multiple(image.load())[:240, :240]
        truth, luma = luma_from_rgb(sharp), luma_from_rgb(down_up(sharp, 2).same_size)
        exact, integer = luma + float_residual(student, luma), luma + engine.residual(luma)
        lost.append(psnr(exact, truth, border=2) - psnr(integer, truth, border=2))
    assert np.mean(lost) < 0.02


def test_conversion_is_deterministic() -> None:
    student = find_student("fast")
    assert convert(student).to_bytes() == convert(student).to_bytes()


@pytest.mark.parametrize(("slope", "factor", "inside"), [(2.0, -2.0, 0.5), (-4.0, -4.0, -0.25)])
def test_slopes_beyond_one_are_turned_inside_out_exactly(slope: float, factor: float, inside: float) -> None:
    shape = StudentShape(2, 3, 1)
    plain = random_student(5, shape)
    layers = list(plain.layers)
    first, second = layers[0], layers[1]
    assert first.slope is not None
    steep, turned = first.slope.copy(), first.slope.copy()
    steep[1], turned[1] = slope, inside
    weight, bias, after = first.weight.copy(), first.bias.copy(), second.weight.copy()
    weight[1] *= factor
    bias[1] *= factor
    if slope > 1:
        after[:, 1] *= -1
    by_hand = [ConvLayer(weight, bias, turned), ConvLayer(after, second.bias, second.slope), layers[2]]
    given = [ConvLayer(first.weight, first.bias, steep), *layers[1:]]
    assert convert(student_of(shape, given)).to_bytes() == convert(student_of(shape, by_hand)).to_bytes()


def test_a_channel_that_is_never_active_changes_nothing() -> None:
    student = random_student(1, StudentShape(2, 4, 1))
    first, second = student.layers[0], student.layers[1]
    weight, bias = first.weight.copy(), first.bias.copy()
    weight[2], bias[2] = 0, 0
    dead = student_of(student.spec.shape, [ConvLayer(weight, bias, first.slope), *student.layers[1:]])
    loud = second.weight.copy()
    loud[:, 2] = 1e6  # what it would be multiplied by
    louder = student_of(
        student.spec.shape, [dead.layers[0], ConvLayer(loud, second.bias, second.slope), student.layers[2]]
    )
    luma = np.random.default_rng(0).uniform(0, 255, (20, 20)).astype(np.float32)
    residual = NumpyEngine(dead).residual(luma)
    assert np.abs(residual - float_residual(dead, luma)).max() < 0.05
    assert np.abs(NumpyEngine(louder).residual(luma) - residual).max() < 0.5


def test_a_student_of_zeros_adds_nothing() -> None:
    shape = StudentShape(2, 3, 1)
    layers = [
        ConvLayer(np.zeros((o, i, 3, 3), np.float32), np.zeros(o, np.float32), np.zeros(o, np.float32))
        for i, o in shape.layer_channels[:-1]
    ]
    i, o = shape.layer_channels[-1]
    layers.append(ConvLayer(np.zeros((o, i, 3, 3), np.float32), np.zeros(o, np.float32), None))
    plane = np.random.default_rng(0).integers(0, 256, (9, 9)).astype(np.uint8)
    np.testing.assert_array_equal(NumpyEngine(student_of(shape, layers)).process(plane), plane)


def test_one_output_of_large_weights_that_cancel_does_not_coarsen_the_others() -> None:
    """Its sums could reach a thousand times what they do reach: its scale is lowered rather than the layer's shift."""
    shape = StudentShape(1, 4, 1)
    student = random_student(3, shape, slopes=(0.2, 0.8))
    first, second, last = student.layers
    weight, bias, slope = first.weight.copy(), first.bias.copy(), first.slope
    assert slope is not None
    weight[1], bias[1], slope[1] = weight[0], bias[0], slope[0]  # the same channel twice
    cancelling = second.weight.copy()
    cancelling[0, :2] += np.array([30, -30], np.float32)[:, None, None]
    whole = student_of(shape, [ConvLayer(weight, bias, slope), ConvLayer(cancelling, second.bias, second.slope), last])
    assert (np.abs(convert(whole).layers[1].weight[1:].astype(int)).max(axis=(1, 2, 3)) > 32).all()
    luma = np.random.default_rng(0).uniform(0, 255, (24, 24)).astype(np.float32)
    expected = float_residual(whole, luma)
    error = NumpyEngine(whole).residual(luma) - expected
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean(expected**2))


def test_a_last_layer_too_large_for_integers_is_refused_with_its_figures() -> None:
    student = random_student(0, StudentShape(2, 3, 0))
    last = student.layers[-1]
    layers = [student.layers[0], ConvLayer(last.weight * np.float32(1e7), last.bias, None)]
    with pytest.raises(ModelError, match=r"layer 1 could overflow: sums of output \d reach [\d.e+]+ of 1073741824"):
        convert(student_of(student.spec.shape, layers))


def test_activations_beyond_measure_are_refused() -> None:
    student = random_student(0, StudentShape(1, 1, 20), slopes=(1.0, 1.0))
    layers = [ConvLayer(layer.weight * np.float32(1e30), layer.bias, layer.slope) for layer in student.layers]
    with pytest.raises(ModelError, match=r"layer \d+: activations reach .*: too large for integers"):
        convert(student_of(student.spec.shape, layers))


def test_large_and_small_scales_that_make_up_for_each_other_are_no_problem() -> None:
    student = random_student(4, StudentShape(2, 3, 1))
    first, second, last = student.layers
    layers = [
        ConvLayer(first.weight * np.float32(2.0**60), first.bias * np.float32(2.0**60), first.slope),
        ConvLayer(second.weight * np.float32(2.0**-60), second.bias, second.slope),
        last,
    ]
    luma = np.random.default_rng(0).uniform(0, 255, (12, 12)).astype(np.float32)
    np.testing.assert_array_equal(
        NumpyEngine(student_of(student.spec.shape, layers)).residual(luma), NumpyEngine(student).residual(luma)
    )


# -- the proof and the file -----------------------------------------------------------------------------------------


def replaced(network: IntegerNetwork, number: int, **changes: object) -> IntegerNetwork:
    layers = list(network.layers)
    old = layers[number]
    values = {"weight": old.weight, "bias": old.bias, "slope": old.slope, "shift": old.shift, **changes}
    layers[number] = IntegerLayer(**values)  # type: ignore[arg-type]
    return IntegerNetwork(network.shape, tuple(layers))


def test_a_network_whose_sums_could_overflow_is_refused_with_figures() -> None:
    network = random_network(0, StudentShape(1, 2, 0))
    weight = np.zeros((2, 1, 3, 3), np.int16)
    weight[1, 0, 0] = 16383, -16383, 16383
    weight[1, 0, 2, :2] = 16383, 4  # 16384 * 65536 is 2**30 exactly
    bias = np.zeros(2, np.int32)
    with pytest.raises(ModelError, match="layer 0 could overflow: sums of output 1 reach 1073741824 of 1073741824"):
        replaced(network, 0, weight=weight, bias=bias)
    weight[1, 0, 2, 1] = 3
    replaced(network, 0, weight=weight, bias=np.array([0, -16383], np.int32))
    with pytest.raises(ModelError, match="could overflow"):
        replaced(network, 0, weight=weight, bias=np.array([0, 16384], np.int32))


@pytest.mark.parametrize(
    ("number", "changes", "reason"),
    [
        (0, {"shift": 31}, "a shift of 31"),
        (0, {"shift": -1}, "a shift of -1"),
        (0, {"weight": np.full((2, 1, 3, 3), -16384, np.int16)}, "a weight of size 16384 in a kernel's upper or lower"),
        (0, {"weight": np.full((2, 1, 3, 3), 10923, np.int16)}, "weights in a kernel's column .* add up to 32769"),
        (0, {"slope": np.array([0, -32767], np.int16)}, "a slope of -32767; the least is -32766"),
        (0, {"weight": np.zeros((2, 1, 3, 3), np.int32)}, "a weight that is int32"),
        (0, {"bias": np.zeros(3, np.int32)}, r"a bias that is int32 of shape \(3,\)"),
        (0, {"slope": None}, "no slopes"),
        (1, {"slope": np.zeros(1, np.int16)}, "slopes though it is the last"),
    ],
)
def test_layers_that_are_none_are_refused(number: int, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ModelError, match=f"layer {number} has {reason}"):
        replaced(random_network(0, StudentShape(1, 2, 0)), number, **changes)


def test_a_network_has_as_many_layers_as_its_shape_says() -> None:
    network = random_network(0, StudentShape(1, 2, 0))
    with pytest.raises(ModelError, match="has 3 layers, not 2"):
        IntegerNetwork(StudentShape(1, 2, 1), network.layers)


@settings(max_examples=20, deadline=None)
@given(shape=shapes, seed=st.integers(0, 99))
def test_what_is_read_from_a_file_is_what_was_written(shape: StudentShape, seed: int) -> None:
    network = random_network(seed, shape)
    read = IntegerNetwork.from_bytes(network.to_bytes())
    assert read.shape == shape
    for one, other in zip(network.layers, read.layers, strict=True):
        assert one.shift == other.shift
        np.testing.assert_array_equal(one.weight, other.weight)
        np.testing.assert_array_equal(one.bias, other.bias)
        np.testing.assert_array_equal(one.slope, other.slope)  # type: ignore[arg-type]


def test_a_file_is_laid_out_as_documented() -> None:
    network = random_network(7, StudentShape(1, 2, 0))
    first, last = network.layers
    assert first.slope is not None
    expected = b"ACUTANCE" + struct.pack("<5I", 3, 1, 1, 2, 0)
    expected += struct.pack("<i18h", first.shift, *first.weight.ravel().tolist())
    expected += struct.pack("<2i2h", *first.bias.tolist(), *first.slope.tolist())
    expected += struct.pack("<i18hi", last.shift, *last.weight.ravel().tolist(), *last.bias.tolist())
    assert network.to_bytes() == expected


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda d: b"", "too few"),
        (lambda d: d[:27], "too few"),
        (lambda d: d[:-1], "where"),
        (lambda d: d + b"\0", "where"),
        (lambda d: b"safetens" + d[8:], "not an integer network"),
        (lambda d: d[:8] + struct.pack("<I", 1) + d[12:], "version 1"),
        (lambda d: d[:12] + struct.pack("<I", 9) + d[16:], "unshuffle"),
        (lambda d: d[:16] + struct.pack("<I", 0) + d[20:], "shuffle must be an integer from 1 to 8, not 0"),
        (lambda d: d[:16] + struct.pack("<I", 5) + d[20:], "shuffle must be 1 to 4 times unshuffle"),
        (lambda d: d[:20] + struct.pack("<I", 2**32 - 1) + d[24:], "channels"),
        (lambda d: d[:24] + struct.pack("<I", 65) + d[28:], "depth"),
        (lambda d: d[:24] + struct.pack("<I", 64) + d[28:], "where"),
        (lambda d: d[:28] + struct.pack("<i", 31) + d[32:], "a shift of 31"),
        (lambda d: d[:32] + b"\x00\x80" + d[34:], "a weight of size 32768"),
        (lambda d: d[:32] + b"\x0a\x2a" * 18 + d[68:], "could overflow"),
    ],
)
def test_malformed_files_are_refused(spoil: Callable[[bytes], bytes], reason: str) -> None:
    data = random_network(0, StudentShape(1, 2, 0)).to_bytes()
    with pytest.raises(ModelError, match=f"^a.acu: .*{reason}"):
        IntegerNetwork.from_bytes(spoil(data), source="a.acu")


def test_a_file_from_before_upscalers_is_read_as_a_same_size_student() -> None:
    network = random_network(0, StudentShape(2, 3, 1))
    data = network.to_bytes()
    older = data[:8] + struct.pack("<4I", 2, 2, 3, 1) + data[28:]
    assert IntegerNetwork.from_bytes(older).to_bytes() == data


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 400), value=st.integers(0, 255))
def test_any_byte_changed_gives_another_network_or_an_error(position: int, value: int) -> None:
    data = bytearray(random_network(0, StudentShape(2, 3, 0)).to_bytes())
    data[position % len(data)] = value
    with contextlib.suppress(ModelError):
        assert IntegerNetwork.from_bytes(bytes(data)).to_bytes() == bytes(data)
