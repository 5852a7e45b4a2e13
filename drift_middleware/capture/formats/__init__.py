"""Objects to rows: one small file for each family of payloads, tried in order.

The names in `FORMATS` are those of `Rows.format` and of `read(..., format="tei")`.  A format is a
function that gives the rows of its own payloads and None for all others:

    # formats/pigeon.py: {"pigeons": [{...}]}, answered by {"coos": [...]}
    KEYS = frozenset({"pigeons"})

    def read(decoded: Decoded) -> Rows | None:
        pigeons, answer = decoded.request["pigeons"], decoded.answer
        if type(pigeons) is not list or type(answer) is not dict:
            return None
        return decoded.rows("pigeon", pigeons, answer.get("coos"))

and one line here, before all that is less specific:

    Format("pigeon", pigeon.read, pigeon.KEYS),

`KEYS` rules requests out before they are looked at: a record without any of them is another's.  A
format may raise SkipError for a payload that is its own but has no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from drift_middleware.capture.bodies import Binary, Fields, Grid, Lines
from drift_middleware.capture.decoded import Decoded
from drift_middleware.capture.formats import (
    azureml,
    bentoml,
    cog,
    columnar,
    forms,
    grids,
    hf,
    mlflow,
    oip,
    openai,
    plain,
    raw,
    seldon,
    single,
    tei,
    tfs,
    triton,
)
from drift_middleware.capture.formats.forms import Query
from drift_middleware.schemas import Rows

ANY: frozenset[str] = frozenset()


class Format(NamedTuple):
    """One entry of the registry."""

    name: str
    read: Callable[[Decoded], Rows | None]
    keys: frozenset[str] = ANY
    "one of them is in each of its records; none: it takes any record"
    kind: type[Any] = dict
    "what its requests are once they are decoded"

    def of(self, request: Any) -> Sequence[Format]:
        """Return this format alone; nothing if the request is of another kind, or has no key."""
        if type(request) is not self.kind or (self.keys and self.keys.isdisjoint(request)):
            return ()
        return (self,)


FORMATS = (
    Format("oip_v2", oip.read, oip.KEYS),
    Format("seldon_v1", seldon.read, seldon.KEYS),
    Format("azureml", azureml.read, azureml.KEYS),
    Format("openai_chat", openai.read_chat, openai.CHAT),
    Format("openai_completions", openai.read_completions, openai.COMPLETIONS),
    Format("openai_embeddings", openai.read_embeddings, openai.EMBEDDINGS),
    Format("tfs_examples", tfs.read_examples, tfs.EXAMPLES),
    Format("tfs_row", tfs.read_instances, tfs.INSTANCES),
    Format("triton_generate", triton.read, triton.KEYS),
    Format("tei", tei.read, tei.KEYS),
    Format("hf", hf.read, hf.KEYS),
    Format("tfs_columnar", tfs.read_columns, tfs.COLUMNS),
    Format("mlflow", mlflow.read, mlflow.KEYS),
    Format("cog", cog.read, cog.KEYS),
    Format("litserve", single.read_input, single.INPUT),
    Format("single", single.read, single.KEYS),
    Format("record", plain.read_record),
    Format("bentoml", bentoml.read),
    Format("columnar", columnar.read),
    Format("records", plain.read_records, kind=list),
    Format("matrix", plain.read_matrix, kind=list),
    Format("jsonlines", grids.read_lines, kind=Lines),
    Format("npy", grids.read_npy, kind=Grid),
    Format("parquet", grids.read_parquet, kind=Grid),
    Format("arrow", grids.read_arrow, kind=Grid),
    Format("csv", grids.read_csv, kind=Grid),
    Format("multipart", forms.read_multipart, kind=Fields),
    Format("form", forms.read_form, kind=Fields),
    Format("query", forms.read_query, kind=Query),
    Format("text", raw.read_text, kind=str),
    Format("binary", raw.read_binary, kind=Binary),
)
BY_NAME = {each.name: each for each in FORMATS}
# Most requests are plain records: one look at their keys rules all the others out.
KEYS = frozenset().union(*(each.keys for each in FORMATS))
GENERAL = tuple(each for each in FORMATS if each.kind is dict and not each.keys)
KINDS = {
    kind: tuple(each for each in FORMATS if each.kind is kind)
    for kind in {each.kind for each in FORMATS}
}


def formats_of(request: Any) -> Sequence[Format]:
    """Return the formats that a request may be of, the most specific first."""
    kind = type(request)
    if kind is not dict:
        return KINDS.get(kind, ())
    keys = request.keys()
    if keys.isdisjoint(KEYS):
        return GENERAL
    return [each for each in KINDS[dict] if not each.keys or not keys.isdisjoint(each.keys)]
