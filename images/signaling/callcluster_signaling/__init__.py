"""Signaling server: rooms, key lane, resume, TURN credentials."""
