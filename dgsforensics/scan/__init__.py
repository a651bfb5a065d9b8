"""One `dgsf scan`: what is asked for, what is scored, what is shown and written."""
