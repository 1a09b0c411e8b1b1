"""Verification: the job that computes settled days again and compares the archive with what was counted."""
