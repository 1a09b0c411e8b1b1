"""Everything that touches AWS: tables, queues, clock and the plumbing of the API."""
