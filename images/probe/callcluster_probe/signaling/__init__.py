"""Client side of ``sig.v1``: a session that outlives its sockets, and the shell that holds the sockets."""
