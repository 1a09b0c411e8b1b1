"""Entitlements: whether the next call may be made."""
