"""Timers: what is done at an instant, swept every minute."""
