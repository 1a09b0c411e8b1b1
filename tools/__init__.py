"""Small programs that set up, build and check this repository."""
