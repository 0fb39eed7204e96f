"""Standard streams that are closed or full, narrow terminals, and names that hold control characters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from acutance.cli.exit_codes import exit_code
from acutance.cli.terminal import printable
from acutance.errors import NotMediaError
from io_clips import make_clip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="speaks to a POSIX shell")


def shell(line: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Run a line of shell in which ``acutance`` is this program."""
    program = f'acutance() {{ "{sys.executable}" -m acutance "$@"; }}; '
    variables = {**os.environ, **environment}
    return subprocess.run(
        ["sh", "-c", program + line], cwd=folder, env=variables, capture_output=True, timeout=120, check=False
    )


@pytest.mark.parametrize(
    "streams", [">&-", "2>&-", "2>/dev/full", ">&- 2>&-", "<&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"]
)
def test_closed_and_full_streams_do_not_cost_the_result(tmp_path: Path, student_file: Path, streams: str) -> None:
    Image.new("L", (32, 24), 99).save(tmp_path / "a.png")
    done = shell(f"acutance sharpen a.png -m '{student_file}' {streams}", tmp_path)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a-sharp.png") as made:
        assert made.size == (32, 24)


def test_a_closed_input_stream_is_one_line(tmp_path: Path, student_file: Path) -> None:
    done = shell(f"acutance sharpen - - -m '{student_file}' <&-", tmp_path)
    assert done.returncode == exit_code(NotMediaError)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("streams", [">&-", ">/dev/full"])
def test_an_output_stream_that_takes_nothing_is_an_error(tmp_path: Path, student_file: Path, streams: str) -> None:
    make_clip(tmp_path / "a.mp4")
    done = shell(f"acutance sharpen a.mp4 - -m '{student_file}' --progress none {streams}", tmp_path)
    assert b"Traceback" not in done.stderr
    assert done.returncode == 9
    assert done.stderr.count(b"acutance: -: ") == 1


@pytest.mark.parametrize("columns", ["1", "3", "5"])
def test_help_ends_in_a_terminal_of_a_few_columns(tmp_path: Path, columns: str) -> None:
    done = shell("ulimit -v 4000000; acutance sharpen --help", tmp_path, COLUMNS=columns)
    assert done.returncode == 0
    assert b"--strength" in done.stdout


def test_names_are_printed_without_control_characters(tmp_path: Path) -> None:
    name = "evil\x1b[31m\nname.mp4"
    (tmp_path / name).write_bytes(b"no video")
    done = subprocess.run(
        [sys.executable, "-m", "acutance", "sharpen", name], cwd=tmp_path, capture_output=True, check=False
    )
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1
    assert printable("a\x1b\n\u202eb\udc80") == "a\\x1b\\n\\u202eb\\udc80"
