"""What a file claims about itself."""
