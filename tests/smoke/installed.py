"""The installed package, alone, as a user has it: ``python -I tests/smoke/installed.py`` in a clean environment.

Needs what the base install brings and nothing else, not even pytest; ``-I`` keeps the source tree out of the way.
``--pure``: the wheel was built where nothing could be compiled.
"""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import unittest
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import acutance
from acutance import Sharpener, bundled_models, load_student
from acutance._util.av import av
from acutance.cli.exit_codes import exit_code
from acutance.cli.main import VERBS
from acutance.engine import available_engines, open_engine
from acutance.errors import MissingExtraError
from acutance.io import VideoReader, read_image

PURE = "--pure" in sys.argv
STUDENT = "fast-clean-x2"
EXTRAS = ("torch", "onnx", "onnxruntime", "openvino", "matplotlib", "skimage", "sdl2", "pyvirtualcam", "spandrel")


def blurred(height: int = 96, width: int = 128, shift: int = 0) -> NDArray[np.uint8]:
    """H x W x 3, uint8: edges and lines, scaled up by two."""
    y, x = np.mgrid[0 : height // 2, 0 : width // 2] + shift
    grey = np.where(((x // 6) + (y // 6)) % 2, 190, 60) + 30 * (np.abs(np.hypot(x - 32, y - 24) - 14) < 1)
    small = Image.fromarray(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


class Installed(unittest.TestCase):
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(place.cleanup)
        cls.folder = Path(place.name)

    def acutance(self, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the installed command, in a folder where nothing of the project is."""
        command = Path(sys.executable).parent / "acutance"
        done = subprocess.run(
            [str(command), *map(str, arguments)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env={**os.environ, "PYTHONUTF8": "1", "XDG_CACHE_HOME": str(self.folder / "cache")},
            timeout=600,
            check=False,
        )
        assert done.returncode == code, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def picture(self) -> Path:
        path = self.folder / "picture.png"
        Image.fromarray(blurred()).save(path)
        return path

    def clip(self) -> Path:
        """Eight frames in a container and a codec that lose nothing."""
        path = self.folder / "clip.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
            for shift in range(8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(blurred(shift=shift), format="rgb24")))
            container.mux(stream.encode(None))
        return path

    def test_what_is_imported_is_the_installed_package(self) -> None:
        assert Path(acutance.__file__).is_relative_to(sys.prefix), acutance.__file__

    def test_one_version_everywhere(self) -> None:
        assert importlib.metadata.version("acutance") == acutance.__version__
        assert self.acutance("--version").stdout.strip() == f"acutance {acutance.__version__}"

    def test_no_extra_came_along(self) -> None:
        assert [name for name in EXTRAS if importlib.util.find_spec(name)] == []

    def test_types_and_licence_are_there(self) -> None:
        assert files("acutance").joinpath("py.typed").is_file()
        recorded = [str(path) for path in importlib.metadata.files("acutance") or ()]
        assert [name for name in recorded if name.endswith("licenses/LICENSE")]

    def test_nothing_but_the_package_was_installed(self) -> None:
        """No tests, benchmarks, tools or engine sources among the files, and nothing beside the package's folder."""
        scripts = ("acutance", "acutance.exe")
        for path in importlib.metadata.files("acutance") or ():
            top = path.parts[0]
            assert top == "acutance" or top.endswith(".dist-info") or path.name in scripts, path
            assert not {"tests", "benchmarks", "tools", "native"} & set(path.parts), path

    def test_the_engine_is_there_unless_nothing_could_be_compiled(self) -> None:
        assert available_engines() == (["numpy"] if PURE else ["native", "numpy"])

    def test_every_bundled_student_loads_and_does_what_its_numpy_twin_does(self) -> None:
        plane = blurred()[..., 0]
        assert {name.split("-")[0] for name in bundled_models()} == {"fast", "balanced", "quality"}
        for name, path in bundled_models().items():
            student = load_student(path)
            assert student.spec.name == name
            sharp = open_engine(student, available_engines()[0]).process(plane)
            assert not np.array_equal(sharp, plane), name
            assert np.array_equal(sharp, open_engine(student, "numpy").process(plane)), name

    def test_every_verb_tells_its_options(self) -> None:
        for verb in VERBS:
            assert f"usage: acutance {verb}" in self.acutance(verb, "--help").stdout, verb

    def test_models_lists_what_is_bundled(self) -> None:
        listed = self.acutance("models", "--json").stdout
        assert all(name in listed for name in bundled_models())

    def test_doctor_finds_the_engine(self) -> None:
        found = json.loads(self.acutance("doctor", "--json").stdout)
        engines = " ".join(found["engines"])
        assert found["acutance"] == acutance.__version__
        assert ("no C++17 compiler could build it" in engines) == PURE
        assert len(found["models"]) == len(bundled_models())

    @unittest.skipIf(PURE, "a minute and more of numpy; the clip below does the same on less")
    def test_the_demonstration_gains(self) -> None:
        self.acutance("demo", "--duration", "1s", "--progress", "plain")
        result = json.loads((self.folder / "acutance-demo" / "result.json").read_text(encoding="utf-8"))
        assert result["psnr_after"] > result["psnr_before"], result
        assert result["ssim_after"] > result["ssim_before"], result

    def test_a_picture_comes_out_as_from_the_library(self) -> None:
        source, target = self.picture(), self.folder / "picture-sharp.png"
        self.acutance("sharpen", source, target, "-m", STUDENT, "-y")
        sharp = read_image(target).pixels
        assert not np.array_equal(sharp, read_image(source).pixels)
        assert np.array_equal(sharp, Sharpener(STUDENT)(read_image(source).pixels))

    def test_a_clip_comes_out_as_from_the_library(self) -> None:
        source, target = self.clip(), self.folder / "clip-sharp.mkv"
        self.acutance("sharpen", source, target, "-m", STUDENT, "--encoder", "ffv1", "-y")
        with VideoReader(source) as reader, VideoReader(target) as written:
            received = [np.array(frame.luma) for frame in reader]
            result = [np.array(frame.luma) for frame in written]
        with VideoReader(source) as reader:
            expected = [np.array(frame.luma) for frame in Sharpener(STUDENT).frames(reader)]
        assert len(result) == 8
        assert np.array_equal(result, expected)
        assert not np.array_equal(result, received)

    def test_a_missing_extra_says_how_to_install_it(self) -> None:
        picture, clip = self.picture(), self.clip()
        for extra, command in {
            "train": ("distill", "--config", "any.toml"),
            "onnx": ("sharpen", picture, "out.png", "--engine", "onnxruntime"),
            "live": ("live", clip, "--to", "window"),
            "virtualcam": ("live", clip, "--to", "virtualcam"),
        }.items():
            said = self.acutance(*command, code=exit_code(MissingExtraError)).stderr
            assert said.rstrip().splitlines()[-1].endswith(f"pip install 'acutance[{extra}]'"), said
            assert "Traceback" not in said, said

    @unittest.skipUnless(PURE, "the engine is there")
    def test_without_the_engine_it_warns_once_and_goes_on(self) -> None:
        said = self.acutance("sharpen", self.picture(), "slow.png", "-y", "--progress", "none").stderr
        assert said.count("without its native engine") == 1, said
        twice = "from acutance import Sharpener; print([Sharpener(tier).inner for tier in ('fast', 'balanced')])"
        command = (sys.executable, "-I", "-W", "always", "-c", twice)
        said = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=True).stderr
        assert said.count("without its native engine") == 1, said

    @unittest.skipUnless(PURE, "the engine is there")
    def test_without_the_engine_asking_for_it_is_an_error_that_says_what_to_do(self) -> None:
        arguments = ("sharpen", self.picture(), "never.png", "--engine", "native")
        said = self.acutance(*arguments, code=exit_code(MissingExtraError)).stderr
        assert "pip install --force-reinstall --no-deps acutance" in said, said
        assert not (self.folder / "never.png").exists()


if __name__ == "__main__":
    with contextlib.suppress(ValueError):
        sys.argv.remove("--pure")
    unittest.main(verbosity=2)
