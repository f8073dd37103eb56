"""The custom resources: specs, their rules, conditions."""
