"""Makes docs/api.md of the docstrings of every public name.

python docs/make_api.py            # write it
python docs/make_api.py --check    # say whether it is up to date
"""

import argparse
import dataclasses
import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from acutance.cli.exit_codes import EXIT_CODES

PAGE = Path(__file__).resolve().parent / "api.md"

MODULES = (
    ("acutance", "The class most programs need, and what it gives and takes"),
    ("acutance.sharpening.base", "Sharpeners and sessions"),
    ("acutance.sharpening.single", "One student"),
    ("acutance.sharpening.stream", "Raw video"),
    ("acutance.choosing.automatic", "The student that a picture or a stream needs"),
    ("acutance.choosing.chooser", "How it is chosen"),
    ("acutance.jobs.pipeline", "File jobs"),
    ("acutance.live", "Live jobs"),
    ("acutance.io", "Files, frames, sources and sinks"),
    ("acutance.frame", "What a frame is"),
    ("acutance.students.spec", "What a student is"),
    ("acutance.students.bundled", "The bundled students"),
    ("acutance.engine", "Engines: planes in, planes out"),
    ("acutance.export", "Exports and their parity"),
    ("acutance.metrics", "Measures"),
    ("acutance.degrade", "What a call does to a picture"),
    ("acutance.training.distill.options", "What a training run is"),
    ("acutance.training.distill.run", "A training run"),
    ("acutance.errors", "Everything that can go wrong"),
)

HEAD = """# API reference

Made by `python docs/make_api.py` from the docstrings; a test keeps it up to date. What is not here is private and may
change. `Plane` stands for an array of uint8 or uint16. [integrator.md](integrator.md) shows how the parts are used
together.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    text = page()
    if options.check:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.name} is {'up to date' if same else 'out of date: python docs/make_api.py'}")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    parts = [HEAD]
    parts += [f"- [`{name}`](#{_anchor(name)}): {summary[0].lower()}{summary[1:]}" for name, summary in MODULES]
    seen: dict[int, str] = {}
    for name, summary in MODULES:
        module = importlib.import_module(name)
        parts += ["", f"## {name}", "", f"*{summary}.*", ""]
        parts += _module(module, seen)
    return "\n".join(parts).rstrip() + "\n"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-"))


def _module(module: ModuleType, seen: dict[int, str]) -> Iterator[str]:
    """The public names of a module; one that another module has told of already is only referred to."""
    for name in module.__all__:
        if name.startswith("__"):
            continue
        value = getattr(module, name)
        if _has_docstring(value):
            if id(value) in seen:
                yield f"`{name}`: see [{seen[id(value)]}](#{_anchor(seen[id(value)])}).\n"
                continue
            seen[id(value)] = f"{module.__name__}.{name}"
        yield f"### {module.__name__}.{name}\n"
        yield from _object(name, value, module)


def _has_docstring(value: Any) -> bool:
    return inspect.isclass(value) or inspect.isroutine(value)


def _object(name: str, value: Any, module: ModuleType) -> Iterator[str]:
    if inspect.isclass(value) and issubclass(value, BaseException):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        code = EXIT_CODES.get(value)
        yield f"Inherits {bases}." + (f" Exit code {code}." if code is not None else "") + "\n"
        yield _docstring(value)
    elif inspect.isclass(value):
        if not issubclass(value, enum.Enum):
            yield _code(name + _signature(value).removesuffix(" -> None"))
        yield _docstring(value)
        if issubclass(value, enum.Enum):
            yield ", ".join(f"`{member.name}`" for member in value) + "\n"
        yield from _members(name, value)
    elif inspect.isroutine(value):
        yield _code(name + _signature(value))
        yield _docstring(value)
    else:
        shown = repr(value) if isinstance(value, str | int | float | tuple | frozenset) else ""
        if shown and len(shown) < 300:
            yield _code(f"{name} = {shown}")
        yield _comment(name, module)


def _members(owner: str, kind: type) -> Iterator[str]:
    """Public methods and properties that the class itself, or a private base of it, defines."""
    fields = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    lines = []
    for name, member in inspect.getmembers_static(kind):
        if name.startswith("_") or name in fields or isinstance(member, enum.Enum):
            continue
        target = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(target, property):
            target, call = target.fget, name
        elif inspect.isfunction(target):
            call = name + _signature(target, method=not isinstance(member, staticmethod))
        else:
            continue
        if not getattr(target, "__module__", "").startswith("acutance") or not inspect.getdoc(target):
            continue
        text = inspect.getdoc(target) or ""
        lines.append((target.__code__.co_firstlineno, f"`{owner}.{call}`", text))
    for _, call, text in sorted(lines):
        first, *rest = text.split("\n")
        yield "\n".join([f"- {call}: {_markup(first)}", *(f"  {_markup(line)}".rstrip() for line in rest)])
    if lines:
        yield ""


def _signature(value: Any, *, method: bool = False) -> str:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    parameters = list(signature.parameters.values())[1 if method else 0 :]
    text = str(signature.replace(parameters=[_plain(p) for p in parameters]))
    text = re.sub(r"(: |-> |\[|, |\| )'([\w.\[\], |]+)'", r"\1\2", text)  # names that were not known yet
    text = re.sub(r"numpy\.ndarray\[tuple\[.*?\], numpy\.dtype\[(?:numpy\.)?(\w+)(?:\[.*?\])?\]\]", r"array[\1]", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = text.replace("array[uint8] | array[uint16]", "Plane")
    for word in ("collections.abc.", "pathlib.", "typing.", "fractions.", "contextlib.", "nn.modules.module."):
        text = text.replace(word, "")
    return re.sub(r"\bacutance\.[\w.]+\.(\w+)", r"\1", text)


class _Shown:
    """A default that has no repr worth reading."""

    def __repr__(self) -> str:
        return "..."


def _plain(parameter: inspect.Parameter) -> inspect.Parameter:
    default = parameter.default
    if default is inspect.Parameter.empty or isinstance(default, str | int | float | bool | tuple | None):
        return parameter
    return parameter.replace(default=_Shown())


def _code(text: str) -> str:
    if len(text) > 110 and "(" in text:  # one argument a line
        start, rest = text.split("(", 1)
        inside, end = rest.rsplit(")", 1)
        parts = _split(inside)
        text = start + "(\n" + "".join(f"    {part},\n" for part in parts) + ")" + end
    return f"```python\n{text}\n```\n"


def _split(arguments: str) -> list[str]:
    """At commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(arguments):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(arguments[start:i].strip())
            start = i + 1
    return [p for p in [*parts, arguments[start:].strip()] if p]


_LABEL = re.compile(r"[a-z_]\w*(, \w+)*: |Returns |Raises ")


def _docstring(value: Any) -> str:
    text = inspect.getdoc(value) or ""
    lines: list[str] = []
    code = False
    for line in text.split("\n"):
        if _LABEL.match(line) and lines and lines[-1] and not code:
            lines[-1] += "  "  # Markdown would join them
        example = line.startswith((">>>", "..."))
        if example and not code:
            lines.append("```python")
        elif code and not example:
            lines.append("```")
        code = example
        lines.append(re.sub(r"^(>>>|\.\.\.) ?", "", line) if example else _markup(line))
    if code:
        lines.append("```")
    return "\n".join(lines) + "\n"


def _markup(line: str) -> str:
    """Roles and double back quotes as Markdown has them."""
    line = re.sub(r":\w+:`~?(?:acutance\.)?([\w.]+)`", r"`\1`", line)
    return line.replace("``", "`")


def _comment(name: str, module: ModuleType) -> str:
    """The string below a constant, in the module or in the one that it comes from."""
    for source in (module, *(importlib.import_module(m) for m in _imported(name, module))):
        text = inspect.getsource(source)
        found = re.search(rf'^{name}\b[^\n]*=(?:.*?)\n"""(.*?)"""', text, re.S | re.M)
        if found and "\n\n\n" not in found[0]:
            return _markup(" ".join(found[1].split())) + "\n"
    return ""


def _imported(name: str, module: ModuleType) -> list[str]:
    return re.findall(rf"from (acutance[\w.]*) import [^\n]*?\b{name}\b", inspect.getsource(module))


if __name__ == "__main__":
    sys.exit(main())
