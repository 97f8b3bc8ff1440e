"""What the benches share: free ports, the binary, a certificate, descriptors."""

import os
import pathlib
import resource
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def binary(target: str) -> str:
    """The Portcullis to measure; `target` is the make target that builds it."""
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = os.environ.get("PORTCULLIS_BIN", str(folder / "bench-quick/portcullis"))
    if not os.access(path, os.X_OK):
        sys.exit(f"{target}: no Portcullis at {path}: run `make {target}`")
    return path


def certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A key and a self-signed certificate for `localhost`."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return key, cert


def raise_descriptors(wanted: int) -> int:
    """Allows this process and its children `wanted` open files, or what may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for ceiling in (max(wanted, hard), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(wanted, soft), ceiling), ceiling))
            break
        except (ValueError, OSError):  # only the superuser may lift the hard limit, and not everywhere
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
