"""Facts of a report as names and values for people; what nobody kept is "not recorded"."""

import shlex
from collections.abc import Iterator

from dgsforensics.case.circumstances import Circumstances
from dgsforensics.detector.calibration import Calibration, Thresholds
from dgsforensics.judgements import Decision
from dgsforensics.provenance.strength import strength
from dgsforensics.report.facts import CaseReport, ReportImage, ReportScan
from dgsforensics.review import phrases
from dgsforensics.review.scale import Scale
from dgsforensics.wording import chance, counted, listed, rate

NOT_RECORDED = "not recorded"
NOT_CHECKED = (
    ("signatures of C2PA manifests", "not checked"),
    ("SynthID and other invisible watermarks", "not checked"),
    ("edited or pasted parts of a picture", "not checked; the score is of the whole picture"),
    ("whether a claim of a file is true", "not checked"),
    ("dates and places that files name", "not checked"),
)
"""By what, in every report."""
ALWAYS = (
    "A score is a signal, not proof. It cannot replace a look at where a file came from.",
    "The score is a probability at equal priors, as if every second image were generated; it is "
    "not the probability that this image was.",
    "What a file claims is never part of the score. Claims are easily removed and easily forged, "
    "and their absence is no evidence of anything.",
)
"""What holds for every detector."""

Fact = tuple[str, str]


def _said(value: object) -> str:
    return NOT_RECORDED if value is None or value == "" else str(value)


def moment(time: str | None) -> str:
    """Return a time to the second, in UTC."""
    return NOT_RECORDED if time is None else f"{time[:19].replace('T', ' ')} UTC"


def of_case(report: CaseReport) -> Iterator[Fact]:
    """Yield what is to be stated of the report as a whole."""
    yield "report made", f"{moment(report.made)}, by dgsforensics {report.tool_version}"
    yield "case file", str(report.case)
    yield "folder", NOT_RECORDED if report.root is None else str(report.root)
    unread = sum(len(image.places) for image in report.images if image.verdict is None)
    yield "files", f"{report.files}, of which {unread} gave no score"
    for scan in report.scans:
        if scan.scale is not None:
            made = scan.info.settings
            yield "detector", f"{made.model}, SHA-256 {made.model_sha256}"
            yield "thresholds", _thresholds(scan.scale)
    sound = report.verified
    checked = f"{counted(sound.scores, 'score')} of {counted(sound.images, 'image')}"
    yield (
        "case file checked",
        f"when this report was made: {checked} and {counted(sound.log.entries, 'decision')} as "
        "they were written",
    )
    yield (
        "head of the log of decisions",
        sound.log.head if sound.log.entries else "none: it is empty",
    )
    yield "manual expert review", manual_review(report)
    if report.earlier:
        yield "earlier scans of which no result is left", str(report.earlier)


def manual_review(report: CaseReport) -> str:
    """Return who looked at how many images."""
    images = len({image.row.facts.sha256 or image.paths[0] for image in report.images})
    done = [
        f"{share.name} ({sum(share.labels.values())} of {counted(images, 'image')})"
        for share in report.reviewers
        if share.labels
    ]
    if not done:
        return "not done"
    return f"done by {', '.join(done)}; what makes them experts: {NOT_RECORDED}"


def of_scan(scan: ReportScan) -> Iterator[Fact]:
    """Yield what is to be stated of one scan."""
    info, made = scan.info, scan.info.settings
    options = made.options
    yield "begun", moment(info.started.isoformat())
    ended = None if info.finished is None else moment(info.finished.isoformat())
    yield "ended", ended or f"{NOT_RECORDED}: it was interrupted, or is still running"
    yield "files in this report", str(scan.files)
    yield "left out", _left_out(scan)
    if info.outcome is not None and info.outcome.named:
        yield (
            "left out, by name",
            "; ".join(f"{path} ({kind})" for path, kind in info.outcome.named),
        )
    yield "tool", f"dgsforensics {made.tool_version}"
    versions = options.versions
    said = ", ".join(f"{name} {number}" for name, number in (versions or {}).items())
    yield "versions", _said(said)
    yield "detector", made.model
    yield "SHA-256 of the detector file", made.model_sha256
    yield "SHA-256 of its weights", _said(made.weights_sha256)
    yield "preprocessing", made.preprocessing
    if scan.scale is None:
        yield "thresholds", "not used: nothing that was scored is left"
    else:
        thresholds = scan.scale.thresholds
        yield "thresholds", _thresholds(scan.scale)
        yield "as logits", f"{thresholds.upper:.4f} and {thresholds.lower:.4f}"
    yield "false-positive rate asked for", "none" if options.fpr is None else rate(options.fpr)
    chosen = options.probability
    yield "threshold asked for", "none" if chosen is None else chance(chosen)
    yield from _circumstances(made.circumstances)
    yield "device asked for", _said(options.device)
    yield "model ran on", _ran_on(scan)
    yield "left out on request", ", ".join(options.exclude) or "nothing"
    yield "archives", "read as folders" if options.archives else "not looked into"


def _circumstances(now: Circumstances | None) -> Iterator[Fact]:
    yield "operator", NOT_RECORDED if now is None else now.operator or "no login name"
    yield "host", NOT_RECORDED if now is None else f"{now.host}, {now.system}"
    command = None if now is None else shlex.join(now.command)
    yield "command", _said(command)
    if now is not None and now.folder:
        yield "given in", now.folder


def _ran_on(scan: ReportScan) -> str:
    outcome = scan.info.outcome
    if outcome is None:
        return NOT_RECORDED
    if outcome.device is None:
        return "nothing: all was scored before"
    return f"{outcome.device}, batches of {outcome.batch}"


def limits_of(calibration: Calibration, thresholds: Thresholds) -> str:
    """Return from where on images are flagged and inconclusive."""
    said = f"flagged from {chance(calibration.probability(thresholds.upper))}"
    if thresholds.lower < thresholds.upper:
        said += f", inconclusive from {chance(calibration.probability(thresholds.lower))}"
    return said


def _thresholds(scale: Scale) -> str:
    said = limits_of(scale.calibration, scale.thresholds)
    return f"{said}; chosen by: {_said(scale.thresholds.origin)}"


def _left_out(scan: ReportScan) -> str:
    kinds = scan.info.settings.options.left_out
    if kinds is None:
        return NOT_RECORDED
    return f"{sum(kinds.values())} ({listed(kinds)})" if kinds else "nothing"


def of_image(image: ReportImage) -> Iterator[Fact]:
    """Yield what is known of an image beside its score, its claims and its labels."""
    facts = image.row.facts
    yield "SHA-256", _said(facts.sha256)
    size = f"{facts.width} x {facts.height} pixels" if facts.width else None
    amount = None if facts.size is None else phrases.amount(facts.size)
    yield "file", _said(", ".join(filter(None, [facts.format, size, amount])))
    if (facts.frames or 1) > 1:
        yield "frames", f"{facts.frames}; the first was scored"
    if image.verdict is None:
        yield "no score because", _said(image.row.reason)
        return
    yield "limits of this score", image.row.reason or "none recorded"
    yield "logit", NOT_RECORDED if image.row.logit is None else f"{image.row.logit:.4f}"
    if image.origin is None:
        yield "scored", NOT_RECORDED
    else:
        made = image.origin
        yield "scored", f"{moment(made.time)}, by dgsforensics {made.tool_version}"
        yield "computed with", _said(made.computed_with)
        if image.scale is None or made.model_sha256 != image.scale.scan.settings.model_sha256:
            yield "with the same weights in the detector file", made.model_sha256
    yield "in scan", str(image.row.scan_id)
    for other in image.others:
        probability = NOT_RECORDED if other.probability is None else chance(other.probability)
        verdict = other.verdict or f"verdict {NOT_RECORDED}"
        yield f"score by {other}", f"{verdict}, score {probability}, logit {other.logit:.4f}"


def claims(image: ReportImage) -> list[tuple[str, str, str, str]]:
    """Return what a file claims: what, value, where it stands, how strong it is."""
    return [
        (piece.name, piece.value, piece.origin, str(strength(piece)))
        for piece in image.claims or ()
    ]


def decision(made: Decision) -> tuple[str, str, str, str, str]:
    """Return who said what, when, with which note, and how the picture was seen."""
    label = phrases.JUDGEMENTS[made.judgement] if made.judgement else "no label"
    seen = NOT_RECORDED if made.sight is None else phrases.sight(made.sight)
    return made.reviewer, label, moment(made.time), made.note, seen


def agreement(report: CaseReport) -> list[tuple[str, str, str, str]]:
    """Return for each pair of reviewers how many images both labelled, how many alike, and Cohen's
    kappa."""
    return [
        (
            f"{name} and {pair.other}",
            str(pair.both),
            str(pair.same),
            "not defined" if pair.kappa is None else f"{pair.kappa:.2f}",
        )
        for name, pair in report.agreements
    ]
