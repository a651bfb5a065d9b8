"""How good detectors are, measured on labelled images."""
