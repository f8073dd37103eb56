"""A loaded machine takes its time: hypothesis' deadline for an example would make that a failure."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
