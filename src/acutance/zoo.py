"""The students that ship inside the package, and how a name finds one."""

from functools import cache
from pathlib import Path

from acutance.errors import ModelError
from acutance.spec import Student, load_student

__all__ = ["DEFAULT_MODEL", "bundled_models", "find_student"]

DEFAULT_MODEL = "fast"
_FOLDER = Path(__file__).parent / "weights"
_TIERS = {"fast": "fast-clean-x2", "balanced": "balanced-clean-x2", "quality": "quality-clean-x2"}
"""What a tier's name alone means: a student added later does not change what people run."""


@cache
def bundled_models() -> dict[str, Path]:
    """Name to file of every bundled student: cheapest tier first, in it what its name alone means, then others."""

    def order(path: Path) -> tuple[int, bool, str]:
        tier = path.stem.split("-")[0]
        return ([*_TIERS, tier].index(tier), path.stem != _TIERS.get(tier), path.stem)

    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"), key=order)}


def find_student(model: str | Path) -> Student:
    """A bundled student by name (``fast-clean-x2``), tier (``fast``), tier and task (``fast-call``) where that is one
    student, or any student by the path of its file.

    Raises ModelError for a name that is neither, naming those that are; InputNotFoundError for a missing path.
    """
    if isinstance(model, Path) or model.endswith(".safetensors") or "/" in model or "\\" in model:
        return load_student(model)
    models = bundled_models()
    name = _TIERS.get(model, model)
    if name in models:
        return load_student(models[name])
    of_task = [path for known, path in models.items() if known.startswith(f"{name}-x")]
    if len(of_task) == 1:
        return load_student(of_task[0])
    raise ModelError(f"unknown model {model!r}; bundled are {', '.join(models) or 'none'}, or give a .safetensors file")
