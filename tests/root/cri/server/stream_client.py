"""A client of one WebSocket stream, run inside a test node's network: prints what each channel carried.

Usage: stream_client.py URL STDIN. Channels as in v5.channel.k8s.io: 0 stdin, 1 stdout, 2 stderr, 3 status.
"""

import json
import socket
import sys
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, RejectConnection, Request

PROTOCOL = "v5.channel.k8s.io"


def main(url: str, stdin: str) -> dict[str, str]:
    """Send stdin, close it, and collect until the server closes."""
    parts = urlsplit(url)
    connection = WSConnection(ConnectionType.CLIENT)
    channels = {number: b"" for number in range(4)}
    with socket.create_connection((parts.hostname, parts.port), 10) as sock:
        target = f"{parts.path}?{parts.query}"
        sock.sendall(connection.send(Request(host=parts.netloc, target=target, subprotocols=[PROTOCOL])))
        while data := sock.recv(65536):
            connection.receive_data(data)
            for event in connection.events():
                if isinstance(event, AcceptConnection) and stdin:
                    sock.sendall(connection.send(BytesMessage(data=b"\x00" + stdin.encode())))
                    sock.sendall(connection.send(BytesMessage(data=b"\xff\x00")))
                elif isinstance(event, BytesMessage):
                    channels[event.data[0]] += event.data[1:]
                elif isinstance(event, RejectConnection):
                    raise SystemExit(f"rejected: {event.status_code}")
                elif isinstance(event, CloseConnection):
                    sock.sendall(connection.send(event.response()))
                    break
    return {str(number): text.decode() for number, text in channels.items()}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2])))
