"""Builds the desired objects, one file per workload."""
