"""Dependencies point one way; importing costs next to nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import acutance
from acutance.cli.main import VERBS

ROOT = Path(acutance.__file__).parent

# Each part may import itself and those named here. Kept as docs/design.md draws it.
BASE = {"errors", "frame", "luma", "students", "_util"}
COMPILED = {"_native"}  # native/, which the engine alone may call
MAY_IMPORT = {
    "engine": BASE | COMPILED,
    "io": BASE,
    "degrade": BASE,
    "metrics": BASE,
    "sharpening": BASE | {"engine"},
    "choosing": BASE | {"engine", "metrics", "sharpening"},
    "jobs": BASE | {"engine", "io", "degrade", "metrics", "sharpening", "choosing"},
    "cluster": BASE | {"engine", "io", "metrics", "sharpening", "choosing", "jobs"},
    "live": BASE | {"engine", "io", "metrics", "sharpening", "choosing"},
    "api": BASE | {"sharpening", "choosing", "jobs"},
    "web": BASE | {"engine"},
    "export": BASE | {"engine", "io", "degrade", "metrics"},
    "demo": BASE | {"engine", "io", "degrade", "metrics", "sharpening", "choosing", "jobs"},
    "training": BASE,
    "training.data": BASE | {"io", "degrade", "metrics", "choosing"},
    "training.models": BASE | {"training.data", "choosing"},
    "training.distill": BASE | {"training.data", "training.models", "degrade", "metrics", "choosing"},
    "evaluate": BASE
    | {"engine", "io", "degrade", "metrics", "sharpening", "choosing", "jobs", "training.data", "training.models"},
}
BASE_MAY_IMPORT = {
    "errors": set(),
    "frame": {"errors"},
    "luma": {"errors"},
    "students": {"errors"},
    "_util": {"errors", "frame"},
}
TORCH_PARTS = {"training.models", "training.distill", "evaluate"}


def _modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if p.name not in ("__main__.py",))


def _part(path: Path) -> str:
    return _part_of_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))


def _part_of_module(module: str) -> str:
    """Return the part of a module named without ``acutance.``; the rooms of ``training`` are parts of their own."""
    names = module.split(".")
    return ".".join(names[:2] if names[0] == "training" else names[:1])


def _imports(path: Path, *, types: bool = True) -> set[str]:
    """Every module imported anywhere in a file, also inside functions and (with ``types``) for type checking."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not types:
        tree.body = [n for n in tree.body if not (isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            found |= {f"{module}.{alias.name}" if module == "acutance" else module for alias in node.names}
    return found


def test_imports_follow_the_arrows(subtests: pytest.Subtests) -> None:
    for path in _modules():
        if _part(path) not in ("cli", "__init__"):
            with subtests.test(module=str(path.relative_to(ROOT))):
                _check_arrows(path)


def _check_arrows(path: Path) -> None:
    part = _part(path)
    allowed = BASE_MAY_IMPORT.get(part) if part in BASE else MAY_IMPORT.get(part)
    assert allowed is not None, f"{part} is new: draw its arrows in docs/design.md and here"
    theirs = {_part_of_module(m.removeprefix("acutance.")) for m in _imports(path) if m.startswith("acutance.")} - {
        part,
        "__version__",
    }
    assert theirs <= allowed, f"{part} must not import {sorted(theirs - allowed)}"


def test_nothing_imports_the_command_line() -> None:
    for path in _modules():
        if _part(path) != "cli":
            assert not any(m.startswith("acutance.cli") for m in _imports(path)), path


def test_torch_stays_on_the_training_side() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in _modules()
        if _part(path) not in {*TORCH_PARTS, "cli"} and any(m.split(".")[0] == "torch" for m in _imports(path))
    ]
    assert not guilty


def test_only_one_module_imports_pyav() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in _modules()
        if path != ROOT / "_util" / "av.py" and any(m.split(".")[0] == "av" for m in _imports(path, types=False))
    ]
    assert not guilty


def test_no_error_of_the_library_names_a_command_line_flag() -> None:
    """The command line adds flags to messages (``cli/exit_codes.py``). A program that calls the library has none."""
    found = []
    for path in _modules():
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if _part(path) != "cli" else ()
        for part in (part for node in nodes if isinstance(node, ast.Raise) for part in ast.walk(node)):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                flags = re.findall(r"(?<!\S)--[a-z]+", part.value.partition("pip install")[0])
                found += [f"{path.relative_to(ROOT)}:{part.lineno}: {flag}" for flag in flags]
    assert not found


def test_there_are_no_import_cycles() -> None:
    graph = {}
    dotted = {p: ".".join(("acutance", *p.relative_to(ROOT).with_suffix("").parts)) for p in _modules()}
    names = {name.removesuffix(".__init__"): path for path, name in dotted.items()}
    for name, path in names.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        top = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
        graph[name] = {n.module for n in top if n.module in names and n.module != name}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*trail, name))
            done.add(name)

    done: set[str] = set()
    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    "code",
    [
        "import acutance",
        "import acutance; acutance.bundled_models()",
        "from acutance.cli.main import main; main(['--help'])",
    ],
)
def test_a_light_start_loads_neither_torch_nor_a_video_library(code: str) -> None:
    probe = (
        f"import sys, time; t = time.process_time(); {code}; t = time.process_time() - t; "
        "bad = {'torch', 'av', 'PIL', 'onnxruntime', 'cv2'} & set(sys.modules); assert not bad, bad; print(f'{t:.3f}')"
    )
    times = []
    for _ in range(3):  # the fastest of three: another process may be in the way of one
        done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
        times.append(float(done.stdout.splitlines()[-1]))
    assert min(times) < 0.35, times


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_loads_neither_torch_nor_a_video_library(verb: str) -> None:
    probe = (
        "import sys\n"
        "from acutance.cli.main import main\n"
        "try:\n"
        f"    main([{verb!r}, '--help'])\n"
        "except SystemExit as stop:\n"
        "    assert stop.code in (0, None), stop.code\n"
        "bad = {'torch', 'av', 'onnxruntime'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
