"""What the documents tell people to type is typed here: every block of shell, Python or C, unless it is marked.

A block that cannot be run has ``<!-- not run: why -->`` in the line before it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from io_clips import make_clip
from miniature import draw_picture, make_root

ROOT = Path(__file__).resolve().parents[1]
RUN = ("docs/quickstart.md", "docs/integrator.md", "docs/researcher.md")
"""The guides: all of each is run, in one folder, from top to bottom."""
ALL = sorted(str(p.relative_to(ROOT)) for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
LANGUAGES = {"sh", "python", "c"}
NEEDS = {
    "docs/integrator.md": ("onnxruntime", "openvino", "nncf", "ncnn"),
    "docs/researcher.md": ("torch", "onnxruntime"),
}


class Block(NamedTuple):
    line: int
    language: str
    text: str
    not_run: str | None


def blocks(name: str) -> list[Block]:
    lines = (ROOT / name).read_text(encoding="utf-8").split("\n")
    found, start = [], None
    for number, line in enumerate(lines):
        if start is None and (opened := re.fullmatch(r"\s*```(\w*).*", line)):
            start, language = number, opened[1]
        elif start is not None and line.strip() == "```":
            before = lines[start - 1] if start else ""
            marked = re.fullmatch(r"<!-- not run: (.+) -->", before)
            found.append(Block(start + 1, language, "\n".join(lines[start + 1 : number]), marked and marked[1]))
            start = None
    assert start is None, f"{name}: a block begins in line {start} and does not end"
    return found


def _runnable(name: str) -> list[Block]:
    return [block for block in blocks(name) if block.language in LANGUAGES and block.not_run is None]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What readers have at hand: a call, photographs, the recipes, a data root, and the program on the path."""
    folder = tmp_path_factory.mktemp("reader")
    make_clip(folder / "call.mp4", size=(320, 180), pts=[512 * i for i in range(45)], audio=True)
    (folder / "photos").mkdir()
    for number in range(4):
        Image.fromarray(draw_picture(number)).save(folder / "photos" / f"{number}.png")
    Image.fromarray(draw_picture(9)).save(folder / "photo.png")
    make_root(folder / "data")
    (folder / "configs").symlink_to(ROOT / "configs")
    programs = folder / "bin"
    programs.mkdir()
    for program, arguments in (
        ("acutance", " -m acutance.cli.main"),
        ("python", ""),
        ("torchrun", " -m torch.distributed.run"),
    ):
        (programs / program).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        (programs / program).chmod(0o755)
    return folder


def _run(block: Block, name: str, folder: Path) -> None:
    environment = {**os.environ, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment.pop("ACUTANCE_DATA", None)
    if block.language == "sh":
        command = ["bash", "-euo", "pipefail", "-c", block.text]
    elif block.language == "python":
        command = [sys.executable, "-c", block.text]
    else:
        source = folder / "block.c"
        source.write_text(block.text)
        command = [shutil.which("cc") or "cc", "-std=c99", "-Wall", "-Werror", "-fsyntax-only",
                   f"-I{ROOT / 'native' / 'include'}", str(source)]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{name}:{block.line}\n{block.text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


@pytest.mark.long  # each line starts a program of its own
@pytest.mark.parametrize("name", RUN)
def test_what_a_guide_says_works(name: str, stage: Path) -> None:
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    if any(block.language == "c" for block in _runnable(name)) and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    for block in _runnable(name):
        _run(block, name, stage)


@pytest.mark.parametrize("name", RUN)
def test_what_is_not_run_in_a_guide_says_why(name: str) -> None:
    marked = [block for block in blocks(name) if block.not_run is not None]
    assert all(len(block.not_run or "") > 15 for block in marked)
    assert len(_runnable(name)) >= 2 * len(marked)


@pytest.mark.parametrize("name", ALL)
def test_every_block_says_what_it_is(name: str) -> None:
    assert not [b.line for b in blocks(name) if b.language not in LANGUAGES | {"text", "toml", "json", "cpp"}]


@pytest.mark.parametrize("name", ALL)
def test_every_verb_and_option_in_a_document_exists(name: str) -> None:
    """Also of the blocks that are not run: what they type, the program knows."""
    from acutance.cli.main import VERBS

    for block in blocks(name):
        for line in block.text.replace("\\\n", " ").split("\n") if block.language == "sh" else []:
            for command in re.findall(r"(?:^|[|&;] *)acutance +([^|&;#]+)", line):
                verb, *words = command.split()
                assert verb in VERBS or verb.startswith("-"), f"{name}:{block.line}: {command}"
                known = _options(verb) if verb in VERBS else set()
                for word in words:
                    if word.startswith("-") and len(word) > 1 and not re.fullmatch(r"-\d.*", word):
                        assert word.split("=")[0] in known | {"--help"}, f"{name}:{block.line}: {verb} has no {word}"


def _options(verb: str) -> set[str]:
    if verb not in _options_of:
        done = subprocess.run(
            [sys.executable, "-m", "acutance.cli.main", verb, "--help"], capture_output=True, text=True, check=True,
            env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        _options_of[verb] = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", done.stdout))
    return _options_of[verb]


_options_of: dict[str, set[str]] = {}


@pytest.mark.parametrize("name", ALL)
def test_links_lead_somewhere(name: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), f"{name}: {target}"
        if anchor and page.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}
            assert anchor in anchors, f"{name}: {target}"


def test_the_reference_is_what_the_docstrings_say() -> None:
    for module in ("torch", "onnx"):
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_api.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_explains_every_public_name() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    empty = re.findall(r"^### (\S+)\n\n(?:```python\n(?:(?!```).*\n)*```\n\n)?(?=###|##|\Z)", text, re.M)
    assert not empty, f"no word about {', '.join(empty)}"
    assert np.char.count(text, "### ") > 100
