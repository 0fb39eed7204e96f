"""The command line: finds the verb, turns errors into one line and an exit code. Nothing imports this package."""

import contextlib
import dataclasses
import importlib
import os
import shutil
import sys
import threading
import warnings
from collections.abc import Sequence
from importlib.util import find_spec

from acutance import __version__
from acutance.cli.exit_codes import exit_code
from acutance.cli.failures import explain
from acutance.cli.signals import interrupt_on_stop
from acutance.cli.terminal import complain, prepare_streams
from acutance.errors import AcutanceError, Cancelled, MissingExtraError, UsageError

__all__ = ["VERBS", "main"]

VERBS = {
    "demo": "make a clip, send it through a call, sharpen it, and show what was gained",
    "sharpen": "sharpen pictures and videos",
    "archive": "sharpen a folder of recordings on a cluster",
    "live": "sharpen a camera, the screen or a stream while it happens",
    "web": "open the page that sharpens calls in the browser",
    "devices": "list cameras and microphones",
    "models": "list the bundled students with their cost and quality",
    "doctor": "say what this machine can do",
    "bench": "measure how fast the students run here, and what that is enough for",
    "export": "write a student for other programs, and check what was written",
    "convert": "turn a student into integers, and tell what that costs",
    "evaluate": "measure quality against the truth, or change against the input",
    "degrade": "make degraded pictures from sharp ones, for training and testing",
    "data": "fetch data sets from their official addresses",
    "teachers": "inspect and check teachers",
    "distill": "train a student",
}

_LEAST_COLUMNS = 40
_WIDTH = max(map(len, VERBS)) + 2


def _help() -> str:
    lines = [
        f"acutance {__version__}: gives blurred video its sharpness back",
        "",
        "usage: acutance VERB ...      acutance VERB --help tells its options",
        "",
        *(f"  {verb:<{_WIDTH}}{summary}" for verb, summary in VERBS.items()),
        "",
        "first steps:",
        "  acutance demo                    see what it does",
        "  acutance sharpen call.mp4        writes call-sharp.mp4",
        "  acutance live                    your camera, sharper, in a window",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. Every exception becomes one line on the standard error stream.

    Args:
        arguments: The words after the program's name; None for those of this process, whose standard streams are then
            made safe first.
    """
    if arguments is None:
        prepare_streams()
        interrupt_on_stop()
        arguments = sys.argv[1:]
    warnings.showwarning = _show_warning
    try:
        code = _leave(_dispatch(list(arguments)))
        sys.stdout.flush()  # at exit, a reader that has gone away could not be told from an error
        return code
    except KeyboardInterrupt as error:  # Cancelled is one, and says more
        line = explain(error, _options(arguments))[0] if str(error) else "stopped; nothing unfinished was left behind"
        _fail(line, exit_code(Cancelled))
        return _leave(exit_code(Cancelled))
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); there is nobody left to tell, and Python must not try at exit.
        _forget_output()
        return 0
    except Exception as error:
        line, code = explain(error, _options(arguments))
        _fail(line, code)
        if isinstance(error, OSError) and not isinstance(error, AcutanceError):
            _forget_output()  # a full disk below it would fail again at exit
        return _leave(code)


def _options(arguments: Sequence[str]) -> set[str]:
    """Return the names of the options of the verb in use, of which messages may say that they would help."""
    options = getattr(sys.modules.get(f"acutance.cli.{next(iter(arguments), '')}"), "Options", None)
    return set() if options is None else {field.name for field in dataclasses.fields(options)}


def _forget_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] in ("-V", "--version", "version"):
        print(f"acutance {__version__}")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        return _fail(f"unknown verb {verb!r}; known: {', '.join(VERBS)}", exit_code(UsageError))
    return _run(verb, rest)


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _run(verb: str, arguments: Sequence[str]) -> int:
    missing = [name for name in ("tyro", "rich", "av", "PIL") if not _is_there(name)]
    if missing:
        raise MissingExtraError(f"the command line needs {', '.join(missing)}: pip install 'acutance[cli]'")
    import tyro

    _widen_terminal()
    module = importlib.import_module(f"acutance.cli.{verb}")
    options = tyro.cli(
        module.Options,
        prog=f"acutance {verb}",
        description=VERBS[verb].capitalize() + ".",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return int(module.run(options))


def _widen_terminal() -> None:
    """Have help drawn for a usable width: in a few columns its layout never ends, and takes all memory."""
    if shutil.get_terminal_size().columns < _LEAST_COLUMNS:
        os.environ["COLUMNS"] = str(_LEAST_COLUMNS)


def _leave(code: int) -> int:
    """Return ``code``, or end the process with it where a thread hangs on a pipe and would keep Python from ending."""
    if any(thread.name.startswith("acutance") for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)
    return code


def _fail(message: str, code: int) -> int:
    complain(" ".join(message.split()))
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    complain(f"warning: {' '.join(str(message).split())}")


if __name__ == "__main__":
    sys.exit(main())
