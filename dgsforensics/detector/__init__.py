"""A detector: tower, adapters, head, calibration, its file; and from paths to predictions."""
