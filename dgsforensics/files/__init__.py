"""What lies in the paths that a person gives, what kind each file is, and its bytes."""
