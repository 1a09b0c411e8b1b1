"""Metering ingest: usage events from the API and from the queue."""
