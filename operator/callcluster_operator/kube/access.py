"""The way to the API server: where it is and how to log in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from yaml import YAMLError

from callcluster_operator.cluster import FIELD_MANAGER, ClusterError


@dataclass(frozen=True, repr=False)
class Credentials:
    """What another client needs to log in as we do."""

    server: str
    ca_path: str | None
    verify: bool
    scheme: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


class Access:
    """The process's one API client, and what it logs in with. Use :func:`open_access`."""

    def __init__(self, settings: Configuration) -> None:
        self._settings = settings
        self.client = ApiClient(settings)
        self.client.user_agent = FIELD_MANAGER

    async def credentials(self) -> Credentials:
        """The credentials in force; a service account's token is read anew every minute."""
        bearer = await self._settings.get_api_key_with_prefix("BearerToken") or ""
        scheme, _, token = bearer.strip().partition(" ")
        return Credentials(
            server=self._settings.host,
            ca_path=self._settings.ssl_ca_cert,
            verify=self._settings.verify_ssl,
            scheme=scheme or None,
            token=token or None,
            certificate_path=self._settings.cert_file,
            private_key_path=self._settings.key_file,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.client.close()  # type: ignore[no-untyped-call]


async def open_access(kubeconfig: Path | None) -> Access:
    """Log in with a kubeconfig, or without one with the pod's service account.

    Raises:
        ClusterError: neither is there or usable.
    """
    settings = Configuration()
    try:
        if kubeconfig is not None:
            if not kubeconfig.is_file():  # noqa: ASYNC240 - once, at start
                raise FileNotFoundError(f"{kubeconfig} is no file")
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig), client_configuration=settings
            )
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, YAMLError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ClusterError(f"no way to an API server: {reason} (set KUBECONFIG, or run in a pod)") from None
    return Access(settings)
