"""What the base install must do by itself: arrays, with numpy, safetensors and the engine alone."""

import subprocess
import sys

BLOCKED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("av", "PIL", "tyro", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import numpy as np
import acutance
"""


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", BLOCKED + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_arrays_and_streams_need_neither_pyav_nor_pillow_nor_the_command_line() -> None:
    said = _run(
        "sharpener = acutance.Sharpener('fast', engine='numpy')\n"
        "print(sharpener(np.zeros((80, 80, 3), np.uint8)).shape)\n"
        "with sharpener.stream(64, 64, 'nv12') as stream:\n"
        "    print(stream.process(np.zeros((64, 64), np.uint8)).shape)\n"
        "with sharpener.session() as session:\n"
        "    print(session.frame(acutance.Frame(np.zeros((80, 80), np.uint8))).luma.shape)\n"
    )
    assert said.split("\n")[:3] == ["(80, 80, 3)", "(64, 64)", "(80, 80)"]


def test_files_say_which_extra_brings_what_they_need() -> None:
    said = _run(
        "for use in (lambda: acutance.VideoReader, lambda: acutance.LiveJob,\n"
        "            lambda: acutance.Sharpener('fast', engine='numpy').video('a.mp4', 'b.mp4')):\n"
        "    try:\n"
        "        use()\n"
        "    except acutance.MissingExtraError as error:\n"
        "        print(error)\n"
    )
    assert said.count("need 'av': pip install 'acutance[video]'") == 3


def test_the_command_line_says_which_extra_brings_what_it_needs() -> None:
    said = _run(
        "import contextlib, io\n"
        "from acutance.cli.main import main\n"
        "with contextlib.redirect_stderr(io.StringIO()) as out:\n"
        "    code = main(['sharpen', 'a.mp4'])\n"
        "print(code, out.getvalue())\n"
    )
    assert said.startswith("12 ")
    assert "the command line needs tyro, rich, av, PIL: pip install 'acutance[cli]'" in said
