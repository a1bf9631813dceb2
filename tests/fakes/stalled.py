"""A server that lets a client wait."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Stalled:
    """A TCP server that says `words` once, and then nothing."""

    def __init__(self, words: bytes = b""):
        self.words, self.connections = words, []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:{1}".format(*self._listening.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections.append(connection)
                if self.words:
                    connection.recv(1 << 16)
                    connection.sendall(self.words)

    def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self.connections:
            connection.close()
