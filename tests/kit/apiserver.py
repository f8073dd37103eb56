"""A real etcd and kube-apiserver for tests, without nodes and without controllers.

The binaries come from ``KUBEBUILDER_ASSETS`` (a directory with ``etcd``, ``kube-apiserver`` and
``kubectl``), from a ``realkube`` beside the repository, or from ``setup-envtest``.
"""

from __future__ import annotations

import base64
import ctypes
import datetime
import ipaddress
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kit.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
START_SECONDS = 120.0


class AssetsMissingError(Exception):
    """There is no kube-apiserver to be had; the message says what to do."""


def find_assets() -> Path:
    """The directory with the binaries.

    Raises:
        AssetsMissingError: none of the three sources has them.
    """
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named:
        return _complete(Path(named))
    realkube = ROOT.parent / "shared" / "realkube" / "realkube"
    if realkube.exists():
        return _complete(_printed_path([str(realkube), "assets"]))
    if shutil.which("setup-envtest"):
        return _complete(_printed_path(["setup-envtest", "use", "-p", "path"]))
    raise AssetsMissingError("set KUBEBUILDER_ASSETS to a directory with etcd, kube-apiserver and kubectl")


def unavailable() -> str | None:
    """Why there can be no API server here, or ``None``."""
    try:
        find_assets()
    except AssetsMissingError as error:
        return str(error)
    return None


def _printed_path(command: list[str]) -> Path:
    # What they may have to build first gets only what the tests that run meanwhile leave over.
    run = subprocess.run(["chrt", "-i", "0", *command], capture_output=True, text=True, check=False)
    if run.returncode != 0 or not run.stdout.strip():
        raise AssetsMissingError(f"{command[0]} gives no binaries: {run.stderr.strip()[-300:]}")
    return Path(run.stdout.strip().splitlines()[-1])


def _complete(directory: Path) -> Path:
    missing = [program for program in PROGRAMS if not os.access(directory / program, os.X_OK)]
    if missing:
        raise AssetsMissingError(f"{directory} has no {', '.join(missing)}")
    return directory


class ApiServer:
    """etcd and kube-apiserver on ports of their own. Use as a context manager.

    RBAC is on. ``kubeconfig`` is an administrator's; :meth:`kubeconfig_for` makes others.
    """

    def __init__(self, assets: Path) -> None:
        self._assets = assets
        self._directory = Path(tempfile.mkdtemp(prefix="callcluster-apiserver-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._tokens: dict[str, str] = {}
        self.url = ""
        self.kubeconfig = self._directory / "admin.kubeconfig"

    def __enter__(self) -> ApiServer:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def etcd_bytes(self) -> bytes:
        """All that etcd has on disk, its log of every write included."""
        files = (self._directory / "etcd").rglob("*")
        return b"".join(path.read_bytes() for path in files if path.is_file())

    def kubectl(
        self, *args: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as an administrator."""
        run = subprocess.run(
            [str(self._assets / "kubectl"), "--kubeconfig", str(self.kubeconfig), *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={"HOME": str(self._directory), "PATH": os.environ["PATH"]},
        )
        assert not check or run.returncode == 0, run.stderr
        return run

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Ask the API server as an administrator; returns the decoded answer.

        Raises:
            urllib.error.HTTPError: it refuses.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        request.add_header("Authorization", f"Bearer {self._tokens['admin']}")
        patch = "application/merge-patch+json"
        request.add_header("Content-Type", patch if method == "PATCH" else "application/json")
        while True:
            try:
                with self._opener().open(request, timeout=60) as answer:
                    text = answer.read()
                break
            except urllib.error.HTTPError as error:
                if error.code != 429:  # right after a definition has changed
                    raise
                time.sleep(0.1)
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def kubeconfig_for(self, user: str) -> Path:
        """A kubeconfig of an ordinary user, who may do what RBAC grants ``user``: made once, at start."""
        return self._write_kubeconfig(self._directory / f"{user}.kubeconfig", self._tokens[user])

    def _start(self) -> None:
        _write_certificates(self._directory)
        self._tokens = {name: secrets.token_hex(16) for name in ("admin", "operator")}
        groups = {"admin": "system:masters", "operator": "operators"}
        lines = [f"{token},{name},{name},{groups[name]}\n" for name, token in self._tokens.items()]
        (self._directory / "tokens.csv").write_text("".join(lines))

        etcd_port, peer_port, port = free_ports(3)
        etcd = f"http://127.0.0.1:{etcd_port}"
        peer = f"http://127.0.0.1:{peer_port}"
        self._spawn(
            "etcd",
            *("--data-dir", str(self._directory / "etcd"), "--unsafe-no-fsync", "--log-level", "error"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
        )
        self.url = f"https://127.0.0.1:{port}"
        files = {name: str(self._directory / name) for name in ("server.crt", "server.key", "tokens.csv")}
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            f"--tls-cert-file={files['server.crt']}",
            f"--tls-private-key-file={files['server.key']}",
            f"--token-auth-file={files['tokens.csv']}",
            f"--service-account-key-file={files['server.key']}",
            f"--service-account-signing-key-file={files['server.key']}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            # Nobody makes service accounts here, and nobody would find this server's address.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        )
        self._write_kubeconfig(self.kubeconfig, self._tokens["admin"])
        self._wait_until_ready()

    def _spawn(self, program: str, *args: str) -> None:
        with (self._directory / f"{program}.log").open("wb") as log:
            command = [str(self._assets / program), *args]
            self._processes.append(
                # A killed test run must not leave servers behind.
                subprocess.Popen(
                    command, stdout=log, stderr=log, cwd=self._directory, preexec_fn=die_with_parent
                )
            )

    def _opener(self) -> urllib.request.OpenerDirector:
        context = ssl.create_default_context(cafile=str(self._directory / "ca.crt"))
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            for process in self._processes:
                assert process.poll() is None, f"{process.args!r} ended:\n{self._log_tails()}"
            try:
                self.request("GET", "/readyz")
                return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, f"the API server does not come up:\n{self._log_tails()}"
                time.sleep(0.05)

    def _log_tails(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in sorted(self._directory.glob("*.log")))

    def _write_kubeconfig(self, path: Path, token: str) -> Path:
        authority = base64.b64encode((self._directory / "ca.crt").read_bytes()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path


def die_with_parent() -> None:
    """In a new child: ask the kernel to kill it when this process ends, however it ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _write_certificates(directory: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority_key, server_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    authority_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test-authority")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    authority = (
        certificate(authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(authority_key, hashes.SHA256())
    )
    server = (
        certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]), server_key)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.crt").write_bytes(authority.public_bytes(pem))
    (directory / "server.crt").write_bytes(server.public_bytes(pem))
    (directory / "server.key").write_bytes(
        server_key.private_bytes(
            pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
