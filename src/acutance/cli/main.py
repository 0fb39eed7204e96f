"""The command line: finds the verb, turns errors into one line and an exit code. Nothing imports this package."""

import contextlib
import dataclasses
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Sequence

from acutance import __version__
from acutance.cli.exit_codes import exit_code, explain
from acutance.errors import AcutanceError, Cancelled, OutputError, UsageError

__all__ = ["VERBS", "main"]

VERBS = {
    "demo": "make a clip, send it through a call, sharpen it, and show what was gained",
    "sharpen": "sharpen pictures and videos",
    "live": "sharpen a camera, the screen or a stream while it happens",
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
    """Run a command line; returns its exit code. Errors acutance raises on purpose become one line on stderr."""
    warnings.showwarning = _show_warning
    try:
        code = _leave(_dispatch(list(sys.argv[1:] if arguments is None else arguments)))
        sys.stdout.flush()  # at exit, a reader that has gone away could not be told from an error
        return code
    except KeyboardInterrupt as error:  # Cancelled is one, and says more
        _fail(_explain(error, arguments) or "stopped; nothing unfinished was left behind", exit_code(Cancelled))
        return _leave(exit_code(Cancelled))
    except AcutanceError as error:
        return _fail(_explain(error, arguments), exit_code(error))
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); there is nobody left to tell, and Python must not try at exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # what no layer below expected: still one line, with the file where it has one
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", exit_code(OutputError))


def _explain(error: BaseException, arguments: Sequence[str] | None) -> str:
    verb = next(iter(sys.argv[1:] if arguments is None else arguments), "")
    options = getattr(sys.modules.get(f"acutance.cli.{verb}"), "Options", None)
    return explain(error, set() if options is None else {field.name for field in dataclasses.fields(options)})


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


def _run(verb: str, arguments: Sequence[str]) -> int:
    import tyro

    module = importlib.import_module(f"acutance.cli.{verb}")
    options = tyro.cli(
        module.Options,
        prog=f"acutance {verb}",
        description=VERBS[verb].capitalize() + ".",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    return int(module.run(options))


def _leave(code: int) -> int:
    """Return ``code``, or end the process with it where a thread hangs on a pipe and would keep Python from ending."""
    if any(thread.name.startswith("acutance") for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(code)
    return code


def _fail(message: str, code: int) -> int:
    print(f"acutance: {' '.join(message.split())}", file=sys.stderr)
    return code


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"acutance: warning: {' '.join(str(message).split())}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
