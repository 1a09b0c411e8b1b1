"""Settlement: the plan of a run, and the worker that settles one account."""
