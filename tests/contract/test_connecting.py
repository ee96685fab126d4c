"""Opening connections: whom TLS believes, and which of several addresses is taken."""

import ssl
from pathlib import Path

import pytest

from dockbell.domain.delivery import code_of
from dockbell.egress.connecting import tls_context
from dockbell.errors import ConfigError
from dockbell.testing.receiver import Receiver, answering
from tests.contract.test_receiver_faults import HERE, Door
from tests.support.bad_receivers import NAME, black_hole


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_of_trusted_certificates_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=str(file)) as refused:
        tls_context(str(file))
    assert "DOCKBELL_EGRESS__CA_FILE" in str(refused.value.hint)


def test_tls_is_new_enough_and_judges_certificate_and_name():
    context = tls_context(None)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_address_that_is_silent_does_not_keep_the_next_from_being_tried():
    with black_hole() as url:
        port = int(url.rsplit(":", 1)[1].strip("/"))
        with (
            Receiver("200", address="127.0.0.2", port=port) as receiver,
            Door(HERE, resolver=lambda *_: ["127.0.0.1", "127.0.0.2"], connect_timeout_s=5.0) as door,
        ):
            outcome = door.send(f"http://{NAME}:{port}/")
            assert code_of(outcome) == "delivered"
            assert outcome.timings.connect < 2_500_000, "long before the deadline of five seconds"
            assert receiver.connections == 1


@pytest.mark.parametrize(("kept", "connections"), [(20, 20), (16, 40)])
def test_as_many_connections_are_kept_as_it_was_told(kept: int, connections: int):
    """Twenty webhooks in turn, twice: with room for all of them the second time needs no new connection."""
    with Receiver(answering(200)) as receiver, Door(kept=kept) as door:
        for webhook in [*range(20)] * 2:
            assert code_of(door.send(receiver.url, pool=(webhook, 1))) == "delivered"
        assert receiver.connections == connections
