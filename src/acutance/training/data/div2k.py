"""DIV2K, the usual training set of super-resolution, from its official address.

Agustsson and Timofte: NTIRE 2017 Challenge on Single Image Super-Resolution: Dataset and Study, CVPR Workshops 2017.
800 pictures to train on, 100 to validate, about two megapixels each. For academic research only, says its licence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acutance.errors import CorruptInputError, OutputError, UsageError
from acutance.training.data.download import Progress, download, extract_zip, remove_quietly

__all__ = ["BASE_URL", "PARTS", "Div2kPart", "fetch_div2k"]

BASE_URL = "https://data.vision.ee.ethz.ch/cvl/DIV2K/"


@dataclass(frozen=True, slots=True)
class Div2kPart:
    """One archive. folder: what it unpacks to. size_bytes and sha256 are the archive's."""

    folder: str
    size_bytes: int
    sha256: str

    @property
    def archive(self) -> str:
        return f"{self.folder}.zip"


# The publishers give no checksums. These are those of TensorFlow Datasets, which verifies its own downloads from the
# same address with them: github.com/tensorflow/datasets, tensorflow_datasets/url_checksums/div2k.txt.
PARTS: Mapping[str, Div2kPart] = {
    "train": Div2kPart(
        "DIV2K_train_HR", 3530603713, "9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335"
    ),
    "valid": Div2kPart("DIV2K_valid_HR", 448993893, "20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc"),
}


def fetch_div2k(
    target: str | Path,
    *,
    parts: Sequence[str] = ("train", "valid"),
    base_url: str = BASE_URL,
    checksums: Mapping[str, str] | None = None,
    keep_archives: bool = False,
    progress: Progress | None = None,
    timeout: float = 30.0,
    retries: int = 4,
    pause: float = 1.0,
) -> dict[str, Path]:
    """Download and unpack DIV2K; what is there already is kept, what broke off goes on.

    target: folder to put ``DIV2K_train_HR`` and ``DIV2K_valid_HR`` in. parts: ``train``, ``valid`` or both.
    base_url: a mirror that has the same archives. checksums: SHA-256 by part, instead of those known here.
    keep_archives: leave the zip files beside the folders. progress, timeout, retries, pause: see
    :func:`acutance.training.data.download.download`.

    Returns the folder of each part. Raises UsageError, DownloadError, CorruptInputError, OutputError.
    """
    target = Path(target)
    expected = {**{name: part.sha256 for name, part in PARTS.items()}, **(checksums or {})}
    unknown = sorted((set(parts) | set(checksums or {})) - set(PARTS))
    if unknown or not parts:
        raise UsageError(f"parts of DIV2K are {', '.join(PARTS)}, not {', '.join(unknown) or 'none'}")
    folders = {}
    for name in dict.fromkeys(parts):
        part = PARTS[name]
        folder = target / part.folder
        if not folder.is_dir():
            url = base_url.rstrip("/") + "/" + part.archive
            archive = download(
                url,
                target / part.archive,
                sha256=expected[name],
                progress=progress,
                timeout=timeout,
                retries=retries,
                pause=pause,
            )
            _unpack(archive, folder, progress)
            if not keep_archives:
                remove_quietly(archive)
        folders[name] = folder
    return folders


def _unpack(archive: Path, folder: Path, progress: Progress | None) -> None:
    """Unpack beside the final place and rename, so that a folder of that name is always whole."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    remove_quietly(unfinished)
    try:
        extract_zip(archive, unfinished, progress=progress)
        if not (unfinished / folder.name).is_dir():
            raise CorruptInputError(f"{archive}: holds no folder {folder.name}")
        try:
            (unfinished / folder.name).replace(folder)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    finally:
        remove_quietly(unfinished)
