"""The students that ship inside the package, and how a name finds one."""

from functools import cache
from pathlib import Path

from acutance.errors import ModelError
from acutance.spec import Student, load_student

__all__ = ["DEFAULT_MODEL", "bundled_models", "find_student"]

DEFAULT_MODEL = "fast"
_FOLDER = Path(__file__).parent / "weights"
_TIERS = ("fast", "balanced", "quality")


@cache
def bundled_models() -> dict[str, Path]:
    """Name to file of every bundled student: cheapest tier first, then by name."""

    def order(path: Path) -> tuple[int, str]:
        tier = path.stem.split("-")[0]
        return (_TIERS.index(tier) if tier in _TIERS else len(_TIERS), path.stem)

    return {path.stem: path for path in sorted(_FOLDER.glob("*.safetensors"), key=order)}


def find_student(model: str | Path) -> Student:
    """A bundled student by name (``fast-clean-x2``) or tier (``fast``), or any student by the path of its file.

    Raises ModelError for a name that is neither, naming those that are; InputNotFoundError for a missing path.
    """
    if isinstance(model, Path) or model.endswith(".safetensors") or "/" in model or "\\" in model:
        return load_student(model)
    models = bundled_models()
    if model in models:
        return load_student(models[model])
    of_tier = [name for name in models if name.split("-")[0] == model]
    if of_tier:
        return load_student(models[of_tier[0]])
    raise ModelError(f"unknown model {model!r}; bundled are {', '.join(models) or 'none'}, or give a .safetensors file")
