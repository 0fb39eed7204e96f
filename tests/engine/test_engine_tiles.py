"""Sessions: which tiles are computed, passed through or counted as reused, and that what is computed is exact."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_engine_integer import random_student

from acutance.engine import available_engines, open_engine
from acutance.engine.base import Session, TileCounts, TileOptions
from acutance.engine.numpy_engine import NumpyEngine
from acutance.engine.tiles import choose, tile_activity, tile_side, undisturbed
from acutance.errors import AcutanceError, EngineError, UsageError
from acutance.frame import Plane
from acutance.students.spec import StudentShape

Luma = NDArray[np.uint8]


@pytest.fixture(scope="module")
def engine() -> NumpyEngine:
    """Radius 8, tiles of 16 x 16 pixels."""
    return NumpyEngine(random_student(3, StudentShape(2, 4, 2)))


def flat(height: int, width: int, value: int = 100) -> Luma:
    return np.full((height, width), value, np.uint8)


def dot(plane: Luma, y: int, x: int, height: int) -> Luma:
    """A single pixel that differs by ``height``: its tile's activity is four times that."""
    plane = plane.copy()
    plane[y, x] += height
    return plane


def counts_of(session: Session, plane: Plane) -> TileCounts:
    session.process(plane)
    return session.counts


# -- the rules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("r", "side"), [(1, 16), (2, 16), (3, 18), (4, 16), (5, 20), (6, 18), (7, 21), (8, 16)])
def test_tiles_are_the_least_multiple_of_the_unshuffle_factor_from_sixteen(r: int, side: int) -> None:
    assert tile_side(r) == side


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), depth=st.sampled_from([8, 10, 16]), seed=st.integers(0, 99))
def test_activity_is_the_largest_laplacian_of_a_tile(height: int, width: int, depth: int, seed: int) -> None:
    dtype = np.uint8 if depth == 8 else np.uint16
    plane = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), endpoint=True).astype(dtype)
    top = 2**depth - 1

    def code(y: int, x: int) -> int:
        return min(int(plane[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]), top)

    expected = np.zeros((-(-height // 4), -(-width // 4)), int)
    for y in range(height):
        for x in range(width):
            around = code(y, x - 1) + code(y, x + 1) + code(y - 1, x) + code(y + 1, x)
            expected[y // 4, x // 4] = max(expected[y // 4, x // 4], abs(4 * code(y, x) - around))
    np.testing.assert_array_equal(tile_activity(plane, depth, 4), expected)


def test_activity_sees_the_neighbouring_tile() -> None:
    plane = flat(16, 32)
    plane[:, 16:] = 130  # the edge lies between the tiles
    assert tile_activity(plane, 8, 16).tolist() == [[30, 30]]


@settings(max_examples=100, deadline=None)
@given(
    levels=st.lists(st.integers(0, 6), min_size=1, max_size=12),
    threshold=st.integers(0, 8),
    most=st.integers(0, 12),
)
def test_a_budget_takes_the_highest_levels_and_among_equals_what_was_computed(
    levels: list[int], threshold: int, most: int
) -> None:
    level = np.array(levels, np.int32)
    before = np.arange(len(levels)) % 3 == 0
    ranked = sorted(range(len(levels)), key=lambda i: (-levels[i], not before[i], i))
    expected = {i for i in ranked[:most] if levels[i] >= threshold}
    assert set(np.flatnonzero(choose(level, threshold, most, before))) == expected


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    radius=st.integers(1, 40),
    side=st.sampled_from([16, 18]),
    seed=st.integers(0, 99),
)
def test_a_tile_is_disturbed_by_any_changed_cell_within_the_networks_radius(
    height: int, width: int, radius: int, side: int, seed: int
) -> None:
    changed = np.random.default_rng(seed).random((height, width)) < 2 / (height * width)
    cells = {(y // 4, x // 4) for y, x in zip(*np.nonzero(changed), strict=True)}
    quiet = undisturbed(changed, side, radius)

    def near(start: int, cell: int) -> bool:
        return 4 * cell + 3 >= start - radius and 4 * cell < start + side + radius

    for row in range(-(-height // side)):
        for column in range(-(-width // side)):
            disturbed = any(near(row * side, y) and near(column * side, x) for y, x in cells)
            assert quiet[row, column] == (not disturbed)


# -- sessions -------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    threshold=st.integers(0, 400),
    budget=st.none() | st.floats(0, 1),
    depth=st.sampled_from([8, 10]),
    seed=st.integers(0, 99),
)
def test_a_tile_has_the_value_of_the_whole_plane_or_of_the_input(
    engine: NumpyEngine, size: tuple[int, int], threshold: int, budget: float | None, depth: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    contrast = rng.random((-(-size[0] // 16), -(-size[1] // 16))).repeat(16, 0).repeat(16, 1)[: size[0], : size[1]]
    plane = (rng.random(size) * contrast * ((1 << depth) - 1)).astype(np.uint8 if depth == 8 else np.uint16)
    whole = engine.process(plane, bit_depth=depth)
    with engine.session(TileOptions(threshold=threshold, tile_budget=budget)) as session:
        out = session.process(plane, bit_depth=depth)
    counts = session.counts
    computed = 0
    for y in range(0, size[0], 16):
        for x in range(0, size[1], 16):
            tile = np.s_[y : y + 16, x : x + 16]
            active = int(tile_activity(plane, depth, 16)[y // 16, x // 16]) >> (depth - 8) >= threshold
            equal = np.array_equal(out[tile], whole[tile])
            assert equal or np.array_equal(out[tile], plane[tile])
            if budget is None:
                assert np.array_equal(out[tile], whole[tile] if active else plane[tile])
                computed += active
    assert counts.computed + counts.passed == counts.tiles == -(-size[0] // 16) * -(-size[1] // 16)
    assert counts.reused == 0
    if budget is None:
        assert counts.computed == computed
    else:
        assert counts.computed <= budget * counts.tiles


def test_without_options_everything_is_computed(engine: NumpyEngine) -> None:
    plane = dot(flat(40, 40), 5, 5, 60)
    with engine.session() as session:
        np.testing.assert_array_equal(session.process(plane), engine.process(plane))
        assert session.counts == TileCounts(9, computed=9)


def test_the_threshold_is_in_eight_bit_codes_at_any_depth(engine: NumpyEngine) -> None:
    for depth, step in ((8, 1), (10, 4), (12, 16)):
        plane = (dot(flat(16, 16), 8, 8, 10).astype(np.uint16) * step).astype(np.uint8 if depth == 8 else np.uint16)
        for threshold, computed in ((40, 1), (41, 0)):
            session = engine.session(TileOptions(threshold=threshold))
            session.process(plane, bit_depth=depth)
            assert session.counts.computed == computed


def test_a_tile_that_was_computed_counts_as_a_quarter_more_active(engine: NumpyEngine) -> None:
    """So that a tile near the threshold does not flicker between sharp and soft."""
    session = engine.session(TileOptions(threshold=100))
    quiet, loud = dot(flat(16, 16), 8, 8, 20), dot(flat(16, 16), 8, 8, 25)  # 80 and 100
    assert [counts_of(session, p).computed for p in (quiet, loud, quiet, quiet)] == [0, 1, 1, 1]
    below = dot(flat(16, 16), 8, 8, 19)
    assert [counts_of(session, p).computed for p in (below, quiet, loud, quiet)] == [0, 0, 1, 1]
    session.reset()
    assert counts_of(session, quiet).computed == 0


def test_a_budget_takes_the_most_active_tiles(engine: NumpyEngine) -> None:
    plane = flat(16, 64)
    for tile, height in enumerate((10, 30, 30, 20)):
        plane = dot(plane, 8, 16 * tile + 8, height)
    for budget, computed in ((0.0, 0), (0.25, 1), (0.5, 2), (0.74, 2), (0.75, 3), (1.0, 4)):
        session = engine.session(TileOptions(tile_budget=budget))
        out = session.process(plane)
        assert session.counts.computed == computed
        np.testing.assert_array_equal(out[:, :16], (engine.process(plane) if computed == 4 else plane)[:, :16])
    session = engine.session(TileOptions(threshold=100, tile_budget=1.0))
    assert counts_of(session, plane).computed == 2


def test_reuse_counts_tiles_whose_surroundings_did_not_change(engine: NumpyEngine) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (80, 80)).astype(np.uint8)
    with engine.session(TileOptions(reuse=True)) as session:
        assert counts_of(session, plane) == TileCounts(25, computed=25)
        assert counts_of(session, plane) == TileCounts(25, reused=25)
        moved = dot(plane, 40, 40, 1)  # the tiles below, to the right and there see it, those eight pixels off do not
        np.testing.assert_array_equal(session.process(moved), engine.process(moved))
        assert session.counts == TileCounts(25, computed=4, reused=21)
        assert counts_of(session, moved) == TileCounts(25, reused=25)
        corner = dot(moved, 0, 0, 1)
        assert counts_of(session, corner) == TileCounts(25, computed=1, reused=24)


def test_where_nothing_is_ever_the_same_frames_are_left_uncompared(engine: NumpyEngine) -> None:
    """Two poor frames, eight of rest, one that is only remembered; then one poor frame is enough."""
    rng = np.random.default_rng(0)
    session = engine.session(TileOptions(reuse=True))
    for _ in range(3):  # the first is remembered, two are compared in vain
        session.process(rng.integers(0, 256, (48, 48)).astype(np.uint8))
    still = rng.integers(0, 256, (48, 48)).astype(np.uint8)
    assert [counts_of(session, still).reused for _ in range(11)] == [0] * 9 + [9, 9]
    session.process(255 - still)  # poor
    session.process(still)  # poor again
    assert [counts_of(session, still).reused for _ in range(10)] == [0] * 9 + [9]
    session.reset()
    assert [counts_of(session, still).reused for _ in range(2)] == [0, 9]


def test_only_tiles_that_were_computed_are_reused(engine: NumpyEngine) -> None:
    session = engine.session(TileOptions(threshold=100, reuse=True))
    quiet, both = dot(flat(16, 80), 8, 8, 40), dot(dot(flat(16, 80), 8, 8, 40), 8, 72, 40)
    assert counts_of(session, quiet) == TileCounts(5, computed=1, passed=4)
    assert counts_of(session, both) == TileCounts(5, computed=1, passed=3, reused=1)
    assert counts_of(session, both) == TileCounts(5, passed=3, reused=2)


@pytest.mark.parametrize(
    "other",
    [
        {"strength": 0.5},
        {"full_range": True},
        {"luma": flat(16, 48)},
        {"luma": flat(16, 32).astype(np.uint16), "bit_depth": 10},
        {"strength": 0.0},
    ],
)
def test_another_format_or_strength_starts_afresh(engine: NumpyEngine, other: dict[str, object]) -> None:
    plane = flat(16, 32)
    session = engine.session(TileOptions(reuse=True))
    session.process(plane)
    session.process(**{"luma": plane, **other})  # type: ignore[arg-type]
    assert session.counts.reused == 0
    session.process(plane)
    assert session.counts == TileCounts(2, computed=2)
    session.process(plane)
    assert session.counts == TileCounts(2, reused=2)


def test_strength_zero_passes_everything_through(engine: NumpyEngine) -> None:
    plane = np.random.default_rng(0).integers(0, 65536, (20, 20)).astype(np.uint16)  # more than ten bits
    session = engine.session()
    np.testing.assert_array_equal(session.process(plane, bit_depth=10, strength=0.0), plane)
    assert session.counts == TileCounts(4, passed=4)


def test_tiles_passed_through_keep_every_bit(engine: NumpyEngine) -> None:
    plane = np.full((20, 20), 0xFFFF, np.uint16)
    session = engine.session(TileOptions(threshold=1))
    np.testing.assert_array_equal(session.process(plane, bit_depth=10), plane)


def test_an_output_that_is_given_is_written_to(engine: NumpyEngine) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    out = np.zeros((40, 60), np.uint8)[:, 5:55]
    with engine.session() as session:
        assert session.process(plane, out=out) is out
    np.testing.assert_array_equal(out, engine.process(plane))


def test_counts_add_up() -> None:
    assert TileCounts(9, 4, 3, 2) + TileCounts(1, passed=1) == TileCounts(10, 4, 4, 2)


def test_counts_are_zero_before_the_first_frame_and_nothing_runs_after_closing(engine: NumpyEngine) -> None:
    session = engine.session()
    assert session.counts == TileCounts()
    session.close()
    session.close()
    with pytest.raises(EngineError, match="closed"):
        session.process(flat(4, 4))


@pytest.mark.parametrize(
    ("plane", "options"),
    [
        (np.zeros((4, 4), np.float32), {}),
        (flat(4, 4), {"strength": 3.0}),
        (flat(4, 4), {"bit_depth": 10}),
        (flat(4, 4), {"out": flat(4, 5)}),
    ],
)
def test_a_session_refuses_what_an_engine_refuses(
    engine: NumpyEngine, plane: Plane, options: dict[str, object]
) -> None:
    with engine.session() as session, pytest.raises(AcutanceError):
        session.process(plane, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"threshold": -1}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
        ({"tile_budget": 1.01}, "tile_budget"),
        ({"tile_budget": float("nan")}, "tile_budget"),
        ({"time_budget": 0.0}, "time_budget"),
        ({"time_budget": float("inf")}, "time_budget"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, float], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        TileOptions(**options)  # type: ignore[arg-type]


def test_the_twin_measures_no_time(engine: NumpyEngine) -> None:
    with pytest.raises(UsageError, match="time"):
        engine.session(TileOptions(time_budget=0.01))


def test_an_engine_without_tiles_runs_whole_frames_and_names_those_that_have_them() -> None:
    if "onnxruntime" not in available_engines():
        pytest.skip("onnxruntime is not installed")
    engine = open_engine(random_student(3, StudentShape(2, 4, 2)), "onnxruntime", threads=1)
    plane = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    with engine.session() as session:
        np.testing.assert_array_equal(session.process(plane), engine.process(plane))
        assert session.counts == TileCounts(1, computed=1)
        np.testing.assert_array_equal(session.process(plane, strength=0.0), plane)
        assert session.counts == TileCounts(1, passed=1)
    for options in (TileOptions(threshold=1), TileOptions(tile_budget=0.5), TileOptions(reuse=True)):
        with pytest.raises(UsageError, match=r"'onnxruntime' has no tile options; these have: .*numpy"):
            engine.session(options)
