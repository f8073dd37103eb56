"""A headless member: places real encrypted calls through a deployment, and reports."""
