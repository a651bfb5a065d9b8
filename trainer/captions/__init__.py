"""What the training images show, in words: given, read off folders, or written by a model."""
