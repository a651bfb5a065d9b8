"""Labelled images, as folders, manifests and benchmarks list them."""
