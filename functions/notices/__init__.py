"""Notices as the customer reads them, whom they go to, and the customer's webhooks."""
