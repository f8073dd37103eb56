"""The pods that the operator runs, as seen over the network."""
