"""Run the commands and programs of the documents, and check their links, options and docstrings.

A block that cannot be run has ``<!-- not run: why -->`` in the line before it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from io_clips import make_clip
from miniature import draw_picture, make_root

ROOT = Path(__file__).resolve().parents[1]
RUN = ("docs/guide.md", "docs/integrator.md", "docs/training.md")
"""Guides that are run from top to bottom in one folder."""
ALL = sorted(str(p.relative_to(ROOT)) for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
LANGUAGES = {"sh", "python", "c"}
NEEDS = {
    "docs/integrator.md": ("onnxruntime", "openvino", "nncf", "ncnn"),
    "docs/training.md": ("torch", "onnxruntime"),
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
def test_the_commands_of_a_guide_work(name: str, stage: Path) -> None:
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module)
    if any(block.language == "c" for block in _runnable(name)) and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    for block in _runnable(name):
        _run(block, name, stage)


@pytest.mark.parametrize("name", RUN)
def test_blocks_that_are_not_run_say_why(name: str) -> None:
    marked = [block for block in blocks(name) if block.not_run is not None]
    assert all(len(block.not_run or "") > 15 for block in marked)
    assert len(_runnable(name)) >= 2 * len(marked)


@pytest.mark.parametrize("name", ALL)
def test_every_block_names_its_language(name: str) -> None:
    assert not [
        b.line for b in blocks(name) if b.language not in LANGUAGES | {"text", "toml", "json", "cpp", "mermaid", "js"}
    ]


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
def test_links_have_targets(name: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith(("mailto:", "../../actions/")):  # a page of the repository's host
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), f"{name}: {target}"
        if anchor and page.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
            anchors = {re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings}
            assert anchor in anchors, f"{name}: {target}"


@pytest.mark.long  # each program starts Python anew, and one sharpens a video
@pytest.mark.parametrize("language", ["python", "c"])
def test_the_programs_of_the_readme_work(language: str, stage: Path) -> None:
    if language == "c" and shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    programs = [block for block in blocks("README.md") if block.language == language]
    assert programs
    for block in programs:
        _run(block, "README.md", stage)


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 160


def test_the_readmes_table_has_the_committed_figures(capsys: pytest.CaptureFixture[str]) -> None:
    import readme_table

    assert readme_table.main(["--check"]) == 0, capsys.readouterr().out


def _documented_modules() -> list[str]:
    pages = sorted((ROOT / "docs" / "api").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.M)]


def test_the_reference_explains_every_public_name() -> None:
    griffe = pytest.importorskip("griffe")
    package = griffe.load("acutance", search_paths=[str(ROOT / "src")])
    explained = 0
    for module in _documented_modules():
        members = package[module.removeprefix("acutance.")].members
        assert members["__all__"].value, module
        public = [member for name, member in members.items() if not name.startswith("_") and not member.is_alias]
        empty = [member.path for member in public if member.is_public and not member.docstring]
        assert not empty, f"no docstring: {', '.join(empty)}"
        explained += len(public)
    assert explained > 100


# Parts whose public functions and classes all describe their arguments. Add a part once it does.
DESCRIBED = ("degrade", "demo", "errors", "export", "frame", "live", "luma", "metrics")


def test_docstrings_describe_all_arguments() -> None:
    griffe = pytest.importorskip("griffe")
    package = griffe.load("acutance", search_paths=[str(ROOT / "src")])
    checked, lacking = 0, []
    waiting = [package[part] for part in DESCRIBED]
    while waiting:
        item = waiting.pop()
        if item.is_module or item.is_class:
            waiting += [m for name, m in item.members.items() if not name.startswith("_") and not m.is_alias]
        if item.is_module or item.is_attribute or not item.is_public:
            continue
        source = item.members.get("__init__") if item.is_class else item
        names = {p.name for p in source.parameters} - {"self", "cls"} if source and not source.is_alias else set()
        parsed = item.docstring.parse("google") if item.docstring else []
        described = {p.name for s in parsed if s.kind.value in ("parameters", "attributes") for p in s.value}
        checked += 1
        if len(names) > 1 and not names <= {name.lstrip("*") for name in described}:
            lacking.append(f"{item.path}: {', '.join(sorted(names - described))}")
    assert not lacking
    assert checked > 150


def test_the_navigation_of_the_site_has_every_page() -> None:
    listed = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert listed == {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}
