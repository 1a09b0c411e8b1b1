"""Accounts: opening the service, money in, and the journal."""
