"""What the logits of a scan mean: calibration and thresholds turn them into verdicts."""

from dataclasses import dataclass

from dgsforensics.case.scans import ScanInfo
from dgsforensics.detector.calibration import Calibration, Thresholds
from dgsforensics.errors import CaseError


@dataclass(frozen=True, slots=True)
class Scale:
    """What the logits of one scan mean."""

    scan: ScanInfo
    calibration: Calibration
    thresholds: Thresholds

    @classmethod
    def of(cls, scan: ScanInfo) -> "Scale":
        """Read from the settings of a scan; raises `CaseError` where they do not say."""
        stored = scan.settings.options.scale
        if stored is None:
            raise CaseError(
                "this case was scanned by an older version, which kept no calibration",
                "scan the folder again; the scores are kept",
            )
        calibration = Calibration(stored.temperature, stored.intercept, (), (), "")
        return cls(scan, calibration, Thresholds(stored.lower, stored.upper, stored.origin))
