"""Development tools of the signaling server."""
