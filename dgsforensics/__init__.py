"""Find AI-generated images in a folder, offline.

    from dgsforensics import Detector

    detector = Detector.load()
    print(detector.score("photo.jpg").verdict)

The names are imported when first used: `import dgsforensics` alone loads neither torch nor a
terminal library.
"""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgsforensics.detector.detector import Detector
    from dgsforensics.errors import DgsError
    from dgsforensics.records import Failure, Prediction, Status, Verdict


class _Clone(MetaPathFinder):
    """In a clone, not installed: the trainer and the weights lie beside this folder, not in it.

    Nothing else there is a part of the package: with the whole folder on its path it would hold
    itself.
    """

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> ModuleSpec | None:
        parent, _, name = fullname.rpartition(".")
        if parent != "dgsforensics" or name not in ("trainer", "weights"):
            return None
        folder = Path(__file__).parents[1] / name
        file = folder / "__init__.py"
        return spec_from_file_location(fullname, file, submodule_search_locations=[str(folder)])


if not Path(__file__).with_name("weights").is_dir():
    # The first to be asked, for another copy may be installed to be edited.
    sys.meta_path.insert(0, _Clone())

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
