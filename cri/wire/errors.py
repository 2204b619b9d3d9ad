"""Who broke a protocol's rules: we or the peer. Pure."""


class ProtocolError(Exception):
    """A protocol's rule was broken; the connection cannot go on."""


class LocalProtocolError(ProtocolError):
    """Our own side asked for something that the protocol forbids in this state: a bug."""


class RemoteProtocolError(ProtocolError):
    """The peer sent bytes that break the protocol."""
