"""A server for tests that answers whatever bytes it is told, over TCP or TLS on loopback. Knows next to no HTTP."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = bytes | Callable[["RawServer", socket.socket], None]


class RawServer:
    """Keeps what it was asked in `heads` and `bodies`; `answer` is bytes to send, or a function that misbehaves on its own."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None):
        self.answer, self.tls = answer, tls
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.stopping = threading.Event()
        self._streams: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> RawServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for stream in self._streams:
            with suppress(OSError):  # the client may have left, or still keep it
                socket.socket.shutdown(stream, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(sock,)))
            self._threads[-1].start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self.tls.wrap_socket(sock, server_side=True) if self.tls else sock as stream:
                self._streams.append(stream)
                self.read(stream)
                if callable(self.answer):
                    self.answer(self, stream)
                else:
                    stream.sendall(self.answer)
        except OSError:
            sock.close()  # the client left, or did not like our certificate

    def read(self, stream: socket.socket) -> tuple[str, bytes]:
        """Read one request: its head and its body. Raises ConnectionError if there is none."""
        with stream.makefile("rb") as lines:
            head = ""
            while (line := lines.readline()) != b"\r\n":
                if not line:
                    raise ConnectionError("the client left before its request was complete")
                head += line.decode("latin-1")
            length = next((line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")), "0")
            body = lines.read(int(length))
        self.bodies.append(body)
        self.heads.append(head)
        return head, body


def drip(piece: bytes, seconds: float = 0.02, first: bytes = b"") -> Answer:
    """An answer that begins with `first` and then never ends: one `piece` after another, with a pause between them."""

    def answer(server: RawServer, sock: socket.socket) -> None:
        sock.sendall(first)
        while not server.stopping.wait(seconds):
            sock.sendall(piece)

    return answer


def in_turn(*answers: Answer) -> Answer:
    """One answer after another on the same connection, which then stays open until the client leaves."""

    def answer(server: RawServer, sock: socket.socket) -> None:
        for number, step in enumerate(answers):
            if number:
                server.read(sock)
            if callable(step):
                step(server, sock)
            else:
                sock.sendall(step)
        server.read(sock)

    return answer


def plain(body: bytes = b"{}", status: str = "200 OK", *headers: str) -> bytes:
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Authority:
    """A certificate authority in a folder: `ca_file` is what a client trusts, `issue` makes a server's TLS context."""

    def __init__(self, folder: Path):
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Charlie's authority")])
        self.ca_file = self._write("ca", self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0), []))

    def issue(self, host: str, *, self_signed: bool = False, expired: bool = False) -> ssl.SSLContext:
        """A context that shows a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        certificate = self._sign(name, key, constraints, [x509.DNSName(host)], self_signed, expired)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._write(host, certificate, key))
        return context

    def _sign(self, subject, key, constraints, names, self_signed=False, expired=False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        signer, issuer = (key, subject) if self_signed else (self._key, self._name)
        key_id = x509.SubjectKeyIdentifier.from_public_key
        builder = (
            x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + datetime.timedelta(days=-1 if expired else 1))
            .add_extension(constraints, critical=True)
            .add_extension(key_id(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate, key=None) -> str:
        text = certificate.public_bytes(serialization.Encoding.PEM)
        if key:
            text += key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        path = self._folder / f"{name}.pem"
        path.write_bytes(text)
        return str(path)
