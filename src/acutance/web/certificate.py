"""TLS for a page that other machines open: browsers give cameras to secure contexts only."""

import datetime
import ipaddress
import ssl
import tempfile
from pathlib import Path

from acutance._util.extras import require
from acutance.errors import UsageError

__all__ = ["own_context", "session_context"]


def own_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return a TLS context of the user's certificate.

    Args:
        certificate: PEM file, with the chain, and with the private key where ``key`` is None.
        key: PEM file of the private key.

    Raises:
        UsageError: a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{certificate}: not a usable certificate: {error}") from error
    return context


def session_context(host: str) -> ssl.SSLContext:
    """Return a TLS context of a certificate that is made now, for ``host``, for a week. Its key is not kept."""
    require("cryptography", extra="web", purpose="a certificate made for the session")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "acutance web")])
    alternative: x509.GeneralName
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.TemporaryDirectory() as folder:  # ssl reads files only; this one is the user's alone, and short-lived
        path = Path(folder) / "session.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        return own_context(path, None)
