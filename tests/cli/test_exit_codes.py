"""Exit codes and the options that an error offers."""

import inspect

import pytest

from acutance import errors
from acutance.cli.exit_codes import EXIT_CODES, exit_code, explain
from acutance.errors import OutputExistsError, ResumeError, UsageError


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception | Warning)]
    own = {kind: EXIT_CODES[kind] for kind in kinds}
    assert len(set(own.values())) == len(own)


def test_a_kind_without_a_code_has_that_of_its_base() -> None:
    class NarrowerError(UsageError):
        pass

    assert exit_code(NarrowerError) == exit_code(UsageError("x")) == 2
    assert exit_code(RuntimeError("not on purpose")) == 1


def test_an_error_names_the_options_that_the_verb_has() -> None:
    error = OutputExistsError("out.mp4: exists already").offering("resume", "overwrite")
    assert explain(error, {"overwrite"}) == "out.mp4: exists already; --overwrite replaces what is there"
    assert explain(error, set()) == explain(OutputExistsError("out.mp4: exists already"), {"overwrite"}) == str(error)


@pytest.mark.parametrize("kind", [OutputExistsError, ResumeError, UsageError])
def test_an_offer_belongs_to_one_error_alone(kind: type) -> None:
    assert kind("a").offering("overwrite").remedies == ("overwrite",)
    assert kind("b").remedies == ()
