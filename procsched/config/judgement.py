"""What pydantic found, in our words: the rule that was broken, and the remedy.

Imports: errors, config.document, config.fault, pydantic.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from procsched.errors import ProcschedError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from procsched.config.document import Document
    from procsched.config.fault import Fault, KeyPath

_RULES: Final = {
    "bool_type": "is neither true nor false",
    "int_type": "is not a whole number",
    "string_type": "is not a text",
    "string_too_short": "is empty",
    "string_pattern_mismatch": "does not look as it should",
    "list_type": "is not a list",
    "too_short": "is empty",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "model_attributes_type": "is not a mapping",
    "literal_error": "is none of its choices",
    "greater_than_equal": "is too small",
}
"""By pydantic's type of error; the ones our models can raise."""

_CONSTANTS: Final = {"None": "null", "True": "true", "False": "false"}

_IN_CODE: Final = (
    (re.compile(r"\bSc\.([A-Z]+)\b"), lambda match: match[1].lower()),
    (re.compile(r"\b([a-z_]+)=(?=\S)"), lambda match: f"{match[1]}: "),
    (re.compile(r"\b(None|True|False)\b"), lambda match: _CONSTANTS[match[1]]),
)


def in_yaml(text: str) -> str:
    """Return an error's words as one line, with Python's spelling as YAML's."""
    lines = text.splitlines()
    caret = lines[2].strip(" ") if len(lines) > 2 else ""  # noqa: PLR2004 - see Piece.fault
    if caret and not caret.strip("^"):
        start = lines[2].index("^")
        text = f"{lines[-1]} (at '{lines[1][start : start + len(caret)]}')"
    for pattern, spelling in _IN_CODE:
        text = pattern.sub(spelling, text)
    return " ".join(text.split())


def shape_faults(
    document: Document, model: type[BaseModel], path: KeyPath, body: dict[str, Any]
) -> list[tuple[str, Fault]]:
    """Return what is wrong with keys and types of a mapping, by its model.

    Returns:
        The mapping's own key in which the fault lies, and the fault.
    """
    try:
        model.model_validate(body)
    except ValidationError as error:
        return list(_faults(document, model, path, error))
    return []


def _faults(
    document: Document, model: type[BaseModel], path: KeyPath, error: ValidationError
) -> Iterator[tuple[str, Fault]]:
    for each in error.errors(include_url=False):
        where = (*path, *each["loc"])
        value, kind = each["input"], each["type"]
        cause = each.get("ctx", {}).get("error")
        if isinstance(cause, ProcschedError):
            rule, remedy = in_yaml(cause.problem), in_yaml(cause.remedy)
        elif kind == "extra_forbidden":
            rule, remedy = _unknown_key(model, each["loc"])
        elif kind == "missing":
            rule, remedy = "is missing", _example(model, each["loc"])
            value = None
        else:
            rule = _RULES.get(kind, each["msg"])
            remedy = _example(model, each["loc"])
        at_key = kind in {"extra_forbidden", "missing"}
        fault = document.fault(where, rule, remedy=remedy, value=value, at_key=at_key)
        yield str(each["loc"][0]), fault


def _unknown_key(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, str]:
    known = [
        field.alias or name
        for name, field in _model_at(model, loc).model_fields.items()
    ]
    close = nearest(str(loc[-1]), known)
    remedy = f"Write `{close}`" if close else f"The keys here are {', '.join(known)}"
    return "is no key that is known here", remedy


def _example(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Return how to write a key, from its own example."""
    names = [step for step in loc if isinstance(step, str)]
    for depth in range(len(names), 0, -1):
        parent = _model_at(model, tuple(names[:depth]))
        for name, field in parent.model_fields.items():
            if (field.alias or name) == names[depth - 1] and field.examples:
                return (
                    f"Write it as in `{names[depth - 1]}: {_flow(field.examples[0])}`"
                )
    return "Compare it with configs/config.schema.json"


def _model_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model of the mapping that holds the last step of a path."""
    for step in loc[:-1]:
        field = model.model_fields.get(str(step))
        inner = [] if field is None else _models_in(field.annotation)
        if not inner:
            break
        model = inner[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    inner = getattr(annotation, "__args__", ())
    return [model for each in inner for model in _models_in(each)]


def _flow(value: object) -> str:
    """Return a value as YAML writes it in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        pairs = (f"{name}: {_flow(item)}" for name, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value)
