"""Every format, by what its server's documentation says that it sends."""

import base64
import json
import re
import struct
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drift_middleware.capture import formats, read
from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.reasons import Reason
from drift_middleware.schemas import Exchange, Rows

JSON = "application/json"


def exchange(request, answer=None, path="/predict", *, sent=JSON, given=JSON, query=b""):
    """Make an exchange of texts, of bytes, or of objects to be sent as JSON."""

    def body(part):
        if isinstance(part, bytes):
            return part
        return part.encode() if isinstance(part, Text) else json.dumps(part).encode()

    return Exchange(
        "POST",
        path,
        query=query,
        request_headers=[(b"content-type", sent.encode())],
        request_body=body(request),
        response_headers=[(b"content-type", given.encode())],
        response_body=b"" if answer is None else body(answer),
    )


class Text(str):
    """A body as it is on the wire."""

    __slots__ = ()


class Case:
    """One exchange, and what it must give."""

    def __init__(self, format_, request, answer, features, predictions, **fields):
        self.format = format_
        self.exchange = exchange(request, answer, **fields)
        self.features = features
        self.predictions = predictions


def events(*data):
    """Write a stream as servers do, some without a space, some with CRLF."""
    return Text("".join(f"data:{json.dumps(one)}\r\n\r\n" for one in data) + "data: [DONE]\n\n")


def tensor(name, shape, data, datatype="FP32", **parameters):
    made = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return made | ({"parameters": parameters} if parameters else {})


def floats(*values):
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


STREAM = {"given": "text/event-stream"}
ROW = [5.1, 3.5, 1.4, 0.2]
ROWS = [ROW, [6.7, 3.0, 5.2, 2.3]]
RECORDS = [{"age": 25, "city": "Paris"}, {"age": 40, "city": "Oslo"}]
COLUMNS = {"age": [25, 40], "city": ["Paris", "Oslo"]}
FRAME = {"age": {"0": 25, "1": 40}, "city": {"0": "Paris", "1": "Oslo"}}
SPLIT = {"columns": ["age", "city"], "index": [0, 1], "data": [[25, "Paris"], [40, "Oslo"]]}
RANKING = [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.1}]
SCORES = {"cat": 0.9, "dog": 0.1}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
ASKED = {"text": "hi", "model": "m"}
PNG = "data:image/png;base64," + base64.b64encode(bytes(30)).decode()
GENERATE = {"path": "/v2/models/m/generate"}
CHAT_AT = {"path": "/v1/chat/completions"}
EMBED_AT = {"path": "/v1/embeddings"}
INFER_AT = {"path": "/v2/models/iris/infer"}
SCORE_AT = {"path": "/score"}
SELDON_AT = {"path": "/api/v1.0/predictions"}

CASES = {
    # plain
    "record": Case("record", {"age": 25}, 0, [{"age": 25}], [0]),
    "record of a vector": Case(
        "record", {"embedding": [0.5, 1.5]}, 0.9, [{"embedding": [0.5, 1.5]}], [0.9]
    ),
    "record of vectors": Case(
        "record",
        {"a": [0.5, 1.5], "b": [1, 2]},
        {"label": "x"},
        [{"a": [0.5, 1.5], "b": [1, 2]}],
        [{"label": "x"}],
    ),
    "record of null and NaN": Case(
        "record", Text('{"a": null, "b": 1}'), 0, [{"a": None, "b": 1}], [0]
    ),
    "records": Case("records", RECORDS, [0, 1], RECORDS, [0, 1]),
    "records, one failed": Case(
        "records",
        RECORDS,
        {"results": [{"prediction": 1}, {"error": "too old"}]},
        RECORDS,
        [{"prediction": 1}, {"error": "too old"}],
    ),
    "matrix": Case("matrix", ROWS, [0, 2], ROWS, [0, 2]),
    "columns": Case("columnar", COLUMNS, [0, 1], RECORDS, [0, 1]),
    "columns answered by columns": Case(
        "columnar", COLUMNS, {"label": [0, 1]}, RECORDS, [{"label": 0}, {"label": 1}]
    ),
    "one column": Case("columnar", {"age": [25, 40]}, [0, 1], [{"age": 25}, {"age": 40}], [0, 1]),
    "a column of texts": Case(
        "columnar",
        {"texts": ["a", "b"]},
        {"labels": [0, 1]},
        [{"texts": "a"}, {"texts": "b"}],
        [{"labels": 0}, {"labels": 1}],
    ),
    "columns of one row": Case(
        "columnar", {"age": [25], "city": ["Oslo"]}, [0], [{"age": 25, "city": "Oslo"}], [0]
    ),
    "data frame": Case("bentoml", FRAME, [0, 1], RECORDS, [0, 1]),
    "query": Case("query", b"", 0, [{"sl": "5.1", "note": ""}], [0], query=b"sl=5.1&note="),
    "text": Case(
        "text",
        Text("I love it"),
        "POSITIVE",
        [{"text": "I love it"}],
        ["POSITIVE"],
        sent="text/plain",
    ),
    "form": Case(
        "form",
        Text("sl=5.1&city=New+York"),
        0,
        [{"sl": "5.1", "city": "New York"}],
        [0],
        sent="application/x-www-form-urlencoded",
    ),
    # TensorFlow Serving, KServe V1, Vertex AI, SageMaker
    "rows": Case(
        "tfs_row", {"signature_name": "s", "instances": ROWS}, {"predictions": [0, 2]}, ROWS, [0, 2]
    ),
    "rows, several outputs": Case(
        "tfs_row",
        {"instances": ROWS},
        {"predictions": [{"a": 1, "b": [2]}, {"a": 3, "b": [4]}]},
        ROWS,
        [{"a": 1, "b": [2]}, {"a": 3, "b": [4]}],
    ),
    "Vertex AI": Case(
        "tfs_row",
        {"instances": RECORDS, "parameters": {"threshold": 0.5}},
        {"predictions": [0, 1], "deployedModelId": "1", "model": "m", "modelVersionId": "2"},
        RECORDS,
        [0, 1],
        given="*/*",
    ),
    "SageMaker, nested features": Case(
        "tfs_row",
        {"instances": [{"data": {"features": {"values": ROW}}}]},
        {"predictions": [{"score": 0.4}]},
        [ROW],
        [{"score": 0.4}],
    ),
    "SageMaker, one nested row": Case(
        "single",
        {"data": {"features": {"values": ROW}}},
        {"predictions": [{"score": 0.4}]},
        [ROW],
        [{"score": 0.4}],
    ),
    "SageMaker, scores on one line": Case(
        "csv",
        Text("1,2\n3,4\n"),
        Text("0.25,0.5\n"),
        [[1, 2], [3, 4]],
        [0.25, 0.5],
        sent="text/csv",
        given="text/csv",
    ),
    "SageMaker, CSV in and JSON Lines out": Case(
        "csv",
        Text("1,2\n3,4\n"),
        Text('{"score": 0.25}\n{"score": 0.5}\n'),
        [[1, 2], [3, 4]],
        [{"score": 0.25}, {"score": 0.5}],
        sent="text/csv",
        given="application/jsonlines",
    ),
    "columns of tensors": Case(
        "tfs_columnar",
        {"inputs": {"a": [1, 2], "b": [[3], [4]]}},
        {"outputs": {"x": [0.1, 0.2], "y": [[1], [2]]}},
        [{"a": 1, "b": [3]}, {"a": 2, "b": [4]}],
        [{"x": 0.1, "y": [1]}, {"x": 0.2, "y": [2]}],
    ),
    "tensors of two lengths, one answer": Case(
        "tfs_columnar",
        {"inputs": {"a": [1], "b": [2, 3]}},
        {"outputs": [0.5]},
        [{"a": [1], "b": [2, 3]}],
        [0.5],
    ),
    "classify, as the example says": Case(
        "tfs_examples",
        {"context": {"country": "FR"}, "examples": [{"age": 3}, {"age": 4, "country": "DE"}]},
        {"results": [[["a", 0.9], ["b", 0.1]], [["a", 0.2], ["b", 0.8]]]},
        [{"country": "FR", "age": 3}, {"country": "DE", "age": 4}],
        [{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}],
    ),
    "regress": Case(
        "tfs_examples",
        {"examples": [{"age": 3}, {"age": 4}]},
        {"result": [0.5, 1.5]},
        [{"age": 3}, {"age": 4}],
        [0.5, 1.5],
    ),
    # Open Inference Protocol
    "one tensor, answered by a column": Case(
        "oip_v2",
        {"inputs": [tensor("x", [2, 2], [1, 2, 3, 4])]},
        {"model_name": "m", "outputs": [tensor("label", [2, 1], [0, 2], "INT64")]},
        [{"x": [1, 2]}, {"x": [3, 4]}],
        [0, 2],
        **INFER_AT,
    ),
    "nested data of three dimensions": Case(
        "oip_v2",
        {"inputs": [tensor("x", [2, 2, 1, 2], [[[[1, 2]], [[3, 4]]], [[[5, 6]], [[7, 8]]]])]},
        {"outputs": [tensor("y", [2], [0, 1])]},
        [{"x": [[1, 2], [3, 4]]}, {"x": [[5, 6], [7, 8]]}],
        [0, 1],
    ),
    "a data frame of MLServer": Case(
        "oip_v2",
        {
            "parameters": {"content_type": "pd"},
            "inputs": [
                tensor("age", [2, 1], [25, None], "FP64"),
                tensor("city", [2], ["Paris", "Oslo"], "BYTES", content_type="str"),
                tensor("tags", [2], ['["a"]', "[]"], "BYTES", content_type="pd_json"),
                tensor(
                    "at",
                    [2],
                    ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"],
                    "BYTES",
                    content_type="datetime",
                ),
                tensor("image", [2], ["aGk=", "/w=="], "BYTES", content_type="base64"),
            ],
        },
        {
            "outputs": [
                tensor("y", [2, 1], ["no", "yes"], "BYTES"),
                tensor("p", [2, 2], [0.1, 0.9, 0.2, 0.8]),
            ]
        },
        [
            {
                "age": 25,
                "city": "Paris",
                "tags": ["a"],
                "at": "2026-01-01T00:00:00Z",
                "image": b"hi",
            },
            {
                "age": None,
                "city": "Oslo",
                "tags": [],
                "at": "2026-01-02T00:00:00Z",
                "image": b"\xff",
            },
        ],
        [{"y": "no", "p": [0.1, 0.9]}, {"y": "yes", "p": [0.2, 0.8]}],
    ),
    "what is no JSON or base64 stays": Case(
        "oip_v2",
        {
            "inputs": [
                tensor("x", [1], ["{"], "BYTES", content_type="pd_json"),
                tensor("y", [1], ["a"], "BYTES", content_type="base64"),
            ]
        },
        None,
        [{"x": "{", "y": "a"}],
        None,
    ),
    "a tensor that is not what its shape says is dropped": Case(
        "oip_v2",
        {
            "inputs": [
                tensor("x", [2, 2], [1, 2, 3, 4]),
                tensor("y", [3], [1]),
                tensor("z", [2], [True, False], "BOOL"),
            ]
        },
        {"outputs": [tensor("a", [2], [0, 1]), tensor("b", [3], [1])]},
        [{"x": [1, 2], "z": True}, {"x": [3, 4], "z": False}],
        [{"a": 0}, {"a": 1}],
    ),
    "Triton's classes": Case(
        "oip_v2",
        {
            "inputs": [tensor("x", [2, 1], [1, 2])],
            "outputs": [{"name": "y", "parameters": {"classification": 2}}],
        },
        {
            "outputs": [
                tensor("y", [2, 2], ["0.9:0:cat", "0.1:1:dog", "0.7:1:dog", "0.3:0:cat"], "BYTES")
            ]
        },
        [{"x": 1}, {"x": 2}],
        [{"cat": 0.9, "dog": 0.1}, {"dog": 0.7, "cat": 0.3}],
    ),
    "Triton's classes of one row, without labels": Case(
        "oip_v2",
        {
            "inputs": [tensor("x", [1, 2], [1, 2])],
            "outputs": [{"name": "y", "parameters": {"classification": 2}}],
        },
        {"outputs": [tensor("y", [2], ["3.3:1", "2.4:3"], "BYTES")]},
        [{"x": [1, 2]}],
        [{"1": 3.3, "3": 2.4}],
    ),
    # MLflow
    "dataframe_split": Case(
        "mlflow", {"dataframe_split": SPLIT}, {"predictions": [0, 1]}, RECORDS, [0, 1]
    ),
    "dataframe_split of one column": Case(
        "mlflow",
        {"dataframe_split": {"columns": ["text"], "data": ["a", "b"]}},
        {"predictions": [0, 1]},
        [{"text": "a"}, {"text": "b"}],
        [0, 1],
    ),
    "dataframe_split without names": Case(
        "mlflow", {"dataframe_split": {"data": ROWS}}, {"predictions": [0, 1]}, ROWS, [0, 1]
    ),
    "dataframe_split of two levels": Case(
        "mlflow",
        {"dataframe_split": {"columns": [["a", 1]], "data": [[3]]}},
        {"predictions": [0]},
        [{"a.1": 3}],
        [0],
    ),
    "dataframe_records, answered by records": Case(
        "mlflow",
        {"dataframe_records": RECORDS, "params": {"t": 1}},
        {"predictions": [{"y": 0}, {"y": 1}]},
        RECORDS,
        [{"y": 0}, {"y": 1}],
    ),
    "inputs of a matrix, answered by columns": Case(
        "mlflow",
        {"inputs": ROWS},
        {"predictions": {"y": [0, 1], "p": [0.1, 0.9]}},
        ROWS,
        [{"y": 0, "p": 0.1}, {"y": 1, "p": 0.9}],
    ),
    "CSV with a header": Case(
        "csv",
        Text("age,city\n25,Paris\n40,Oslo\n"),
        {"predictions": [0, 1]},
        RECORDS,
        [0, 1],
        path="/invocations",
        sent="text/csv; charset=utf-8",
    ),
    # Azure ML
    "input_data, split": Case(
        "azureml", {"input_data": SPLIT, "params": {"t": 1}}, [0, 1], RECORDS, [0, 1], **SCORE_AT
    ),
    "input_data, records": Case(
        "azureml",
        {"input_data": RECORDS},
        [{"0": 0}, {"0": 1}],
        RECORDS,
        [{"0": 0}, {"0": 1}],
        **SCORE_AT,
    ),
    "input_data, one column": Case(
        "azureml",
        {"input_data": {"columns": ["text"], "data": ["a", "b"]}},
        [0, 1],
        [{"text": "a"}, {"text": "b"}],
        [0, 1],
        **SCORE_AT,
    ),
    "input_data, without names": Case(
        "azureml", {"input_data": {"data": ROWS}}, [0, 1], ROWS, [0, 1], **SCORE_AT
    ),
    "input_data, frame": Case(
        "azureml", {"input_data": FRAME}, [0, 1], RECORDS, [0, 1], **SCORE_AT
    ),
    "input_data, columns": Case(
        "azureml", {"input_data": COLUMNS}, [0, 1], RECORDS, [0, 1], **SCORE_AT
    ),
    "input_data, one record": Case(
        "azureml", {"input_data": RECORDS[0]}, 1, RECORDS[:1], [1], **SCORE_AT
    ),
    "input_data, texts": Case(
        "azureml",
        {"input_data": {"input_string": ["a", "b"], "parameters": {"t": 1}}},
        [0, 1],
        [{"text": "a"}, {"text": "b"}],
        [0, 1],
        **SCORE_AT,
    ),
    "Inputs of the designer": Case(
        "azureml",
        {"Inputs": {"WebServiceInput0": RECORDS}, "GlobalParameters": {}},
        {"Results": {"WebServiceOutput0": [{"y": 0}, {"y": 1}]}},
        RECORDS,
        [{"y": 0}, {"y": 1}],
        **SCORE_AT,
    ),
    "Inputs of AutoML": Case(
        "azureml",
        {"Inputs": {"data": RECORDS}, "GlobalParameters": 1.0},
        {"Results": [0, 1]},
        RECORDS,
        [0, 1],
        **SCORE_AT,
    ),
    # BentoML, Ray Serve, LitServe, Cog
    "an argument's name": Case("bentoml", {"input_series": ROWS}, [0, 2], ROWS, [0, 2]),
    "an argument's name, records": Case(
        "bentoml", {"passengers": RECORDS}, [0, 1], RECORDS, [0, 1]
    ),
    "an argument's name, data frame": Case("bentoml", {"df": FRAME}, [0, 1], RECORDS, [0, 1]),
    "a bare scalar answer": Case("bentoml", {"input_series": [ROW]}, 2, [ROW], [2]),
    "an image under an argument's name": Case(
        "record", {"pixels": ROWS}, {"digit": 7}, [{"pixels": ROWS}], [{"digit": 7}]
    ),
    "array to result": Case("single", {"array": ROW}, {"result": 0}, [ROW], [0]),
    "array to results": Case(
        "single", {"array": [1.5, 2.5]}, {"result": [0, 1]}, [1.5, 2.5], [0, 1]
    ),
    "data and a setting": Case("single", {"data": ROWS, "threshold": 0.5}, [0, 2], ROWS, [0, 2]),
    "data that is a feature": Case(
        "record", {"data": ROWS, "age": 3}, 0, [{"data": ROWS, "age": 3}], [0]
    ),
    "data of one record": Case(
        "single", {"data": {"age": 3}, "params": {"t": 1}}, 0, [{"age": 3}], [0]
    ),
    "an image under the name of nothing": Case(
        "litserve", {"input": ROWS}, {"output": "seven"}, [ROWS], ["seven"]
    ),
    "input of a record": Case("litserve", {"input": {"age": 3}}, {"output": 1}, [{"age": 3}], [1]),
    "input of a scalar": Case("record", {"input": 4.0}, {"output": 16.0}, [{"input": 4.0}], [16.0]),
    "Cog": Case(
        "cog",
        {"input": {"age": 3}},
        {"input": {"age": 3}, "output": [0.5, 0.7], "status": "succeeded"},
        [{"age": 3}],
        [[0.5, 0.7]],
    ),
    "Cog that failed": Case(
        "cog",
        {"input": {"age": 3}},
        {"input": {"age": 3}, "output": None, "status": "failed", "error": "x"},
        [{"age": 3}],
        None,
    ),
    # Seldon
    "ndarray without names": Case(
        "seldon_v1",
        {"meta": {"puid": "p"}, "data": {"ndarray": ROWS}},
        {"data": {"ndarray": [[0.5], [1.5]]}},
        ROWS,
        [[0.5], [1.5]],
        **SELDON_AT,
    ),
    "one named column": Case(
        "seldon_v1",
        {"data": {"names": ["text"], "ndarray": ["a", "b"]}},
        {"data": {"names": ["no", "yes"], "ndarray": [[0.1, 0.9], [0.8, 0.2]]}},
        [{"text": "a"}, {"text": "b"}],
        [{"no": 0.1, "yes": 0.9}, {"no": 0.8, "yes": 0.2}],
        **SELDON_AT,
    ),
    "tensor": Case(
        "seldon_v1",
        {"data": {"tensor": {"shape": [2, 1, 2], "values": [1, 2, 3, 4]}}},
        {"data": {"tensor": {"shape": [2], "values": [0, 1]}}},
        [[[1, 2]], [[3, 4]]],
        [0, 1],
        **SELDON_AT,
    ),
    "tftensor": Case(
        "seldon_v1",
        {
            "data": {
                "names": ["a", "b"],
                "tftensor": {
                    "dtype": "DT_INT64",
                    "tensorShape": {"dim": [{"size": "1"}, {"size": "2"}]},
                    "int64Val": ["1", "-2"],
                },
            }
        },
        {
            "data": {
                "tftensor": {
                    "dtype": "DT_FLOAT",
                    "tensorShape": {"dim": [{"size": "1"}]},
                    "floatVal": [0.5],
                }
            }
        },
        [{"a": 1, "b": -2}],
        [0.5],
        **SELDON_AT,
    ),
    "jsonData of records": Case(
        "seldon_v1",
        {"jsonData": RECORDS},
        {"jsonData": [0, 1], "meta": {}},
        RECORDS,
        [0, 1],
        **SELDON_AT,
    ),
    "jsonData of numbers": Case(
        "seldon_v1", {"jsonData": ROW}, {"strData": "setosa"}, [ROW], ["setosa"], **SELDON_AT
    ),
    "bytes": Case(
        "seldon_v1",
        {"binData": "aGVsbG8="},
        {"data": {"ndarray": [3]}},
        [{"size": 5}],
        [3],
        **SELDON_AT,
    ),
    "nothing but metadata": Case(
        "seldon_v1", {"strData": "a"}, {"meta": {}}, [{"text": "a"}], None, **SELDON_AT
    ),
    # Triton generate
    "generate": Case(
        "triton_generate",
        {"text_input": "hi", "max_tokens": 20, "parameters": {"stream": False}},
        {"model_name": "m", "text_output": "ho"},
        [{"text": "hi"}],
        ["ho"],
        **GENERATE,
    ),
    "generate_stream of tokens": Case(
        "triton_generate",
        {"text_input": "hi"},
        events({"text_output": "ho"}, {"text_output": " he"}),
        [{"text": "hi"}],
        ["ho he"],
        **GENERATE,
        **STREAM,
    ),
    "generate_stream of all so far": Case(
        "triton_generate",
        {"text_input": "hi"},
        events({"text_output": "ho"}, {"text_output": "ho he"}),
        [{"text": "hi"}],
        ["ho he"],
        **GENERATE,
        **STREAM,
    ),
    "generate_stream of nothing": Case(
        "triton_generate",
        {"text_input": "hi"},
        events({"model_name": "m"}),
        [{"text": "hi"}],
        None,
        **GENERATE,
        **STREAM,
    ),
    "generate of texts": Case(
        "triton_generate",
        {"text_input": ["a", "b"]},
        {"text_output": ["x", "y"]},
        [{"text": "a"}, {"text": "b"}],
        ["x", "y"],
        **GENERATE,
    ),
    # Hugging Face
    "classes of one text": Case(
        "hf",
        {"inputs": "a", "parameters": {"top_k": 2}},
        RANKING,
        [{"text": "a"}],
        [SCORES],
        path="/",
    ),
    "classes of one text, nested": Case(
        "hf", {"inputs": "a"}, [RANKING], [{"text": "a"}], [SCORES], path="/"
    ),
    "classes of texts": Case(
        "hf",
        {"inputs": ["a", "b"]},
        [RANKING, RANKING[::-1]],
        [{"text": "a"}, {"text": "b"}],
        [SCORES, SCORES],
        path="/",
    ),
    "entities of one text": Case(
        "hf",
        {"inputs": "a b"},
        [{"entity": "X", "word": "a"}, {"entity": "Y", "word": "b"}],
        [{"text": "a b"}],
        [[{"entity": "X", "word": "a"}, {"entity": "Y", "word": "b"}]],
        path="/",
    ),
    "zero-shot": Case(
        "hf",
        {"inputs": "a", "parameters": {"candidate_labels": ["cat", "dog"]}},
        {"sequence": "a", "labels": ["cat", "dog"], "scores": [0.9, 0.1]},
        [{"text": "a"}],
        [SCORES],
        path="/",
    ),
    "question answering": Case(
        "tfs_columnar",
        {"inputs": {"question": "q", "context": "c"}},
        {"answer": "a", "score": 0.9},
        [{"question": "q", "context": "c"}],
        [{"answer": "a", "score": 0.9}],
        path="/",
    ),
    "generated text": Case(
        "hf", {"inputs": "a"}, [{"generated_text": "a b"}], [{"text": "a"}], ["a b"], path="/"
    ),
    "generated texts": Case(
        "hf",
        {"inputs": ["a", "b"]},
        [[{"generated_text": "a b"}], [{"generated_text": "b c"}]],
        [{"text": "a"}, {"text": "b"}],
        ["a b", "b c"],
        path="/",
    ),
    "TGI": Case(
        "hf",
        {"inputs": "a", "parameters": {"details": True}},
        {"generated_text": "a b", "details": {}},
        [{"text": "a"}],
        ["a b"],
        path="/generate",
    ),
    "TGI, a stream that was cut": Case(
        "hf",
        {"inputs": "a"},
        events({"token": {"text": "x"}}, {"token": {"text": "y"}, "generated_text": None}),
        [{"text": "a"}],
        ["xy"],
        path="/generate_stream",
        **STREAM,
    ),
    "a stream of something else": Case(
        "hf", {"inputs": "a"}, events({"x": 1}), [{"text": "a"}], None, path="/", **STREAM
    ),
    "an image as text": Case("hf", {"inputs": PNG}, RANKING, [{"size": 30}], [SCORES], path="/"),
    "an image": Case(
        "binary",
        b"\xff\xd8\xff\xe0jpeg",
        RANKING,
        [{"size": 8, "type": "image/jpeg"}],
        [SCORES],
        sent="image/jpeg",
    ),
    "an image, TorchServe": Case(
        "binary",
        b"\xff\xd8\xff\xe0jpeg",
        SCORES,
        [{"size": 8, "type": "image/jpeg"}],
        [SCORES],
        sent="image/jpeg",
        path="/predictions/resnet-18",
    ),
    "an image, one class": Case(
        "binary",
        b"\xff\xd8\xff\xe0jpeg",
        {"class": "cat", "probability": 0.9},
        [{"size": 8, "type": "image/jpeg"}],
        [{"class": "cat", "probability": 0.9}],
        sent="image/jpeg",
    ),
    # Text Embeddings Inference
    "embed one": Case(
        "tei",
        {"inputs": "a", "truncate": True},
        [[0.5, 1.5]],
        [{"text": "a"}],
        [[0.5, 1.5]],
        path="/embed",
    ),
    "embed tokens": Case(
        "tei",
        {"inputs": [101, 102]},
        [[0.5, 1.5]],
        [{"tokens": [101, 102]}],
        [[0.5, 1.5]],
        path="/embed",
    ),
    "embed lists of tokens": Case(
        "tei",
        {"inputs": [[1, 2], [3]]},
        [[0.5], [1.5]],
        [{"tokens": [1, 2]}, {"tokens": [3]}],
        [[0.5], [1.5]],
        path="/embed",
    ),
    "predict a pair": Case(
        "tei", {"inputs": ["a", "b"]}, RANKING, [{"text": ["a", "b"]}], [SCORES]
    ),
    "predict a pair, one class": Case(
        "tei", {"inputs": ["a", "b"]}, RANKING[:1], [{"text": ["a", "b"]}], [{"cat": 0.9}]
    ),
    "predict pairs": Case(
        "tei",
        {"inputs": [["a", "b"], ["c", "d"]]},
        [RANKING, RANKING],
        [{"text": ["a", "b"]}, {"text": ["c", "d"]}],
        [SCORES, SCORES],
    ),
    "predict texts": Case(
        "tei",
        {"inputs": ["a", "b"]},
        [RANKING, RANKING],
        [{"text": "a"}, {"text": "b"}],
        [SCORES, SCORES],
    ),
    "predict texts, the same class": Case(
        "tei",
        {"inputs": ["a", "b"]},
        [RANKING[0], RANKING[0]],
        [{"text": "a"}, {"text": "b"}],
        [RANKING[0], RANKING[0]],
    ),
    "rerank": Case(
        "tei",
        {"query": "q", "texts": ["a", "b", "c"]},
        [{"index": 2, "score": 0.9}, {"index": 0, "score": 0.5}, {"index": 1, "score": 0.1}],
        [{"query": "q", "text": text} for text in "abc"],
        [0.5, 0.1, 0.9],
        path="/rerank",
    ),
    "rerank, the best": Case(
        "tei",
        {"query": "q", "documents": ["a", "b"], "top_n": 1},
        {"results": [{"index": 1, "relevance_score": 0.9}]},
        [{"query": "q", "text": text} for text in "ab"],
        [None, 0.9],
        path="/rerank",
    ),
    "similarity": Case(
        "tei",
        {"inputs": {"source_sentence": "q", "sentences": ["a", "b"]}},
        [0.5, 0.1],
        [{"query": "q", "text": text} for text in "ab"],
        [0.5, 0.1],
        path="/similarity",
    ),
    # OpenAI
    "chat with a history": Case(
        "openai_chat",
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "c"},
                        {"type": "image_url", "image_url": {"url": PNG}},
                    ],
                },
            ],
            "user": "u-1",
            "seed": 7,
            "top_p": 0.5,
        },
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "d"}}]},
        [{"text": "c", "top_p": 0.5}],
        ["d"],
        **CHAT_AT,
    ),
    "chat of two choices": Case(
        "openai_chat",
        CHAT | {"n": 2},
        {
            "choices": [
                {"index": 1, "message": {"content": "y"}},
                {"index": 0, "message": {"content": "x"}},
            ]
        },
        [ASKED],
        ["x"],
        **CHAT_AT,
    ),
    "chat stream of two choices": Case(
        "openai_chat",
        CHAT | {"n": 2, "stream": True},
        events(
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
            {"choices": [{"index": 1, "delta": {"content": "y"}}]},
            {"choices": [{"index": 0, "delta": {"content": "x"}}]},
            {"choices": [{"index": 0, "delta": {"content": "z"}}]},
            {"choices": [], "usage": {}},
        ),
        [ASKED],
        ["xz"],
        **CHAT_AT,
        **STREAM,
    ),
    "chat that calls a tool": Case(
        "openai_chat",
        CHAT,
        {"choices": [{"index": 0, "message": {"content": None, "tool_calls": []}}]},
        [ASKED],
        [None],
        **CHAT_AT,
    ),
    "MLflow's agent": Case(
        "openai_chat",
        {"messages": CHAT["messages"]},
        {"messages": [{"role": "assistant", "content": "ho"}]},
        [{"text": "hi"}],
        ["ho"],
        path="/invocations",
    ),
    "completion": Case(
        "openai_completions",
        {"model": "m", "prompt": "hi"},
        {"object": "text_completion", "choices": [{"index": 0, "text": "ho"}]},
        [ASKED],
        ["ho"],
        path="/v1/completions",
    ),
    "completions, two choices each": Case(
        "openai_completions",
        {"model": "m", "prompt": ["hi", "hi"], "n": 2},
        {"choices": [{"index": i, "text": f"t{i}"} for i in (3, 2, 1, 0)]},
        [ASKED, ASKED],
        ["t0", "t2"],
        path="/v1/completions",
    ),
    "completion stream": Case(
        "openai_completions",
        {"model": "m", "prompt": "hi", "stream": True},
        events({"choices": [{"index": 0, "text": "h"}]}, {"choices": [{"index": 0, "text": "o"}]}),
        [ASKED],
        ["ho"],
        path="/v1/completions",
        **STREAM,
    ),
    "completion of tokens": Case(
        "openai_completions",
        {"prompt": [1, 2]},
        {"choices": [{"index": 0, "text": "ho"}]},
        [{"tokens": [1, 2]}],
        ["ho"],
    ),
    "a feature called prompt": Case(
        "record", {"prompt": "hi"}, {"label": "x"}, [{"prompt": "hi"}], [{"label": "x"}]
    ),
    "embeddings out of order": Case(
        "openai_embeddings",
        {"model": "m", "input": ["a", "b"]},
        {
            "object": "list",
            "data": [{"index": 1, "embedding": [1.5]}, {"index": 0, "embedding": [0.5]}],
        },
        [{"text": "a"}, {"text": "b"}],
        [[0.5], [1.5]],
        **EMBED_AT,
    ),
    "embeddings in base64": Case(
        "openai_embeddings",
        {"input": "a", "encoding_format": "base64"},
        {"object": "list", "data": [{"index": 0, "embedding": floats(0.5, -1.25)}]},
        [{"text": "a"}],
        [[0.5, -1.25]],
    ),
    "embeddings of lists of tokens": Case(
        "openai_embeddings",
        {"input": [[1, 2], [3]]},
        {
            "object": "list",
            "data": [{"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [1.5]}],
        },
        [{"tokens": [1, 2]}, {"tokens": [3]}],
        [[0.5], [1.5]],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_server_documents_gives_its_rows(case):
    rows = read(case.exchange)
    assert (rows.skipped, rows.format) == (None, case.format)
    assert rows.features == case.features
    assert rows.predictions == case.predictions
    assert not rows.unaligned


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_format_that_was_detected_can_be_named(case):
    rows = read(case.exchange, format=case.format)
    assert (rows.skipped, rows.format) == (None, case.format)
    assert rows.features == case.features
    assert rows.predictions == case.predictions


def test_a_format_has_an_exchange_here_or_in_those_recorded():
    folder = Path(__file__).parent / "exchanges"
    recorded = [one for path in folder.glob("*.json") for one in json.loads(path.read_text())]
    seen = {name for one in recorded for name in one["expected"].get("format", "").split("|")}
    assert set(formats.BY_NAME) <= seen | {case.format for case in CASES.values()}
    assert len(formats.BY_NAME) == len(formats.FORMATS)


HEADERS = {
    "texts, one row more than lines": ("a,b\nc,d\n", [0, 1], [["a", "b"], ["c", "d"]]),
    "numbers, one row less than lines": (
        "0,1\n5,6\n7,8\n",
        [0, 1],
        [{"0": 5, "1": 6}, {"0": 7, "1": 8}],
    ),
    "numbers, no answer": ("0,1\n5,6\n", None, [[0, 1], [5, 6]]),
    "names": ("a,b\n5,6\n", [0], [{"a": 5, "b": 6}]),
}


@pytest.mark.parametrize(("body", "answer", "features"), HEADERS.values(), ids=HEADERS)
def test_the_number_of_answers_says_whether_csv_has_a_header(body, answer, features):
    rows = read(exchange(Text(body), answer, sent="text/csv"))
    assert (rows.format, rows.features, rows.predictions) == ("csv", features, answer)


def test_a_pair_or_two_texts_of_two_classes_are_ambiguous_unless_the_scores_say():
    unsure = [{"label": "cat", "score": 0.9}, {"label": "dog", "score": 0.8}]
    assert read(exchange({"inputs": ["a", "b"]}, unsure)).skipped == Reason.AMBIGUOUS


values = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
)
names = st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=5, unique=True).filter(
    formats.KEYS.isdisjoint
)


@st.composite
def tables(draw):
    """Draw names, and rows of a value for each."""
    columns = draw(names)
    row = st.tuples(*(values for _ in columns)).map(list)
    return columns, draw(st.lists(row, min_size=2, max_size=5))


@given(tables())
def test_one_table_has_the_same_rows_in_every_format(table):
    columns, matrix = table
    records = [dict(zip(columns, row, strict=True)) for row in matrix]
    by_column = {name: [row[i] for row in matrix] for i, name in enumerate(columns)}
    frame = {name: dict(enumerate(column)) for name, column in by_column.items()}
    sent = [
        records,
        by_column,
        frame,
        {"instances": records},
        {"inputs": records},
        {"inputs": by_column},
        {"dataframe_records": records},
        {"dataframe_split": {"columns": columns, "data": matrix}},
        {"input_data": {"columns": columns, "data": matrix}},
        {"data": {"names": columns, "ndarray": matrix}},
        {"input": records},
        {"passengers": records},
        {
            "inputs": [
                {"name": name, "shape": [len(matrix)], "datatype": "BYTES", "data": column}
                for name, column in by_column.items()
            ]
        },
    ]
    answer = {"predictions": list(range(len(matrix)))}
    for body in sent:
        rows = read(exchange(body, answer))
        assert (rows.skipped, rows.features) == (None, records), rows.format
        assert rows.predictions == answer["predictions"]


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.data())
def test_nested_and_flat_tensors_are_the_same(sizes, data):
    count = 1
    for size in sizes:
        count *= size
    flat = data.draw(st.lists(st.integers(), min_size=count, max_size=count))
    nested = flat
    for size in reversed(sizes[1:]):
        nested = [nested[i : i + size] for i in range(0, len(nested), size)]
    both = [read(exchange({"inputs": [tensor("x", sizes, form)]})) for form in (flat, nested)]
    assert both[0].features == both[1].features
    assert len(both[0].features) == sizes[0]


def test_the_format_that_the_docs_add_reads_its_payloads():
    begin, end = map(formats.__doc__.index, ("    KEYS =", "\n\nand one line"))
    source = dedent(formats.__doc__[begin:end])
    written = {"frozenset": frozenset, "Decoded": Decoded, "Rows": Rows}
    exec(source, written)  # noqa: S102 - it is our own
    (line,) = re.findall(r"    Format\(\"pigeon.*\),", formats.__doc__)
    added = formats.Format("pigeon", written["read"], written["KEYS"])
    assert line.strip(" ,") == 'Format("pigeon", pigeon.read, pigeon.KEYS)'
    decoded = Decoded({"pigeons": [{"age": 3}]}, {"coos": ["loud"]}, Exchange("POST", "/"))
    assert added.of(decoded.request) == (added,)
    assert added.of({"doves": []}) == added.of([]) == ()
    rows = added.read(decoded)
    assert (rows.format, rows.features, rows.predictions) == ("pigeon", [{"age": 3}], ["loud"])
