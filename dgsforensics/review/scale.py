"""What the logits of a scan mean: calibration and thresholds turn them into verdicts."""

from dataclasses import dataclass

from dgsforensics.detector.calibration import Calibration, Thresholds
from dgsforensics.errors import CaseError
from dgsforensics.records import ScanInfo


@dataclass(frozen=True, slots=True)
class Scale:
    """What the logits of one scan mean."""

    scan: ScanInfo
    calibration: Calibration
    thresholds: Thresholds

    @classmethod
    def of(cls, scan: ScanInfo) -> "Scale":
        """Read from the settings of a scan; raises `CaseError` where they do not say."""
        options = scan.settings.options
        try:
            calibration = Calibration(options["temperature"], options["intercept"], (), (), "")
            return cls(scan, calibration, Thresholds(**options["thresholds"]))
        except (KeyError, TypeError) as error:
            raise CaseError(
                "this case was scanned by an older version, which kept no calibration",
                "scan the folder again; the scores are kept",
            ) from error
