"""``acutance data``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from acutance.cli.progress import JobProgress, ProgressMode
from acutance.errors import Cancelled

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """``acutance data get div2k``: 800 + 100 pictures, 4 GB, from the publishers, for academic research only. An
    interrupted download goes on where it was; what has arrived is checked."""

    action: Annotated[Literal["get"], tyro.conf.Positional]
    """get: download and unpack."""
    name: Annotated[Literal["div2k"], tyro.conf.Positional]
    """Which data set."""
    to: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Folder to put it in; else the variable ACUTANCE_DATA, else the current folder."""
    parts: tuple[Literal["train", "valid"], ...] = ("train", "valid")
    """Which parts of it."""
    mirror: Annotated[str | None, tyro.conf.arg(metavar="URL")] = None
    """Another address that has the same archives; their checksums must be the same."""
    keep_archives: bool = False
    """Leave the archives beside what was unpacked."""
    progress: ProgressMode = "auto"
    """auto, plain, json (one JSON object a line on stdout) or none."""


def run(options: Options) -> int:
    """Fetch a data set."""
    from acutance.training.data.div2k import BASE_URL, PARTS, fetch_div2k
    from acutance.training.data.places import default_data_root

    target = options.to if options.to is not None else default_data_root()
    archives = {part.archive for part in PARTS.values()}
    with JobProgress(options.progress) as progress:

        def show(done: int, total: int | None, what: str) -> None:
            # While unpacking, what is named is a picture within the archive.
            phase, note = (what, "") if what in archives else (f"unpacking {what.split('/')[0]}", what.split("/")[-1])
            progress.update(phase, done, total, note, unit="bytes")

        try:
            folders = fetch_div2k(
                target,
                parts=options.parts,
                base_url=options.mirror or BASE_URL,
                keep_archives=options.keep_archives,
                progress=show,
            )
        except KeyboardInterrupt as error:
            raise Cancelled("stopped; the same command goes on where it was") from error
        for part, folder in folders.items():
            progress.say(f"{part}: {folder}")
        progress.event("done", folders={part: str(folder) for part, folder in folders.items()})
    return 0
