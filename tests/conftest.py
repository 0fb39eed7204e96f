"""Fixtures of all tests, and the option ``--run-long``."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--run-long``."""
    parser.addoption("--run-long", action="store_true", help="also run the tests that are marked as long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the long tests unless ``--run-long`` is given."""
    if not config.getoption("--run-long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="long: --run-long runs it"))


def _data_folder() -> Path | None:
    named = os.environ.get("ACUTANCE_DATA")
    candidates = [Path(named)] if named else [Path(__file__).resolve().parents[2] / "shared" / "data"]
    return next((c for c in candidates if (c / "clips").is_dir()), None)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of images, clips, teachers and peers; the test is skipped where it is absent."""
    folder = _data_folder()
    if folder is None:
        pytest.skip("needs the data folder (set ACUTANCE_DATA)")
    return folder


@pytest.fixture(scope="session")
def picture() -> NDArray[np.uint8]:
    """A 96 x 128 RGB picture with edges, fine lines, texture and a gradient."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:96, 0:128].astype(np.float64)
    base = 110 + 60 * np.sin(x / 9) * np.cos(y / 13) + 35 * (((x // 8) + (y // 8)) % 2)
    base += 50 * (np.abs(np.hypot(x - 64, y - 48) - 30) < 2) + rng.normal(0, 2, base.shape)
    rgb = np.stack([base, base * 0.9 + 10, 200 - base * 0.5], axis=-1)
    return np.clip(rgb, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """Programs that a shell runs in the background ignore Ctrl-C, and so do those they start: tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    """A test that leaves a named acutance thread running fails."""
    yield
    leaked = [t.name for t in threading.enumerate() if t.name.startswith("acutance")]
    assert not leaked, f"threads left running: {leaked}"


@pytest.fixture(scope="session")
def student_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small student that sharpens, by construction: minus a Laplacian of each unshuffled channel."""
    from acutance.students.spec import ConvLayer, Student, StudentShape, StudentSpec, save_student

    shape = StudentShape(unshuffle=2, channels=8, depth=1)
    rng = np.random.default_rng(3)
    layers = []
    for i, (inputs, outputs) in enumerate(shape.layer_channels):
        weight = rng.normal(0, 0.02, (outputs, inputs, 3, 3)).astype(np.float32)
        for channel in range(min(inputs, outputs)):
            weight[channel, channel, 1, 1] += 1.0 if i else 0.4
            if i == 0:
                weight[channel, channel, [0, 1, 1, 2], [1, 0, 2, 1]] -= 0.1
        last = i + 1 == len(shape.layer_channels)
        slope = None if last else np.full(outputs, 0.9, np.float32)
        layers.append(ConvLayer(weight, rng.normal(0, 1e-4, outputs).astype(np.float32), slope))
    path = tmp_path_factory.mktemp("student") / "tiny.safetensors"
    spec = StudentSpec(name="tiny-clean-x2", tier="fast", task="clean", factors=(2.0,), shape=shape)
    save_student(Student(spec, tuple(layers)), path)
    return path


@pytest.fixture(scope="session")
def miniature_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data root of configs/miniature.toml, with a ``cache`` folder in it that tests may share."""
    pytest.importorskip("torch")
    from miniature import make_root

    return make_root(tmp_path_factory.mktemp("miniature") / "root")
