"""Mutated bodies of every kind: a value, a SkipError or a RecursionError, and memory stays flat."""

import gzip
import io
import json
import random
import resource
import struct
import zlib

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from drift_middleware.capture.codecs import decode
from drift_middleware.capture.reasons import SkipError

MOST_GROWTH = 256 << 20


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def parquet(table, **options):
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def arrow(table, new, **options):
    stream = io.BytesIO()
    with new(stream, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return stream.getvalue()


def binary_tensors():
    data = np.arange(4, dtype="<f4").tobytes()
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"a", b"bc"))
    head = json.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "shape": [2, 2],
                    "datatype": "FP32",
                    "parameters": {"binary_data_size": 16},
                },
                {
                    "name": "t",
                    "shape": [2],
                    "datatype": "BYTES",
                    "parameters": {"binary_data_size": 11},
                },
            ]
        }
    ).encode()
    return head + data + texts, str(len(head)).encode()


RECORDS = [{"age": 31, "city": "Zoë", "score": [0.5, None, True]}, {"age": 5e-3, "city": "é" * 9}]
TABLE = pa.table(
    {
        "n": [1, None, 3],
        "x": [0.5, 1.5, 2.5],
        "s": ["a", None, "ccc"],
        "v": [[1.0], [], None],
        "d": pa.array(["p", "q", "p"]).dictionary_encode(),
        "t": pa.array([1, 2, None], pa.timestamp("ns")),
    }
)
RECORD = json.dumps(RECORDS).encode()
CSV = b'age,city,x\r\n31,"Par, is",0.5\r\n54,Oslo,\r\n-1e3,"""q""",7\r\n'
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\n'
    b'Content-Disposition: form-data; name="f"; filename="b.csv"\r\n'
    b"Content-Type: text/csv; charset=utf-8\r\n\r\na,b\n1,2\n\r\n--x--\r\n"
)
EVENTS = b'data: {"a": 1}\r\n\r\nevent: x\ndata:b\ndata: c\n\n: note\ndata: [DONE]\n\n'
TENSORS, HEAD = binary_tensors()
SEEDS = [
    (RECORD, "application/json", {}),
    (RECORD.decode().encode("utf-16"), "application/json", {}),
    (b"[NaN, -Infinity, 1e999, " + b"9" * 40 + rb', "\ud800"]', "application/json", {}),
    (b"[" * 300 + b"]" * 300, "application/json", {}),
    (b"\n".join(json.dumps(each).encode() for each in RECORDS), "application/jsonlines", {}),
    (msgspec.msgpack.encode(RECORDS), "application/msgpack", {}),
    (CSV, "text/csv; charset=utf-8", {}),
    (b"5.1,3.5\n6.7,3\n", "text/csv", {}),
    (saved(np.arange(6.0).reshape(2, 3)), "application/x-npy", {}),
    (saved(np.array(["ab", "c"])), "application/x-npy", {}),
    (saved(np.zeros(2, [("a", "<i4"), ("b", "<U3")])), "application/x-npy", {}),
    (parquet(TABLE), "application/vnd.apache.parquet", {}),
    (parquet(TABLE, compression="gzip"), "application/vnd.apache.parquet", {}),
    (arrow(TABLE, pa.ipc.new_stream), "application/vnd.apache.arrow.stream", {}),
    (arrow(TABLE, pa.ipc.new_file, compression="zstd"), "", {}),
    (FORM, "multipart/form-data; boundary=x", {}),
    (b"a=1&b=%C3%A9&json=%7B%22a%22%3A1%7D&a=2", "application/x-www-form-urlencoded", {}),
    (EVENTS, "text/event-stream", {}),
    (TENSORS, "application/octet-stream", {"Inference-Header-Content-Length": HEAD}),
    (gzip.compress(RECORD), "application/json", {"Content-Encoding": b"gzip"}),
    (zlib.compress(CSV), "text/csv", {"Content-Encoding": b"deflate"}),
    (b"some words, 5", "text/plain", {}),
]
PIECES = (
    b"\xff\xff\xff\xff",
    b"\x00" * 8,
    b"\x7f\xff\xff\xff",
    b"99999999999999999999",
    b"\r\n\r\n",
    b"--x",
    b'"',
    b",",
    b"{[",
    b"NaN",
    b"\xed\xa0\x80",
)


def mutate(rng, body):
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 5))):
        start = rng.randrange(len(changed) + 1)
        end = min(len(changed), start + rng.choice((0, 1, 1, 4, 30)))
        changed[start:end] = rng.choice(
            (
                rng.randbytes(end - start),
                rng.randbytes(end - start),
                b"",
                rng.choice(PIECES),
                changed[start:end] * rng.choice((2, 50)),
                rng.choice(SEEDS)[0][: rng.randrange(60)],
            )
        )
    return bytes(changed[: rng.randrange(len(changed) + 1)] if rng.random() < 0.1 else changed)


def run(rng, count):
    """Decode so many mutated bodies; one in ten has the headers of another kind."""
    refused = 0
    for i in range(count):
        body, content_type, others = SEEDS[i % len(SEEDS)]
        if rng.random() < 0.1:
            _, content_type, others = rng.choice(SEEDS)
        headers = [(b"content-type", content_type.encode())]
        headers += [(name.encode(), value) for name, value in others.items()]
        try:
            decode(mutate(rng, body), headers)
        except (SkipError, RecursionError):
            refused += 1
    return refused


def largest():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("seed", SEEDS, ids=range(len(SEEDS)))
def test_the_bodies_are_read_as_they_are(seed):
    body, content_type, others = seed
    headers = [(b"content-type", content_type.encode())]
    assert decode(body, headers + [(name.encode(), value) for name, value in others.items()])


@pytest.mark.parametrize("seed", range(3))
def test_a_mutated_body_is_read_or_refused(seed):
    refused = run(random.Random(seed), 1000)  # noqa: S311 - it hides nothing
    assert 100 < refused < 900


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_200_000_mutated_bodies_are_read_or_refused_in_flat_memory():
    rng = random.Random(7)  # noqa: S311 - it hides nothing
    run(rng, 20_000)
    before = largest()
    assert run(rng, 180_000) > 20_000
    assert largest() - before < MOST_GROWTH
