"""Certificates that the tests make themselves: a private authority, and whom it vouches for."""

import datetime as dt
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = dt.timedelta(days=1)


class Certificate(NamedTuple):
    """The files of one, and of its key."""

    cert: Path
    key: Path

    def put_over(self, other: "Certificate") -> None:
        """As a renewal does: under the names that are known."""
        other.cert.write_bytes(self.cert.read_bytes())
        other.key.write_bytes(self.key.read_bytes())


class Authority:
    """Makes its files in `room`; `file` is what those have who trust it."""

    def __init__(self, room: Path, name: str) -> None:
        self._room, self._name, self._key = room, _named(name), generate_private_key(SECP256R1())
        own = _signed(self._name, self._key, self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.file = room / f"{name}.pem"
        self.file.write_bytes(own)

    def vouches(
        self, name: str, host: str = "127.0.0.1", password: str | None = None, *, expired: bool = False
    ) -> Certificate:
        """host: an address or a name.  password: what its key is locked with."""
        key = generate_private_key(SECP256R1())
        place = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
        made = Certificate(self._room / f"{name}.pem", self._room / f"{name}.key")
        ends = -DAY if expired else DAY
        made.cert.write_bytes(
            _signed(_named(name), key, self._name, self._key, x509.SubjectAlternativeName([place]), ends)
        )
        lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        return made

    def server(self, certificate: Certificate, *, clients: bool = False) -> dict[str, str]:
        """Options of a Redis that shows this certificate.  clients: whether they must show one, of this authority."""
        return {
            "tls-cert-file": str(certificate.cert), "tls-key-file": str(certificate.key),
            "tls-ca-cert-file": str(self.file), "tls-auth-clients": "yes" if clients else "no",
        }  # fmt: skip


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signed(
    subject: x509.Name, key: EllipticCurvePrivateKey, issuer: x509.Name, by: EllipticCurvePrivateKey,
    says: x509.ExtensionType, ends: dt.timedelta = DAY,
) -> bytes:  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - 2 * DAY).not_valid_after(now + ends).add_extension(says, critical=True)
    return builder.sign(by, SHA256()).public_bytes(Encoding.PEM)
