"""From a logit to a probability and a verdict, with error rates that were measured.

A calibration is fitted on images that the head was not trained on. It keeps the sorted logits of
the real photographs and of the generated images it was fitted on, so that a threshold at any
false-positive rate can be read off later and its uncertainty stated. A detector that came without
any has `Calibration.none()`: its probabilities and its default threshold are not measured. One that
was calibrated on photographs alone has thresholds, but no inconclusive band.

The verdicts are defined by error rates. From the upper threshold on an image is flagged: at most
the stated share of photographs is. Below the lower one it is not flagged: at most `DEFAULT_FNR` of
generated images lie there. Between the two neither can be promised, which is what inconclusive
means. Both hold for images from the same kind of source as those measured, and for no others;
`docs/calibration.md` says what that covers.

Where it is known which source each photograph came from, the default threshold is the one at which
the worst of the sources keeps its rate: what one more source will do is told by how much the
sources differ, not by how many photographs there are.
"""

import math
from dataclasses import dataclass
from typing import Any

from dgsforensics.detector.binomial import interval, photographs_for, smallest_rate
from dgsforensics.errors import CheckpointError, UsageError
from dgsforensics.records import Verdict
from dgsforensics.wording import rate as percentage

DEFAULT_FPR = 0.01
"""Share of real photographs that the default threshold may flag."""
ROUNDING = 1e-4
"""Logits that differ by less may be the same picture in batches of different size."""
SOURCE_FPR = 0.05
"""Share of the photographs of each source that the default threshold may flag."""
FEWEST_SOURCES = 5
"""Sources that can promise `SOURCE_FPR` from which on the default is that of the worst one."""
DEFAULT_FNR = 0.2
"""Share of generated images that may fall below the inconclusive band."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where the verdicts change, in logits: `inconclusive` lies in [lower, upper)."""

    lower: float
    upper: float
    origin: str
    """How they were chosen, for people."""

    def verdict(self, logit: float, domain: str | None = None) -> Verdict:
        """Return what a logit means here; every verdict there is comes from this rule.

        `domain` says that the picture is no photograph, and what instead; None: it may be one. What
        is out of domain is never flagged, for no error rate was measured on its like.
        """
        if logit >= self.upper:
            return Verdict.FLAGGED if domain is None else Verdict.INCONCLUSIVE
        return Verdict.INCONCLUSIVE if logit >= self.lower else Verdict.NOT_FLAGGED


@dataclass(frozen=True, slots=True)
class CalibrationSource:
    """What was measured on the photographs of one source."""

    name: str
    real: tuple[float, ...]
    """Ascending logits."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Temperature and intercept of the probability, and the logits that thresholds come from."""

    temperature: float
    """Positive; divides the logit."""
    intercept: float
    """Logit at which the probability is one half."""
    real: tuple[float, ...]
    """Ascending logits of real photographs; empty, as `generated` then is, when not calibrated."""
    generated: tuple[float, ...]
    """Ascending logits of generated images; empty, too, when there were photographs only."""
    measured_on: str
    """What those photographs were, for people."""
    sources: tuple[CalibrationSource, ...] = ()
    """The logits in `real` by source; empty where that is not known."""

    def __post_init__(self) -> None:
        """Check what a damaged file would break."""
        numbers = (self.temperature, self.intercept, *self.real, *self.generated)
        if not all(map(math.isfinite, numbers)) or self.temperature <= 0:
            raise CheckpointError("damaged calibration: temperature and logits must be finite")
        if self.generated and not self.real:
            raise CheckpointError("damaged calibration: logits of generated images only")
        if list(self.real) != sorted(self.real) or list(self.generated) != sorted(self.generated):
            raise CheckpointError("damaged calibration: logits are not sorted")
        if self.sources and sorted(x for s in self.sources for x in s.real) != list(self.real):
            raise CheckpointError("damaged calibration: the sources are not what was measured")

    @classmethod
    def none(cls) -> "Calibration":
        """Return the calibration of a detector that was never calibrated: the plain sigmoid,
        nothing measured.
        """
        return cls(1.0, 0.0, (), (), "nothing: not calibrated")

    @property
    def measured(self) -> bool:
        """Whether there are logits to read error rates from."""
        return bool(self.real)

    def probability(self, logit: float) -> float:
        """Return the probability of "generated" in [0, 1], had both classes been equally common."""
        scaled = (logit - self.intercept) / self.temperature
        if scaled >= 0:
            return 1 / (1 + math.exp(-scaled))
        return math.exp(scaled) / (1 + math.exp(scaled))

    def logit(self, probability: float) -> float:
        """Return the logit at which `probability` is reached; the inverse of `probability`."""
        if not 0 < probability < 1:
            raise UsageError(f"a probability threshold lies between 0 and 1, got {probability}")
        odds = math.log(probability / (1 - probability))
        return self.intercept + self.temperature * odds

    def at_fpr(self, rate: float) -> float:
        """Return a logit from which at most a share `rate` of real photographs is flagged.

        With n calibration photographs at most k = floor(rate (n + 1)) - 1 of them lie at or above
        it, so that a further photograph from the same source of images is flagged with probability
        at most `rate` (split conformal prediction, arXiv 2107.07511). That is a mean over all
        calibrations that might have been: the share that this one flags from now on is distributed
        as Beta(k + 1, n - k) or lies below, whose 97.5 % point is the upper end of
        `binomial.interval(k, n)`. With 99 photographs and a rate of 1 % that is 3.7 %.

        The threshold lies a little above the last photograph that passes, so that no rounding
        changes a verdict. Raises `UsageError` when n is too small to support the rate, or nothing
        was measured.
        """
        count = len(self.real)
        if not 0 < rate < 1:
            raise UsageError(f"a false-positive rate lies between 0 and 1, got {rate}")
        if not self.measured:
            raise UsageError(
                "this detector is not calibrated, so no false-positive rate can be promised",
                "choose a probability with --threshold",
            )
        allowed = math.floor(rate * (count + 1) + 1e-9) - 1
        if allowed < 0:
            raise UsageError(
                f"a false-positive rate of {percentage(rate)} cannot be promised: "
                f"it was calibrated on {count} real photographs",
                f"the smallest rate it supports is {100 * smallest_rate(count):.4g}%; "
                f"this one takes {photographs_for(rate)} photographs",
            )
        return self._just_above(self.real[count - 1 - allowed])

    def at_source_fpr(self, rate: float) -> tuple[float, tuple[str, ...]]:
        """Return a logit from which at most a share `rate` of each source is flagged, and the names
        of the sources that say so, the worst first.

        Each has its own threshold as in `at_fpr`, and the highest one holds. Sources with fewer
        photographs than the rate takes have no say; without any the logit is minus infinity. Were
        the sources drawn at random, the share of sources that exceed the rate would be below the
        upper end of `binomial.interval(0, len(names))`, in 97.5 % of such draws.
        """
        highest = {
            source.name: source.real[len(source.real) - 1 - allowed]
            for source in self.sources
            if (allowed := math.floor(rate * (len(source.real) + 1) + 1e-9) - 1) >= 0
        }
        names = tuple(sorted(highest, key=lambda name: (-highest[name], name)))
        return (self._just_above(highest[names[0]]) if names else -math.inf), names

    def _just_above(self, highest_passed: float) -> float:
        """Return a threshold that no rounding of a logit that passes can reach."""
        above = [x for x in (*self.real, *self.generated) if x > highest_passed]
        gap = min([(x - highest_passed) / 2 for x in above], default=ROUNDING)
        return max(highest_passed + min(gap, ROUNDING), math.nextafter(highest_passed, math.inf))

    def at_fnr(self, rate: float) -> float:
        """Return the highest logit below which at most a share `rate` of generated images falls.

        The promise is that of `at_fpr`, from the other side; with fewer than 1 / rate - 1 generated
        images it is the lowest of them, and nothing is promised. Only where there are some.
        """
        count = len(self.generated)
        return self.generated[max(0, math.floor(rate * (count + 1) + 1e-9) - 1)]

    def thresholds(
        self, *, fpr: float | None = None, probability: float | None = None
    ) -> Thresholds:
        """Return where to cut: at a false-positive rate, at a probability, or (neither) at the
        default.

        The lower end of the inconclusive band misses `DEFAULT_FNR` of the generated images; it
        never lies above the upper end. Without generated images there is no band. Not calibrated,
        the default is a probability of one half.
        """
        if fpr is not None and probability is not None:
            raise UsageError("give a probability or a false-positive rate, not both")
        if not self.measured and fpr is None:
            chosen = 0.5 if probability is None else probability
            cut = self.logit(chosen)
            unknown = "not calibrated, so its false-positive rate is unknown"
            return Thresholds(cut, cut, f"probability {chosen:g}; {unknown}")
        if probability is not None:
            upper = self.logit(probability)
            origin = f"probability {probability:g}; its false-positive rate"
        else:
            smallest = 1 / (len(self.real) + 1)
            rate = max(DEFAULT_FPR, smallest) if fpr is None else fpr
            upper = self.at_fpr(rate)
            origin = f"false-positive rate {percentage(rate)}"
            worst, names = self.at_source_fpr(SOURCE_FPR)
            if fpr is None and len(names) >= FEWEST_SOURCES:
                upper = max(upper, worst)
                beyond = interval(0, len(names))[1]
                origin = (
                    f"at most {percentage(SOURCE_FPR)} of the photographs of each of {len(names)} "
                    f"sources, which up to {percentage(beyond)} of other sources may exceed"
                )
        low, high = interval(sum(x >= upper for x in self.real), len(self.real))
        measured = f"{percentage(low)} to {percentage(high)} (95% interval)"
        origin += f", measured {measured} on {self.measured_on}"
        lower = min(self.at_fnr(DEFAULT_FNR), upper) if self.generated else upper
        return Thresholds(lower, upper, origin)

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain JSON types; `from_dict` is the inverse."""
        return {
            "temperature": self.temperature,
            "intercept": self.intercept,
            "real": list(self.real),
            "generated": list(self.generated),
            "measured_on": self.measured_on,
            "sources": {source.name: list(source.real) for source in self.sources},
        }

    @classmethod
    def from_dict(cls, data: Any) -> "Calibration":
        """Read what `to_dict` wrote; raises `CheckpointError` on anything else."""
        try:
            return cls(
                float(data["temperature"]),
                float(data["intercept"]),
                tuple(float(x) for x in data["real"]),
                tuple(float(x) for x in data["generated"]),
                str(data["measured_on"]),
                tuple(
                    CalibrationSource(str(name), tuple(float(x) for x in logits))
                    for name, logits in data.get("sources", {}).items()  # not in older files
                ),
            )
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"damaged calibration: {error!r}") from error
