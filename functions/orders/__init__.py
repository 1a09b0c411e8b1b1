"""Orders: packages, their purchase and their refund."""
