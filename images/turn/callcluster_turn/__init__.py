"""The TURN agent: parent of coturn, keeper of its keys, ports and drain."""
