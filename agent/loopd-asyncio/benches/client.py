"""Asks an echo server over some connections at once, as often as each line of standard input says.

    client.py PORT CONNECTIONS
"""

import socket
import sys

MESSAGE = b"x" * 63 + b"\n"

port, connections = map(int, sys.argv[1:])
sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
for connection in sockets:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for line in sys.stdin:
    for _ in range(int(line)):
        for connection in sockets:
            connection.sendall(MESSAGE)
        # The one that is answered last, so that a cycle is interrupted once.
        for connection in reversed(sockets):
            missing = len(MESSAGE)
            while missing:
                missing -= len(connection.recv(missing)) or sys.exit("the server went away")
