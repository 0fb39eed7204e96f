"""What nodes do: begin a file, make its segments, join them. Nothing in here knows of Ray.

Every function takes a :class:`Node`, which holds what a process needs for all its tasks, and returns values that JSON
keeps. Results lie in the output folder before a function returns: a node that dies later takes nothing with it.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from acutance.cluster.manifest import DoneFile
from acutance.cluster.node import Node, is_full
from acutance.cluster.store import WORK
from acutance.errors import AcutanceError, CorruptInputError, InputNotFoundError, NotMediaError, OutputExistsError
from acutance.io.files import kind_of
from acutance.jobs.pipeline import JobReport, sharpen_image, sharpen_video
from acutance.jobs.sealed_lines import read_sealed, seal
from acutance.jobs.segment_runs import FinishedSegment, Place, join_segments, plan_segments, sharpen_segments

__all__ = ["FileTask", "begin_file", "join_file", "make_segments", "work_folder"]

FileTask = dict[str, Any]
"""A file to work on: ``name``, ``version`` and ``output``, and ``replace``: whether the output may be replaced."""


def work_folder(file: FileTask) -> str:
    """Return the folder, in the output folder, of everything unfinished of a file. A changed input has another one."""
    digest = hashlib.sha256(f"{file['name']}\n{file['version']}".encode()).hexdigest()
    return f"{WORK}/work/{digest[:24]}"


def begin_file(node: Node, file: FileTask) -> dict[str, Any]:
    """Do a file that is one unit of work; plan one that is several.

    Returns:
        ``done``: the finished file, if it is finished. Else ``cuts``: time of the last frame of each segment but the
        last, or None if they are not known without decoding; ``frames``: how many there are, or 0; and ``segments``:
        what earlier runs made of it, by number.
    """
    finished = _found_done(node, file)
    if finished is not None:
        return {"done": asdict(finished)}
    if not file["replace"] and node.target.find(file["output"]) is not None:
        raise OutputExistsError(f"{node.target.at(file['output'])}: exists, and this archive did not make it")
    with _source(node, file) as source:
        kind = kind_of(source)
        if kind is None:
            raise NotMediaError(f"{node.source.at(file['name'])}: neither an image nor a video that is known here")
        if kind == "image":
            return {"done": asdict(_whole(node, file, source, picture=True))}
        plan = plan_segments(source, every=node.settings.segment_frames)
        if plan is not None and not plan.cuts:
            return {"done": asdict(_whole(node, file, source, picture=False))}
    return {
        "cuts": None if plan is None else plan.cuts,
        "frames": 0 if plan is None else plan.frames,
        "segments": dict(_found_segments(node, file)),
    }


def make_segments(node: Node, file: FileTask, number: int, place: dict[str, Any], count: int | None) -> dict[str, Any]:
    """Make segments of a video and store each as soon as it is finished.

    Args:
        node: where this runs.
        file: the video.
        number: of the first segment to make.
        place: where it begins: ``pts`` and ``samples`` (checksum) of the frame before, ``seek``, as
            :class:`acutance.jobs.segment_runs.Place` has them; ``pts`` is None for the first segment.
        count: how many segments to make; None for all up to the end.

    Returns:
        ``segments``: the record of each, by number; ``ended``: whether the video ends with the last of them.
    """
    settings = node.settings
    records: dict[int, dict[str, Any]] = {}
    planned = count is not None if number == 0 else place["samples"] is None
    begun = time.process_time()
    with _source(node, file) as source, node.scratch() as scratch:

        def keep(segment: FinishedSegment) -> None:
            nonlocal begun
            turn = number + len(records)
            path = scratch / segment.entry.segment
            node.target.put(path, f"{work_folder(file)}/{_segment_name(turn)}")
            path.unlink()
            records[turn] = _record(segment, planned=planned and not records)
            records[turn]["seconds"], begun = time.process_time() - begun, time.process_time()
            write(turn)

        def write(turn: int) -> None:
            line, _ = seal(records[turn], after="")
            node.target.write(f"{work_folder(file)}/{_record_name(turn)}", line)

        ended = sharpen_segments(
            node.sharpener,
            source,
            scratch / f"part{PurePosixPath(file['output']).suffix}",
            after=None if place["pts"] is None else Place(number * settings.segment_frames, **place),
            count=count,
            finished=keep,
            every=settings.segment_frames,
            **_options(node),
        )
        _check_unchanged(node, file)
        if ended and records:
            records[max(records)]["last"] = True
            write(max(records))
    return {"segments": records, "ended": ended}


def _record(segment: FinishedSegment, *, planned: bool) -> dict[str, Any]:
    """Return what is to be known of a segment, in values that JSON keeps.

    ``planned`` says that it was made apart, from one time that packets told to another: what it holds is to be compared
    with the segments beside it.
    """
    entry = segment.entry
    return {
        "sha256": entry.sha256,
        "place": {"pts": entry.pts, "samples": entry.samples, "seek": entry.straight},
        "before": None if segment.before is None else list(segment.before),
        "planned": planned,
        "last": False,
        "frames": segment.frames,
        "width": segment.width,
        "height": segment.height,
        "damaged": segment.damaged,
        "notes": segment.notes,
        "choices": [choice.reason for choice in segment.choices],
    }


def join_file(node: Node, file: FileTask, count: int) -> dict[str, Any]:
    """Join the stored segments of a video and put the output under its name.

    Returns:
        ``done``: the finished file; or ``broken``: the numbers of segments that are not as they were stored.
    """
    finished = _found_done(node, file)
    if finished is not None:
        return {"done": asdict(finished)}
    with _source(node, file) as source, node.scratch() as scratch:
        begun = time.process_time()
        found = dict(_found_segments(node, file))
        broken = [turn for turn in range(count) if turn not in found]
        for turn in range(count):
            if turn in broken:
                continue
            path = scratch / _segment_name(turn)
            try:
                node.target.fetch(f"{work_folder(file)}/{path.name}", path)
            except InputNotFoundError:
                broken.append(turn)
                continue
            if _sha256(path) != found[turn]["sha256"]:
                broken.append(turn)
        if broken:
            return {"broken": sorted(broken)}
        records = [found[turn] for turn in range(count)]
        target = scratch / f"joined{PurePosixPath(file['output']).suffix}"
        notes = join_segments(
            source, target, [scratch / _segment_name(turn) for turn in range(count)], **_options(node)
        )
        last = records[-1]
        done = DoneFile(
            **_naming(file),
            size=target.stat().st_size,
            sha256=_sha256(target),
            frames=sum(record["frames"] for record in records),
            width=last["width"],
            height=last["height"],
            damaged=last["damaged"],
            notes=[*dict.fromkeys([note for record in records for note in record["notes"]] + notes)],
            choices=_without_repeats([choice for record in records for choice in record["choices"]]),
            seconds=sum(record["seconds"] for record in records) + time.process_time() - begun,
        )
        _finish(node, file, done, target)
    return {"done": asdict(done)}


def _whole(node: Node, file: FileTask, source: Path, *, picture: bool) -> DoneFile:
    settings, begun = node.settings, time.process_time()
    with node.scratch() as scratch:
        target = scratch / f"whole{PurePosixPath(file['output']).suffix}"
        report: JobReport
        if picture:
            report = sharpen_image(node.sharpener, source, target, scale=settings.scale, quality=settings.quality)
        else:
            report = sharpen_video(
                node.sharpener, source, target, segment_frames=settings.segment_frames, **_options(node)
            )
        if not report.frames:
            raise CorruptInputError(f"{node.source.at(file['name'])}: {report.damaged}; not one frame could be read")
        _check_unchanged(node, file)
        done = DoneFile(
            **_naming(file),
            size=target.stat().st_size,
            sha256=_sha256(target),
            frames=report.frames,
            width=report.width,
            height=report.height,
            damaged=report.damaged,
            notes=list(report.notes),
            choices=[choice.reason for choice in report.choices],
            seconds=time.process_time() - begun,
        )
        _finish(node, file, done, target)
    return done


def _options(node: Node) -> dict[str, Any]:
    settings = node.settings
    return {
        "scale": settings.scale,
        "encoder": settings.encoder,
        "crf": settings.crf,
        "bitrate": settings.bitrate,
        "preset": settings.preset,
        "audio": settings.audio,
        "video_threads": settings.cpus,
    }


def _naming(file: FileTask) -> dict[str, str]:
    return {name: file[name] for name in ("name", "version", "output")}


@contextlib.contextmanager
def _source(node: Node, file: FileTask) -> Iterator[Path]:
    """Yield a path of the input on this node. Errors name input and output as the user knows them."""
    _check_unchanged(node, file)
    try:
        with node.input(file["name"], file["version"]) as path:
            try:
                yield path
            except AcutanceError as error:
                error.args = (str(error).replace(str(path), node.source.at(file["name"])),)
                raise
    except AcutanceError as error:
        if not is_full(error, node.folder):
            scratch = rf"{re.escape(str(node.folder))}/task-\w+/\w+{re.escape(PurePosixPath(file['output']).suffix)}"
            error.args = (re.sub(scratch, lambda _: node.target.at(file["output"]), str(error)),)
        raise


def _check_unchanged(node: Node, file: FileTask) -> None:
    found = node.source.find(file["name"])
    if found is None:
        raise InputNotFoundError(f"{node.source.at(file['name'])}: has gone since the archive began")
    if found.version != file["version"]:
        raise InputNotFoundError(f"{node.source.at(file['name'])}: was changed while it was being archived")


def _finish(node: Node, file: FileTask, done: DoneFile, target: Path) -> None:
    """Put the output under its name. What it will be is written first, so that a task that dies then is not redone."""
    line, _ = seal(asdict(done), after="")
    node.target.write(f"{work_folder(file)}/done", line)
    node.target.put(target, file["output"])


def _found_done(node: Node, file: FileTask) -> DoneFile | None:
    record = _read_record(node, f"{work_folder(file)}/done")
    if record is None:
        return None
    done = DoneFile(**record)
    found = node.target.find(file["output"])
    return done if found is not None and found.size == done.size else None


def _found_segments(node: Node, file: FileTask) -> Iterator[tuple[int, dict[str, Any]]]:
    folder = work_folder(file)
    names = set(node.target.names(folder))
    for name in sorted(names):
        stem, _, kind = name.partition(".")
        if kind == "json" and stem.isdigit() and _segment_name(int(stem)) in names:
            record = _read_record(node, f"{folder}/{name}")
            if record is not None:
                yield int(stem), record


def _read_record(node: Node, name: str) -> dict[str, Any] | None:
    lines, _, broken = read_sealed(node.target.read(name) or b"", after="")
    return lines[0] if lines and broken is None else None


def _segment_name(number: int) -> str:
    return f"{number:06d}.segment"


def _record_name(number: int) -> str:
    return f"{number:06d}.json"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _without_repeats(items: list[str]) -> list[str]:
    return [item for i, item in enumerate(items) if i == 0 or item != items[i - 1]]
