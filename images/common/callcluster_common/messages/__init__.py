"""Messages of the signaling protocol ``sig.v1``: JSON text frames, one object each.

A client's frame is ``{"t": type, "id": request id, "to": target, "d": data}``. A server's frame is
``{"t": type, "re": request id, "off": offset, "from": sid, "d": data}``. Every request that carries an
``id`` gets exactly one frame with that ``re``. ``off`` stands on every frame of the durable lane.

These types are the one source of the protocol: decoding checks against them, and the AsyncAPI document
is generated from them.
"""
