"""The TLS context: who gets through it, and which mistakes in its files are named."""

import ssl
import warnings
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from totohio.base.errors import SettingsError
from totohio.net.securing import server_context

HOST = "totohio.test"


class Files:
    """Certificates and keys in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.leaf = self.ca.issue_cert(HOST)
        self.other = self.ca.issue_cert(HOST)
        self.certfile = self.write("cert.pem", *self.leaf.cert_chain_pems)
        self.keyfile = self.write("key.pem", self.leaf.private_key_pem)
        self.cafile = self.write("ca.pem", self.ca.cert_pem)

    def write(self, name: str, *blobs: trustme.Blob | bytes) -> str:
        path = self.folder / name
        path.write_bytes(b"".join(blob if isinstance(blob, bytes) else blob.bytes() for blob in blobs))
        return str(path)

    def encrypted_key(self, password: bytes) -> str:
        key = serialization.load_pem_private_key(self.leaf.private_key_pem.bytes(), None)
        encryption = serialization.BestAvailableEncryption(password)
        return self.write(
            "encrypted.pem",
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption),
        )

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("tls"))


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Connect the two in memory and have them exchange a few bytes.

    Raises:
        ssl.SSLError: One of them refuses; the server's own error when both do.
    """
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up, server_hostname=HOST)
    there = server.wrap_bio(up, down, server_side=True)
    for _ in range(10):
        for side in (there, here):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                if side is there:
                    raise
                there.do_handshake()  # the client has said why it leaves
                raise
    here.write(b"ping")
    assert there.read(100) == b"ping"  # with TLS 1.3 only now the server has judged the client
    there.write(b"pong")
    assert here.read(100) == b"pong"
    return there, here


def test_a_client_that_trusts_the_authority_connects(files: Files) -> None:
    there, here = shake_hands(server_context(files.certfile, files.keyfile), files.client_context())
    assert here.version() == "TLSv1.3"
    assert there.getpeercert() is None, "nobody asked the client for a certificate"


def test_the_key_may_be_in_the_file_of_the_certificate(files: Files) -> None:
    path = files.write("both.pem", files.leaf.private_key_and_cert_chain_pem)
    shake_hands(server_context(path), files.client_context())
    shake_hands(server_context(Path(path)), files.client_context())


def test_an_encrypted_key_is_opened_with_its_password(files: Files) -> None:
    context = server_context(files.certfile, files.encrypted_key(b"tulip"), password="tulip")
    shake_hands(context, files.client_context())


def test_empty_options_mean_that_there_is_no_such_file(files: Files) -> None:
    path = files.write("both.pem", files.leaf.private_key_and_cert_chain_pem)
    shake_hands(server_context(path, "", ""), files.client_context())


def test_http_1_1_is_agreed_on_also_when_the_client_would_rather_have_more(files: Files) -> None:
    client = files.client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    there, here = shake_hands(server_context(files.certfile, files.keyfile), client)
    assert here.selected_alpn_protocol() == there.selected_alpn_protocol() == "http/1.1"


def test_tls_1_2_is_spoken(files: Files) -> None:
    client = files.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    _, here = shake_hands(server_context(files.certfile, files.keyfile), client)
    assert here.version() == "TLSv1.2"


def test_tls_1_1_is_refused(files: Files) -> None:
    client = files.client_context()
    client.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL would not even offer it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        client.minimum_version = ssl.TLSVersion.TLSv1_1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(server_context(files.certfile, files.keyfile), client)
    assert caught.value.reason == "UNSUPPORTED_PROTOCOL"


# ------------------------------------------------------------ client certificates


def test_with_a_cafile_a_client_with_a_certificate_connects(files: Files) -> None:
    client = files.client_context()
    files.ca.issue_cert("client@totohio.test").configure_cert(client)
    there, _ = shake_hands(server_context(files.certfile, files.keyfile, files.cafile), client)
    certificate = there.getpeercert()
    assert certificate is not None
    assert ("email", "client@totohio.test") in certificate["subjectAltName"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_a_cafile_a_client_without_a_certificate_is_refused(files: Files, version: ssl.TLSVersion) -> None:
    client = files.client_context()
    client.maximum_version = version
    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(server_context(files.certfile, files.keyfile, files.cafile), client)
    assert caught.value.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"


def test_with_a_cafile_a_certificate_of_another_authority_is_refused(files: Files) -> None:
    client = files.client_context()
    trustme.CA().issue_cert("client@totohio.test").configure_cert(client)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(files.certfile, files.keyfile, files.cafile), client)


def test_an_authority_in_the_certfile_does_not_vouch_for_clients(files: Files) -> None:
    certfile = files.write("with_root.pem", *files.leaf.cert_chain_pems, files.ca.cert_pem)
    cafile = files.write("stranger.pem", trustme.CA().cert_pem)
    client = files.client_context()
    files.ca.issue_cert("client@totohio.test").configure_cert(client)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(server_context(certfile, files.keyfile, cafile), client)


# ------------------------------------------------------------ mistakes


@pytest.mark.parametrize("option", ["certfile", "keyfile", "cafile"])
def test_a_missing_file_is_named_with_its_option(files: Files, option: str) -> None:
    paths = {"certfile": files.certfile, "keyfile": files.keyfile, "cafile": files.cafile}
    paths[option] = missing = str(files.folder / "missing.pem")
    with pytest.raises(SettingsError) as caught:
        server_context(**paths)
    assert f"{option} {missing}: cannot be read (No such file" in str(caught.value)


@pytest.mark.parametrize("option", ["certfile", "keyfile", "cafile"])
def test_a_folder_in_place_of_a_file_is_named_with_its_option(files: Files, option: str) -> None:
    paths = {"certfile": files.certfile, "keyfile": files.keyfile, "cafile": files.cafile, option: str(files.folder)}
    with pytest.raises(SettingsError, match=f"^{option} .*cannot be read"):
        server_context(**paths)


@pytest.mark.parametrize("option", ["certfile", "keyfile", "cafile"])
@pytest.mark.parametrize("content", [b"", b"tulip", bytes(range(256))])
def test_a_file_of_something_else_is_named_with_its_option(files: Files, option: str, content: bytes) -> None:
    paths = {"certfile": files.certfile, "keyfile": files.keyfile, "cafile": files.cafile}
    paths[option] = files.write("else.pem", content)
    with pytest.raises(SettingsError, match=rf"^{option} .*else\.pem: holds no .* in PEM form"):
        server_context(**paths)


@pytest.mark.parametrize(
    ("option", "label"), [("certfile", b"CERTIFICATE"), ("keyfile", b"PRIVATE KEY"), ("cafile", b"CERTIFICATE")]
)
def test_a_damaged_file_is_named_with_its_option(files: Files, option: str, label: bytes) -> None:
    paths = {"certfile": files.certfile, "keyfile": files.keyfile, "cafile": files.cafile}
    paths[option] = files.write("damaged.pem", b"-----BEGIN " + label + b"-----\nAAAA\n-----END " + label + b"-----\n")
    with pytest.raises(SettingsError, match=rf"^{option} .*damaged\.pem: .* damaged"):
        server_context(**paths)


@pytest.mark.parametrize("kind", trustme.KeyType)
def test_a_key_that_belongs_to_another_certificate_is_a_clear_error(files: Files, kind: trustme.KeyType) -> None:
    keyfile = files.write("other.pem", files.ca.issue_cert(HOST, key_type=kind).private_key_pem)
    with pytest.raises(SettingsError, match=r"other\.pem: the private key does not belong to the certificate"):
        server_context(files.certfile, keyfile)


def test_a_certfile_without_a_key_and_no_keyfile_is_a_clear_error(files: Files) -> None:
    with pytest.raises(SettingsError, match="holds no private key"):
        server_context(files.certfile)


def test_an_encrypted_key_without_a_password_is_an_error_and_never_a_question(files: Files) -> None:
    with pytest.raises(SettingsError, match="encrypted and no password"):
        server_context(files.certfile, files.encrypted_key(b"tulip"))


@pytest.mark.parametrize("password", ["", "rose", "x" * 2000])
def test_a_wrong_password_is_a_clear_error(files: Files, password: str) -> None:
    with pytest.raises(SettingsError, match="the password of the private key is wrong") as caught:
        server_context(files.certfile, files.encrypted_key(b"tulip"), password=password)
    assert "rose" not in str(caught.value)


def test_a_path_that_no_file_can_have_is_a_clear_error(files: Files) -> None:
    with pytest.raises(SettingsError, match="no file can have that name"):
        server_context("a\0b", files.keyfile)
