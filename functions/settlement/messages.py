"""What messages of the settlement queue ask for beside settling. Alone, for the planner starts without the rest."""

WARN = "warn"
"""The task of a message for an account that has nothing to settle."""
