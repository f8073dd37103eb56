"""Decides, from one snapshot, what is to be done. Pure: data in, data out."""
