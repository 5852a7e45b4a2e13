"""Cost of reading: of a record, of a matrix, of bodies of every kind.

    python -m tests.benchmarks.capture [--strict]

CPU time; the best of rounds, so the machine undisturbed.  Bodies are of about 1 MiB, some of them
the worst that was found for their kind.
With --strict, exits with 1 if one of them costs more than the bound beside it.
"""

import gzip
import io
import json
import struct
import sys
import time
from contextlib import suppress

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from drift_middleware.capture import read, tabulate
from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reader import Reader
from drift_middleware.capture.reasons import SkipError
from drift_middleware.schemas import Exchange
from tests.benchmarks.check import machine
from tests.benchmarks.hot_path import ANSWER, bodies

JSON = [(b"content-type", b"application/json"), (b"host", b"localhost")]
MIB = 1 << 20
ROUNDS = 9
MOST = {"record": 6.0, "record, known": 6.0, "matrix": 1.0, "kind": 50.0}
RNG = np.random.default_rng(0)


def seconds(call, rounds=ROUNDS):
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def read_and_tabulate(exchanges, names, read=read):
    batch = list(map(read, exchanges))
    return tabulate(batch, features=names, predictions=["prediction"], at=[0.0] * len(batch))


def record():
    """Yield microseconds of a record of 25 features and its answer."""
    payloads = bodies(500)
    exchanges = [
        Exchange("POST", "/predict", request_headers=JSON, request_body=body) for body in payloads
    ]
    for exchange in exchanges:
        exchange.response_headers, exchange.response_body = JSON, ANSWER
    names = list(json.loads(payloads[0]))
    # By `read`, which knows nothing of the endpoint, and by what a server has of it.
    for name, one in (("record", read), ("record, known", Reader(names).read)):
        alone = seconds(lambda one=one: list(map(one, exchanges)), 30)
        both = seconds(lambda one=one: read_and_tabulate(exchanges, names, one), 30)
        yield name, (alone / 500 * 1e6, both / 500 * 1e6)


def matrix():
    """Microseconds of a row of 25 numbers, of 1,000 in a request."""
    rows = RNG.normal(size=(1000, 25)).round(3).tolist()
    answer = json.dumps({"predictions": [0.5] * 1000}).encode()
    body = json.dumps({"instances": rows}).encode()
    exchange = Exchange("POST", "/v1/models/m:predict", request_headers=JSON, request_body=body)
    exchange.response_headers, exchange.response_body = JSON, answer
    names = [f"x{i}" for i in range(25)]
    return (
        seconds(lambda: read(exchange), 30) / 1000 * 1e6,
        seconds(lambda: read_and_tabulate([exchange], names), 30) / 1000 * 1e6,
    )


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def parquet(table, **options):
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def arrow(table):
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return stream.getvalue()


def lines(cell, size=MIB, width=25):
    rows, length = [], 0
    while length < size:
        rows.append(",".join(str(cell()) for _ in range(width)))
        length += len(rows[-1]) + 1
    return "\n".join(rows).encode()


def tensors(datatype, data):
    head = {"name": "x", "datatype": datatype, "parameters": {"binary_data_size": len(data)}}
    text = json.dumps({"inputs": [head]}).encode()
    return text + data, {"Inference-Header-Content-Length": str(len(text)).encode()}


def kinds():
    """Yield a name, a body and its headers."""
    numbers = RNG.normal(size=(MIB // 200, 25))
    table = pa.table({f"x{i}": numbers[:, i] for i in range(25)})
    words = [f"w{i}" for i in RNG.integers(0, 10**6, 100_000)]
    records = [dict(zip("abcdefgh", row[:8], strict=True)) for row in numbers.tolist()]
    rng = np.random.default_rng(1)
    yield "JSON records", json.dumps(records).encode()[:MIB].rpartition(b", {")[0] + b"]", {}
    yield "JSON lists", b"[" + b",".join([b"[1]"] * 65_000) + b"]", {}
    yield "JSON too many", b"[" + b",".join([b"[1]"] * (MIB // 4)) + b"]", {}
    yield "JSON nan", b"[" + b",".join([b"NaN"] * (MIB // 4)) + b"]", {}
    yield "JSON surrogates", b"[" + b",".join([rb'"\ud800"'] * (MIB // 9)) + b"]", {}
    yield (
        "JSON Lines",
        b"\n".join(map(msgspec.json.encode, records))[:MIB].rpartition(b"\n")[0],
        {"content-type": b"application/jsonlines"},
    )
    yield "JSON Lines nan", b"NaN\n" * (MIB // 4), {"content-type": b"application/jsonlines"}
    yield (
        "msgpack",
        msgspec.msgpack.encode(numbers.tolist()),
        {"content-type": b"application/msgpack"},
    )
    lists = msgspec.msgpack.encode([[1]] * (MIB // 2))
    yield "msgpack lists", lists, {"content-type": b"application/msgpack"}
    csv = {"content-type": b"text/csv"}
    yield "CSV numbers", lines(lambda: round(rng.normal(), 4)), csv
    yield "CSV words", lines(lambda: f"w{rng.integers(0, 10**6)}"), csv
    mixed = lines(lambda: round(rng.normal(), 4)).replace(b"\n", b",Oslo\n")
    yield "CSV mixed", mixed.rpartition(b"\n")[0], csv
    yield "CSV quoted", lines(lambda: f'"w{rng.integers(0, 10**6)}"'), csv
    yield (
        "CSV odd",
        lines(lambda: f"{rng.integers(0, 999)}-7") + b"\n" + b",".join([b"1"] * 25),
        csv,
    )
    yield "CSV gaps", lines(lambda: round(rng.normal(), 3) if rng.random() < 0.7 else ""), csv
    yield "CSV commas", lines(str), csv
    yield "npy float64", saved(numbers), {}
    yield "npy uint8", saved(np.zeros((1024, 1024), np.uint8)), {}
    yield "npy texts", saved(np.full(MIB // 4, "a")), {}
    yield "Parquet", parquet(table), {}
    yield "Parquet words", parquet(pa.table({"a": words})), {}
    yield "Arrow", arrow(table), {}
    yield "Arrow words", arrow(pa.table({"a": words})), {}
    yield "tensors FP32", *tensors("FP32", numbers.astype("<f4").tobytes() * 2)
    yield "tensors FP16", *tensors("FP16", numbers.astype("<f2").tobytes() * 4)
    text = b"".join(struct.pack("<I", 4) + b"word" for _ in range(49_000))
    yield "tensors BYTES", *tensors("BYTES", text)
    form = {"content-type": b"application/x-www-form-urlencoded"}
    yield "form", b"&".join(b"a%d=%s" % (i, b"%41" * 330) for i in range(1000)), form
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 900 + b"\r\n"
    yield "multipart", part * 1000, {"content-type": b"multipart/form-data; boundary=x"}
    stream = {"content-type": b"text/event-stream"}
    yield "events", b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n' * 9_900, stream
    yield "events odd", (b"data: n" + b"x" * 43 + b"\n\n") * 9_900, stream
    yield "gzip", gzip.compress(json.dumps(numbers.tolist()).encode())[: 4 * MIB], {}
    yield "text", b"caf\xc3\xa9 " * (MIB // 6), {"content-type": b"text/plain"}
    yield "image", b"\xff\xd8" + b"\0" * MIB, {"content-type": b"image/jpeg"}


def milliseconds(body, headers):
    """Cost of a MiB, and what it gives."""
    pairs = [(name.encode(), value) for name, value in headers.items()]
    try:
        found = type(decode(body, pairs)).__name__
    except SkipError as skip:
        found = skip.reason.value
    except RecursionError:
        found = "nested too deep"

    def call():
        with suppress(SkipError, RecursionError):
            decode(body, pairs)

    return seconds(call) * 1e3 / (max(len(body), MIB) / MIB), found


def main() -> int:
    slow = []
    print(machine())
    for name, figures in (*record(), ("matrix", matrix())):
        print(f"{name:20} read {figures[0]:6.2f} us   and tabulate {figures[1]:6.2f} us   a row")
        slow += [name] * (figures[0] > MOST[name])
    for name, body, headers in kinds():
        cost, found = milliseconds(body, headers)
        print(f"{name:20} {len(body) / MIB:5.2f} MiB {cost:8.2f} ms a MiB   {found}")
        slow += [name] * (cost > MOST["kind"])
    if slow:
        print("over the bound:", ", ".join(slow))
    return int(bool(slow) and "--strict" in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
