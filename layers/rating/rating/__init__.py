"""The rating layer: pure Python that knows no AWS, no clock and no I/O but its own data files."""
