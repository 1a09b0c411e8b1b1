"""Rollup: live totals from the stream of the usage table."""
