"""Everything that can go wrong, as one tree.

Every leaf also inherits the builtin exception that a caller would expect. The message is one line that names the file
or option and the reason.
"""

from typing import Self

__all__ = [
    "AcutanceError",
    "Cancelled",
    "ClusterError",
    "ConfigError",
    "CorruptInputError",
    "DownloadError",
    "EngineError",
    "InputNotFoundError",
    "MissingExtraError",
    "ModelError",
    "NotMediaError",
    "OutputError",
    "OutputExistsError",
    "PeerError",
    "ResumeError",
    "SourceError",
    "TeacherError",
    "TruncatedInputWarning",
    "UnsupportedMediaError",
    "UsageError",
]


class AcutanceError(Exception):
    """Root of everything acutance raises on purpose.

    Attributes:
        remedies: Names of options that would resolve it, such as ``overwrite``; a front end says how it spells them.
    """

    remedies: tuple[str, ...] = ()

    def offering(self, *options: str) -> Self:
        """Set the options that would resolve it; return the error itself."""
        self.remedies = options
        return self


class UsageError(AcutanceError, ValueError):
    """An option or argument has a value that is not accepted."""


class InputNotFoundError(AcutanceError, FileNotFoundError):
    """An input path does not exist, or a pattern matches nothing."""


class NotMediaError(AcutanceError, ValueError):
    """A file is neither an image nor a video that is accepted here (empty, text, playlist, audio only)."""


class CorruptInputError(AcutanceError, ValueError):
    """A file of a known kind from which not one frame could be decoded."""


class TruncatedInputWarning(UserWarning):
    """A file that broke off: what could be read was kept."""


class UnsupportedMediaError(AcutanceError, ValueError):
    """Readable, but refused for a stated reason: interlaced, HDR, absurd dimensions, an unknown pixel format."""


class OutputExistsError(AcutanceError, FileExistsError):
    """The output exists and overwriting was not asked for, or the output is the input."""


class OutputError(AcutanceError, OSError):
    """The output cannot be written: full disk, no permission, no such folder, no such encoder."""


class ModelError(AcutanceError, ValueError):
    """A model is unknown, or its file is not one: wrong shapes, NaNs, missing or contradictory metadata."""


class ConfigError(AcutanceError, ValueError):
    """A training configuration has an unknown key or a value out of range."""


class MissingExtraError(AcutanceError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""


class TeacherError(AcutanceError, ValueError):
    """A teacher does not beat its input by the stated margin, or its weights do not fit it."""


class EngineError(AcutanceError, RuntimeError):
    """An engine was asked for that cannot run here, or was given a plane it cannot take."""


class DownloadError(AcutanceError, OSError):
    """A download failed, or what arrived does not match its checksum."""


class SourceError(AcutanceError, OSError):
    """A camera, screen or stream cannot be opened, may not be used, or has gone."""


class PeerError(AcutanceError, ConnectionError):
    """A process of a training run cannot reach the others, has lost one of them, or no longer agrees with them."""


class ResumeError(AcutanceError, ValueError):
    """An unfinished job cannot be resumed: its input, settings or program differ, or its journal was altered."""


class ClusterError(AcutanceError, ConnectionError):
    """A cluster does not answer, its nodes differ from the driver, or no node is left that can work."""


class Cancelled(AcutanceError, KeyboardInterrupt):  # noqa: N818 - it is not an error but an answer to Ctrl-C
    """The user stopped the job. What is unfinished was cleaned up, or the message says what is kept."""
