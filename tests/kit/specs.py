"""Good and bad specs, with what is said about the bad ones: the API's table."""

from __future__ import annotations

from typing import Any

Spec = dict[str, Any]

GOOD_CALLCLUSTERS: dict[str, Spec] = {
    "only_a_domain": {"domain": "calls.example.org"},
    "one_label_as_domain": {"domain": "localhost"},
    "fixed_replicas": {"signaling": {"replicas": 3}},
    "autoscaling": {"signaling": {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}},
    "no_turn": {"turn": {"replicas": 0}},
    "redis_of_somebody_else": {"redis": {"mode": "External", "urlSecretRef": {"name": "redis"}}},
    "relay_ports_above_the_ephemeral": {
        "turn": {"relayPortRange": {"min": 61000, "max": 62999}, "portsPerReplica": 500}
    },
    "a_hundred_blocks": {"turn": {"relayPortRange": {"min": 20000, "max": 20999}, "portsPerReplica": 10}},
    "shortest_rotation": {
        "turn": {
            "credentials": {
                "ttlSeconds": 10,
                "rotation": {"intervalSeconds": 20, "overlapSeconds": 12, "skewSeconds": 1},
            }
        }
    },
    "static_addresses_of_both_families": {
        "addressing": {
            "sources": ["Static", "NodeExternalIP"],
            "addresses": [
                {"nodeName": "a", "address": "203.0.113.7"},
                {"nodeName": "b", "address": "2001:db8::7"},
            ],
        }
    },
    "networks_of_both_families": {
        "turn": {
            "peerPolicy": {
                "allowedCIDRs": ["10.1.0.0/16"],
                "deniedCIDRs": ["2001:db8::/32", "203.0.113.9/32"],
            }
        }
    },
    "sfus": {"sfu": {"replicas": 2, "roomsPerReplica": 1, "drain": {"timeoutSeconds": 0}}},
    "small_sfus": {"sfu": {"replicas": 2, "participantsPerReplica": 2}},
    "one_sfu_port_above_the_ephemeral": {"sfu": {"replicas": 1, "portRange": {"min": 61000, "max": 61000}}},
    "sfu_ports_among_the_relays_while_there_is_no_sfu": {
        "turn": {"relayPortRange": {"min": 20000, "max": 29999}}
    },
    "any_origin": {"signaling": {"corsOrigins": ["*"]}},
    "quantities": {"template": {"turn": {"resources": {"requests": {"cpu": 1, "memory": "256Mi"}}}}},
    "tls": {"tls": {"secretRef": {"name": "turn-tls"}}},
}
"""Each is merged into a spec with a domain."""

BAD_CALLCLUSTERS: dict[str, tuple[Spec, str]] = {
    "domain_missing": ({"domain": None}, "domain"),
    "domain_with_a_scheme": ({"domain": "https://calls.example.org"}, "domain"),
    "replicas_and_autoscaling": (
        {"signaling": {"replicas": 2, "autoscaling": {}}},
        "set either replicas or autoscaling, not both",
    ),
    "no_signaling": ({"signaling": {"replicas": 0}}, "replicas"),
    "more_min_than_max": (
        {"signaling": {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}}},
        "minReplicas must not be greater than maxReplicas",
    ),
    "origin_with_a_path": ({"signaling": {"corsOrigins": ["https://example.org/page"]}}, "corsOrigins"),
    "unknown_log_level": ({"signaling": {"logLevel": "loud"}}, "logLevel"),
    "external_redis_without_url": (
        {"redis": {"mode": "External"}},
        "mode External needs urlSecretRef: name the Secret that holds the URL",
    ),
    "managed_redis_with_url": (
        {"redis": {"urlSecretRef": {"name": "redis"}}},
        "urlSecretRef is for mode External: remove it or set mode to External",
    ),
    "relay_range_backwards": (
        {"turn": {"relayPortRange": {"min": 21000, "max": 20000}}},
        "min must be smaller than max",
    ),
    "relay_range_with_half_a_block": (
        {"turn": {"relayPortRange": {"min": 20000, "max": 21499}}},
        "make max - min + 1 a multiple of turn.portsPerReplica",
    ),
    "relay_range_with_too_many_blocks": (
        {"turn": {"relayPortRange": {"min": 20000, "max": 21999}, "portsPerReplica": 10}},
        "holds more than 100 blocks",
    ),
    "relay_range_in_node_ports": (
        {"turn": {"relayPortRange": {"min": 29000, "max": 30999}}},
        "use ports below 30000 or above 60999",
    ),
    "relay_range_round_the_ephemeral": (
        {"turn": {"relayPortRange": {"min": 28000, "max": 61999}}},
        "use ports below 30000 or above 60999",
    ),
    "block_too_small": ({"turn": {"portsPerReplica": 5}}, "portsPerReplica"),
    "listeners_in_the_way_of_tls": (
        {"turn": {"listeningPort": 5300}},
        "must be at most 5149 or at least 5449",
    ),
    "privileged_listener": ({"turn": {"listeningPort": 443}}, "listeningPort"),
    "sfu_ports_backwards": (
        {"sfu": {"portRange": {"min": 29000, "max": 28000}}},
        "min must not be greater than max",
    ),
    "sfu_ports_in_node_ports": (
        {"sfu": {"portRange": {"min": 29000, "max": 30000}}},
        "use ports below 30000 or above 60999",
    ),
    "sfu_ports_among_the_relays": (
        {"sfu": {"replicas": 1}, "turn": {"relayPortRange": {"min": 20000, "max": 28999}}},
        "must not meet turn.relayPortRange: move one of the two",
    ),
    "sfu_ports_among_the_listeners": ({"sfu": {"portRange": {"min": 3478, "max": 4000}}}, "portRange.min"),
    "too_many_sfus": ({"sfu": {"replicas": 201}}, "replicas"),
    "sfu_without_rooms": ({"sfu": {"roomsPerReplica": 0}}, "roomsPerReplica"),
    "sfu_for_one": ({"sfu": {"participantsPerReplica": 1}}, "participantsPerReplica"),
    "overlap_shorter_than_a_credential": (
        {"turn": {"credentials": {"ttlSeconds": 7100}}},
        "overlapSeconds must be at least ttlSeconds + 2 * rotation.skewSeconds",
    ),
    "interval_shorter_than_overlap": (
        {"turn": {"credentials": {"rotation": {"intervalSeconds": 7200}}}},
        "intervalSeconds must be greater than rotation.overlapSeconds",
    ),
    "interval_shorter_than_two_credentials": (
        {
            "turn": {
                "credentials": {
                    "ttlSeconds": 3600,
                    "rotation": {"intervalSeconds": 7100, "overlapSeconds": 3800, "skewSeconds": 60},
                }
            }
        },
        "intervalSeconds must be at least 2 * ttlSeconds",
    ),
    "allowed_address_without_a_length": (
        {"turn": {"peerPolicy": {"allowedCIDRs": ["10.1.0.0"]}}},
        "must be a network such as",
    ),
    "denied_nonsense": ({"turn": {"peerPolicy": {"deniedCIDRs": ["all"]}}}, "must be a network such as"),
    "bandwidth_too_small_for_a_voice": (
        {"turn": {"quota": {"bitsPerSecondPerAllocation": 1000}}},
        "must be 0 (no limit) or at least 64000",
    ),
    "source_twice": (
        {"addressing": {"sources": ["NodeExternalIP", "NodeExternalIP"]}},
        "a source is listed twice",
    ),
    "unknown_source": ({"addressing": {"sources": ["Guess"]}}, "sources"),
    "addresses_that_nobody_reads": (
        {"addressing": {"addresses": [{"nodeName": "a", "address": "203.0.113.7"}]}},
        "add Static to sources or remove them",
    ),
    "static_without_addresses": (
        {"addressing": {"sources": ["Static"]}},
        "list the address of each node",
    ),
    "address_that_is_none": (
        {
            "addressing": {
                "sources": ["Static"],
                "addresses": [{"nodeName": "a", "address": "turn.example.org"}],
            }
        },
        "must be an IP address such as 203.0.113.7",
    ),
}

GOOD_ROOMS: dict[str, Spec] = {
    "only_a_cluster": {},
    "all_limits": {
        "maxParticipants": 2,
        "maxDurationSeconds": 3600,
        "emptyTimeoutSeconds": 0,
        "ttlSecondsAfterFinished": 0,
    },
    "closed_from_the_start": {"state": "Closed"},
    "an_sfu_of_its_own": {"isolation": "Dedicated"},
    "encryption_required": {"encryption": {"mode": "Required"}},
}

BAD_ROOMS: dict[str, tuple[Spec, str]] = {
    "no_cluster": ({"clusterRef": None}, "clusterRef"),
    "unknown_state": ({"state": "Ajar"}, "state"),
    "unknown_isolation": ({"isolation": "Alone"}, "isolation"),
    "alone": ({"maxParticipants": 1}, "maxParticipants"),
    "crowd": ({"maxParticipants": 101}, "maxParticipants"),
    "without_encryption": ({"encryption": {"mode": "None"}}, "encryption.mode"),
    "negative_time": ({"emptyTimeoutSeconds": -1}, "emptyTimeoutSeconds"),
}


def callcluster(name: str, namespace: str, spec: Spec) -> dict[str, Any]:
    """A CallCluster with a domain unless ``spec`` says otherwise; ``None`` leaves a field out."""
    return _object("CallCluster", name, namespace, {"domain": "calls.example.org", **spec})


def room(name: str, namespace: str, spec: Spec, cluster: str = "demo") -> dict[str, Any]:
    """A Room of ``cluster`` unless ``spec`` says otherwise; ``None`` leaves a field out."""
    return _object("Room", name, namespace, {"clusterRef": {"name": cluster}, **spec})


def _object(kind: str, name: str, namespace: str, spec: Spec) -> dict[str, Any]:
    return {
        "apiVersion": "callcluster.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }
