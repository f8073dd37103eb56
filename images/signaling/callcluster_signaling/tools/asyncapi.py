"""Writes docs/asyncapi.json from the message types; ``--check`` fails when the file is stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec
from callcluster_common.messages.client import ClientFrame
from callcluster_common.messages.server import AnyServerFrame
from callcluster_common.messages.types import ERRORS, SUBPROTOCOL, CloseCode

SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
REFERENCE = "#/components/schemas/{name}"
CLOSE_MEANINGS = {
    CloseCode.DRAIN: "The server goes away: resume elsewhere.",
    CloseCode.SLOW: "Too much was left unread: resume from the last offset.",
    CloseCode.INTERNAL: "The server failed: resume after a while.",
    CloseCode.POSITION_LOST: "The member's place was given up: resume, and join again if that fails.",
    CloseCode.REPLACED: "A newer socket of the same page took over: do nothing.",
    CloseCode.RATE_LIMITED: "Too many messages: resume after a while.",
    CloseCode.BAD_TOKEN: "The token is missing or not valid: final.",
    CloseCode.TOKEN_EXPIRED: "The token has expired: get a new one.",
    CloseCode.KICKED: "A moderator removed this member: final.",
    CloseCode.ROOM_ENDED: "The call was ended: final.",
    CloseCode.PROTOCOL_ERROR: "The client broke the protocol: final.",
    CloseCode.UNSUPPORTED_VERSION: "No common version of the protocol: final.",
    CloseCode.DUPLICATE_IDENTITY: "Another user has this connection id: final.",
    CloseCode.BANNED: "The member may not come back yet: final.",
}


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    client, server = get_args(ClientFrame), get_args(AnyServerFrame)
    kinds = [*client, *server]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    messages: dict[str, Any] = {}
    names: dict[Any, str] = {}
    for kind, schema in zip(kinds, schemas, strict=True):
        tag = kind.__struct_config__.tag
        names[kind] = ("client." if kind in client else "server.") + tag
        messages[names[kind]] = {
            "name": tag,
            "summary": (kind.__doc__ or "").strip().splitlines()[0],
            "payload": {"schemaFormat": SCHEMA_FORMAT, "schema": schema},
        }

    def refer(kinds: tuple[Any, ...], path: str) -> list[dict[str, str]]:
        return [{"$ref": f"{path}/{names[kind]}"} for kind in kinds]

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "CallCluster signaling",
            "version": SUBPROTOCOL,
            "description": "JSON text frames over a WebSocket. How they go together: docs/protocol.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/ws",
                "title": "The WebSocket, at / as well",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "fromClients": {
                "action": "receive",
                "channel": {"$ref": "#/channels/socket"},
                "messages": refer(client, "#/channels/socket/messages"),
            },
            "toClients": {
                "action": "send",
                "channel": {"$ref": "#/channels/socket"},
                "messages": refer(server, "#/channels/socket/messages"),
            },
        },
        "components": {"messages": messages, "schemas": components},
        "x-error-codes": {
            code: {"meaning": error.meaning, "retryable": error.retryable} for code, error in ERRORS.items()
        },
        "x-close-codes": {str(int(code)): meaning for code, meaning in CLOSE_MEANINGS.items()},
    }


def render() -> str:
    """The document's bytes: the same types give the same text."""
    return json.dumps(document(), indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> int:
    """Write the document, or with ``--check`` compare it; 1 when it is stale."""
    path = Path("docs/asyncapi.json")
    if "--check" in arguments:
        if not path.exists() or path.read_text() != render():
            print(f"{path} is stale: run python -m callcluster_signaling.tools.asyncapi", file=sys.stderr)
            return 1
        return 0
    path.write_text(render())
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
