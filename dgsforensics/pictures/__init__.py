"""From the bytes of an image file to pixels, and from those to what the tower is shown."""
