"""What `dgsf review` asks of a scan before the screen comes up."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dgsforensics.case.scans import ScanInfo, ScanOptions, ScanSettings
from dgsforensics.cli.review import as_before
from dgsforensics.scan.request import ScanRequest


def scanned(**options: object) -> ScanInfo:
    settings = ScanSettings("0", "tiny", "d" * 64, "p", 0.9, ScanOptions.from_dict(options))
    return ScanInfo(1, datetime(2026, 1, 1, tzinfo=UTC), None, settings)


@pytest.mark.parametrize(
    ("asked", "before", "meant"),
    [
        ({}, {}, {}),
        ({}, {"fpr": 0.05, "probability": None}, {"fpr": 0.05}),
        ({"threshold": 0.9}, {"fpr": 0.05, "probability": None}, {"threshold": 0.9}),
        ({"fpr": 0.1}, {"fpr": None, "probability": 0.5}, {"fpr": 0.1}),
        ({}, {"detector": "mine", "exclude": ["*.gif"]}, {"model": "mine", "exclude": ["*.gif"]}),
        ({}, {"archives": False}, {"archives": False}),
        ({"model": "x", "exclude": ["y"]}, {"detector": "mine", "exclude": ["*.gif"]}, None),
    ],
)
def test_what_is_not_asked_for_is_as_in_the_scan_before(
    asked: dict, before: dict, meant: dict | None
) -> None:
    found = as_before(
        ScanRequest([Path("/photos")], **asked), scanned(**{"archives": True} | before)
    )
    assert found == ScanRequest([Path("/photos")], **(asked if meant is None else meant))


def test_a_first_scan_is_as_asked_for() -> None:
    request = ScanRequest([Path("/photos")], fpr=0.1)
    assert as_before(request, None) == request
