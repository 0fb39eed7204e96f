"""What the command line returns for each kind of error, and which options it says would help."""

from collections.abc import Collection

from acutance.errors import (
    AcutanceError,
    Cancelled,
    ClusterError,
    ConfigError,
    CorruptInputError,
    DownloadError,
    EngineError,
    InputNotFoundError,
    MissingExtraError,
    ModelError,
    NotMediaError,
    OutputError,
    OutputExistsError,
    PeerError,
    ResumeError,
    SourceError,
    TeacherError,
    TruncatedInputWarning,
    UnsupportedMediaError,
    UsageError,
)

__all__ = ["EXIT_CODES", "exit_code", "explain"]

EXIT_CODES: dict[type[Exception], int] = {
    AcutanceError: 1,
    UsageError: 2,
    InputNotFoundError: 3,
    NotMediaError: 4,
    CorruptInputError: 5,
    TruncatedInputWarning: 6,
    UnsupportedMediaError: 7,
    OutputExistsError: 8,
    OutputError: 9,
    ModelError: 10,
    ConfigError: 11,
    MissingExtraError: 12,
    TeacherError: 13,
    EngineError: 14,
    DownloadError: 15,
    SourceError: 16,
    PeerError: 17,
    ResumeError: 18,
    ClusterError: 19,
    Cancelled: 130,
}
"""Exit code of each kind; a kind that is not here has that of its base."""

_REMEDIES = {
    "fresh": "--fresh starts over",
    "out": "--out names another place",
    "overwrite": "--overwrite replaces what is there",
    "resume": "--resume continues",
}


def exit_code(kind: type[BaseException] | BaseException) -> int:
    """Return the exit code of an error or of a kind of error."""
    bases = (kind if isinstance(kind, type) else type(kind)).__mro__
    return next((EXIT_CODES[base] for base in bases if base in EXIT_CODES), 1)


def explain(error: BaseException, known: Collection[str]) -> str:
    """Return an error's message with the options that would help. known: the options of the verb in use."""
    remedies = error.remedies if isinstance(error, AcutanceError) else ()
    ways = [_REMEDIES[option] for option in remedies if option in _REMEDIES and option in known]
    return "; ".join([str(error), ", ".join(ways)]) if ways else str(error)
