"""The bundled backbone and detectors. Data only: found through `importlib.resources`."""
