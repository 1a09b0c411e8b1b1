"""Reading usage and bills."""
