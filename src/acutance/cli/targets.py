"""Which inputs a command line names, and which output each of them gets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from acutance.cli.terminal import complain
from acutance.errors import AcutanceError, InputNotFoundError, OutputError, OutputExistsError, UsageError

if TYPE_CHECKING:
    from acutance.cli.failures import BatchFailures
    from acutance.io.files import MediaFile

__all__ = ["Job", "plan_jobs", "split_paths"]

Job = tuple["MediaFile", "Path | str"]
"""An input file and its output: a path, or ``"-"``."""


def split_paths(paths: Sequence[str], output: str | None) -> tuple[tuple[str, ...], str | None]:
    """Tell inputs from the output.

    With ``output`` every path is an input. Without it, the second of exactly two paths is the output if it is ``-``,
    a folder, or a name that does not exist and is no pattern. Two files that exist are two inputs.

    Args:
        paths: Words of the command line.
        output: Value of ``--output``, or None.

    Returns:
        The inputs, and the output or None.
    """
    if output is None and len(paths) == 2 and _is_output(paths[0], paths[1]):
        return (paths[0],), paths[1]
    return tuple(paths), output


def _is_output(source: str, word: str) -> bool:
    from acutance.io._checks import same_file
    from acutance.io.files import is_pattern

    path = Path(word)
    if word == "-" or path.is_dir():
        return True
    if os.path.lexists(path):
        # One file named twice asks for a result in place, which is refused. A device or pipe is no input either.
        return same_file(source, word) or not path.is_file()
    return "://" not in word and not is_pattern(word)


def plan_jobs(
    sources: Sequence[str],
    target: str | None,
    *,
    suffix: str,
    recursive: bool,
    failures: "BatchFailures | None" = None,
) -> list[Job]:
    """Return every input with its output, and make the folders that the outputs need.

    Args:
        sources: Files, folders and patterns.
        target: The output file or folder, ``-``, or None for a name beside each input.
        suffix: What the default name adds to the stem of the input: ``-sharp``.
        recursive: Look in the folders below too.
        failures: Where several sources are named, takes those that cannot be used; None raises for them.

    Raises:
        InputNotFoundError: A source does not exist or matches nothing.
        NotMediaError: A source that is named outright is no picture or video.
        OutputExistsError: An output would replace an input.
        OutputError: A folder cannot be made.
        UsageError: Two inputs would share an output, or the target does not fit the inputs.
    """
    media = _expand(sources, recursive=recursive, failures=failures if len(sources) > 1 else None)
    if not media:
        return []
    if target == "-":
        if len(media) > 1:
            raise UsageError(f"'-' takes one video, not {len(media)} files")
        return [(media[0][0], "-")]
    single = len(sources) == 1 and len(media) == 1 and not Path(sources[0]).is_dir()
    if target is not None and not _names_folder(target):
        if single:
            return [(media[0][0], _checked_file(target))]
        if Path(target).suffix or os.path.lexists(target):
            raise UsageError(f"{target}: several inputs need a folder to write to, and this is not one")
    outputs = _outputs(media, target, suffix)
    for folder in sorted({output.parent for _, output in outputs}):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    return list(outputs)


def _checked_file(target: str) -> Path:
    path = Path(target)
    if path.exists() and not path.is_file():
        raise OutputError(f"{target}: is not a regular file")
    if not path.suffix and not path.exists():
        raise UsageError(
            f"{target}: has no suffix; end it in one, as in {target}.mp4, or in / to write to a folder of that name"
        )
    return path


def _expand(
    sources: Sequence[str], *, recursive: bool, failures: "BatchFailures | None"
) -> list[tuple["MediaFile", Path | None]]:
    """Return every file once, with the folder that it was found in if its source is one."""
    from acutance.io.files import expand_inputs, unread_pictures

    found: dict[Path, tuple[MediaFile, Path | None]] = {}
    for source in sources:
        try:
            if "://" in source and not Path(source).exists():
                raise InputNotFoundError(f"{source}: is an address, not a file; 'acutance live' plays streams")
            base = Path(source) if Path(source).is_dir() else None
            for path in () if base is None else unread_pictures(base, recursive=recursive):
                complain(f"{path}: is left out: pictures of this kind are not read; convert it to PNG or JPEG")
            for item in expand_inputs([source], recursive=recursive):
                found.setdefault(item.path.resolve(), (item, base))
        except (AcutanceError, OSError, ValueError, RuntimeError) as error:  # of names and links that lead nowhere
            if failures is None:
                raise
            failures.total += 1
            failures.add(source, error)
    return list(found.values())


def _outputs(
    media: Sequence[tuple["MediaFile", Path | None]], target: str | None, suffix: str
) -> list[tuple["MediaFile", Path]]:
    from acutance.io.files import default_output

    outputs: list[tuple[MediaFile, Path]] = []
    taken: dict[Path, Path] = {}
    inputs = {item.path.resolve() for item, _ in media}
    for item, base in media:
        named = default_output(item.path, suffix)
        if target is not None:
            folder = Path(target) if base is None else Path(target) / item.path.relative_to(base).parent
            output = folder / item.path.with_suffix(named.suffix).name
        elif base is not None:
            folder = base.with_name(f"{base.resolve().name}{suffix}") / item.path.relative_to(base).parent
            output = folder / item.path.with_suffix(named.suffix).name
        else:
            output = named
        if output.resolve() in inputs:
            raise OutputExistsError(f"{output}: is an input too, and the result of {item.path} would replace it")
        if output in taken:
            raise UsageError(f"{item.path} and {taken[output]} would both become {output}")
        taken[output] = item.path
        outputs.append((item, output))
    return outputs


def _names_folder(target: str) -> bool:
    return target.endswith(("/", os.sep)) or Path(target).is_dir()
