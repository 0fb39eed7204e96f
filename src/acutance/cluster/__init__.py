"""Archives: folders of recordings, sharpened on a Ray cluster (extra ``acutance[cluster]``)."""

from acutance.cluster.archive import ArchiveReport, archive_folder
from acutance.cluster.progress import ArchiveProgress, FailedFile
from acutance.cluster.settings import ArchiveSettings

__all__ = ["ArchiveProgress", "ArchiveReport", "ArchiveSettings", "FailedFile", "archive_folder"]
