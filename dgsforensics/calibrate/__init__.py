"""One `dgsf calibrate`: thresholds from a person's own photographs."""
