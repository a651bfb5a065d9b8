"""A case under review: its images, their labels, and what is done with those; without a screen."""
