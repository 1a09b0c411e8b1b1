"""What Python finds first in the processes of the embedded cloud."""
