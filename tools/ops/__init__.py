"""The operator's commands: `make ops-...`, each described in docs/operations.md."""
