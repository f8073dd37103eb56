"""The local runtime: the operator's reconciler over objects in memory, with processes for pods."""
