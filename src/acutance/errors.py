"""Everything that can go wrong, as one tree.

Every leaf also inherits the builtin exception a caller would expect, and carries the exit code that the command line
returns for it. The message is one line that names the file or option and the reason.
"""

__all__ = [
    "AcutanceError",
    "Cancelled",
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
    """Root of everything acutance raises on purpose."""

    exit_code = 1


class UsageError(AcutanceError, ValueError):
    """An option or argument has a value that is not accepted."""

    exit_code = 2


class InputNotFoundError(AcutanceError, FileNotFoundError):
    """An input path does not exist, or a pattern matches nothing."""

    exit_code = 3


class NotMediaError(AcutanceError, ValueError):
    """A file is neither an image nor a video that is accepted here (empty, text, playlist, audio only)."""

    exit_code = 4


class CorruptInputError(AcutanceError, ValueError):
    """A file of a known kind from which not one frame could be decoded."""

    exit_code = 5


class TruncatedInputWarning(UserWarning):
    """A file that broke off: what could be read was kept. The command line then returns ``exit_code``."""

    exit_code = 6


class UnsupportedMediaError(AcutanceError, ValueError):
    """Readable, but refused for a stated reason: interlaced, HDR, absurd dimensions, an unknown pixel format."""

    exit_code = 7


class OutputExistsError(AcutanceError, FileExistsError):
    """The output exists and overwriting was not asked for, or the output is the input."""

    exit_code = 8


class OutputError(AcutanceError, OSError):
    """The output cannot be written: full disk, no permission, no such folder, no such encoder."""

    exit_code = 9


class ModelError(AcutanceError, ValueError):
    """A model is unknown, or its file is not one: wrong shapes, NaNs, missing or contradictory metadata."""

    exit_code = 10


class ConfigError(AcutanceError, ValueError):
    """A training configuration has an unknown key or a value out of range."""

    exit_code = 11


class MissingExtraError(AcutanceError, ImportError):
    """An optional dependency is not installed; the message says which extra brings it."""

    exit_code = 12


class TeacherError(AcutanceError, ValueError):
    """A teacher does not beat its input by the stated margin, or its weights do not fit it."""

    exit_code = 13


class EngineError(AcutanceError, RuntimeError):
    """An engine was asked for that cannot run here, or was given a plane it cannot take."""

    exit_code = 14


class DownloadError(AcutanceError, OSError):
    """A download failed, or what arrived does not match its checksum."""

    exit_code = 15


class SourceError(AcutanceError, OSError):
    """A camera, screen or stream cannot be opened, may not be used, or has gone."""

    exit_code = 16


class PeerError(AcutanceError, ConnectionError):
    """A process of a training run cannot reach the others, has lost one of them, or no longer agrees with them."""

    exit_code = 17


class ResumeError(AcutanceError, ValueError):
    """An unfinished job cannot go on: its input, settings or program were others, or its journal was altered."""

    exit_code = 18


class Cancelled(AcutanceError, KeyboardInterrupt):  # noqa: N818 - it is not an error but an answer to Ctrl-C
    """The user stopped the job; what is unfinished was cleaned up, or the message says how it goes on."""

    exit_code = 130
