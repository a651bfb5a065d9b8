"""What the board has done in threads: scanning on, and finding what moved a score.

The functions here are handed a way to tell and a way to ask whether to stop; torch is loaded when
the first one starts, never with the screen.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from dgsforensics.errors import CheckpointError
from dgsforensics.judgements import ScoreSeen
from dgsforensics.review.item import Item
from dgsforensics.scan.request import ScanRequest
from dgsforensics.tui.heat import LEAST_ODDS, Heat, matters, on_scale

if TYPE_CHECKING:
    from dgsforensics.detector.detector import Detector

Tell = Callable[[str], object]
Stop = Callable[[], bool]


def scan(request: ScanRequest, tell: Tell, stop: Stop) -> None:
    """Scan into the case, until the end or until told to stop. Raises `DgsError`."""
    tell("loading the detector ...")
    from dgsforensics.scan.job import prepare

    job = prepare(request)
    if job is None:
        return
    done, total = 0, len(job.found)
    tell(f"scanning: 0 of {total}")
    with job.begun() as batches:
        for rows in batches:
            done += len(rows)
            tell(f"scanning: {done} of {total}")
            if stop():
                return


class Explainer:
    """Finds which regions moved a score; keeps the detector once it is loaded."""

    def __init__(self, request: ScanRequest | None) -> None:
        """`request` says where the detector runs; None: as `dgsf scan` would by default."""
        self._request = request
        self._detector: Detector | None = None

    def explain(
        self, item: Item, shown: ScoreSeen, show: Callable[[Heat], None], tell: Tell, stop: Stop
    ) -> None:
        """Show the regions as they are found. Raises `DgsError`."""
        if item.scale is None:
            raise CheckpointError("there is no score to explain")
        temperature = item.scale.calibration.temperature
        tell("loading the detector ...")
        from dgsforensics.detector.explain import explain
        from dgsforensics.pictures import decoder

        detector = self._load(shown)
        picture = decoder.load(item.path)
        for found in explain(detector, picture):
            heat = on_scale([(region.box, region.change) for region in found.regions], temperature)
            is_whole = len(found.regions) == found.total
            # That no region matters can be said when all have been covered.
            show(heat if is_whole or matters(heat) else [])
            tell(f"map: {len(found.regions)} of {found.total} regions")
            if stop():
                return
        largest = max(abs(region.change) for region in found.regions)
        most = f"x{math.exp(largest / temperature):.3g}"
        logit = f"(logit {found.logit:.2f} by {largest:.2f})"
        said = "map" if matters(heat) else f"map: no region matters (from x{LEAST_ODDS:g})"
        tell(f"{said}: covering one changes the odds by up to {most} {logit}")

    def _load(self, shown: ScoreSeen) -> "Detector":
        from dgsforensics.detector.detector import Detector

        if self._detector is None:
            chosen = self._request
            self._detector = Detector.load(
                (chosen and chosen.model) or shown.model,
                chosen.device if chosen else "auto",
                chosen.backbone_weights if chosen else None,
            )
        if self._detector.sha256 != shown.model_sha256:
            raise CheckpointError(
                f"the detector at hand is not the {shown.model} that scored this image",
                "name that one with --model",
            )
        return self._detector
