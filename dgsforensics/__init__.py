"""Find AI-generated images in a folder, offline.

    from dgsforensics import Detector

    detector = Detector.load()
    print(detector.score("photo.jpg").verdict)

The names are imported when first used: `import dgsforensics` alone loads neither torch nor a
terminal library.
"""

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgsforensics.detector.detector import Detector
    from dgsforensics.errors import DgsError
    from dgsforensics.records import Failure, Prediction, Status, Verdict

_PACKAGE = Path(__file__).parent
if not (_PACKAGE / "weights").is_dir() and (_PACKAGE.parent / "weights").is_dir():
    # In a clone, not installed: the trainer and the weights lie beside this folder, not in it.
    __path__.append(str(_PACKAGE.parent))

_HOMES = {
    "Detector": "detector.detector",
    "DgsError": "errors",
    "Failure": "records",
    "Prediction": "records",
    "Status": "records",
    "Verdict": "records",
}

__all__ = ["Detector", "DgsError", "Failure", "Prediction", "Status", "Verdict", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name from the module it lives in."""
    if name == "__version__":
        return version("dgsforensics")
    if name in _HOMES:
        return getattr(import_module(f"dgsforensics.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'dgsforensics' has no attribute {name!r}")
