"""A client that keeps a server busy, and hears every answer: raw sockets, several in flight."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import islice

REQUEST = (
    b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s"
)


class Connection:
    """One connection, on which requests are sent before the answers to earlier ones came.

    What it notes is right however it ends: a server may be killed in the middle.
    """

    def __init__(
        self, numbers: Iterable[float], depth: int, *, padding: int = 0, rows: int = 1
    ) -> None:
        self.numbers = iter(numbers)
        self.depth = depth
        self.rows = rows
        self.padding = b', "padding": "%s"' % (b"p" * padding) if padding else b""
        self.answered: list[float] = []
        "numbers whose answers came, in order"
        self.heard_at: list[float] = []
        "when each came"
        self.severities: set[bytes] = set()

    async def speak(self, port: int) -> None:
        """Send all numbers; raise if an answer is wrong, return if there will be no more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while asked := list(islice(self.numbers, self.depth)):
                bodies = [self._body(number) for number in asked]
                writer.write(b"".join(REQUEST % (len(body), body) for body in bodies))
                for number, body in zip(asked, bodies, strict=True):
                    await self._hear(reader, body)
                    self.answered.append(number)
                    self.heard_at.append(time.monotonic())
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    def _body(self, number: float) -> bytes:
        one = b'{"amount": %s%s}' % (repr(number).encode(), self.padding)
        return one if self.rows == 1 else b"[%s]" % b",".join([one] * self.rows)

    async def _hear(self, reader: asyncio.StreamReader, asked: bytes) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        status, *lines = head.lower().splitlines()
        headers = dict(line.split(b": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers[b"content-length"]))
        assert status.split()[1] == b"200", head
        assert body == asked.replace(b"amount", b"score"), "the answer to another request"
        self.severities.add(headers[b"x-drift-severity"])


def send(
    port: int, numbers: Sequence[float], *, connections: int = 4, depth: int = 8, rows: int = 1
) -> None:
    """Send numbers and hear an answer to each, which must be right and have our header."""
    speakers = [Connection(numbers[i::connections], depth, rows=rows) for i in range(connections)]

    async def all_of_them() -> None:
        await asyncio.gather(*(one.speak(port) for one in speakers))

    asyncio.run(all_of_them())
    heard = sum(len(one.answered) for one in speakers)
    assert heard == len(numbers), f"{heard} of {len(numbers)} requests were answered"
