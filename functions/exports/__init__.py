"""Exports: a month's bills as files, made in the background."""
