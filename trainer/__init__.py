"""Training, imported as `dgsforensics.trainer`; inference never needs it."""

if (
    __name__ != "dgsforensics.trainer"
):  # `import trainer` from the repository would be a second copy
    raise ImportError("import dgsforensics.trainer, not trainer")
