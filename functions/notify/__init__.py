"""Notices: from the ledger table to the bus, and from there to e-mail, SMS and webhooks."""
