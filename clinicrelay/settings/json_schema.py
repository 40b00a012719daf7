"""The JSON Schema of the settings, for editors: keys, values and help for every plugin there is.

It accepts what `check` accepts as far as one value can be judged by itself: any single value may be
a reference (`${NAME}`), and a key with nothing behind it means its default.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from clinicrelay import files
from clinicrelay.settings.mistakes import as_yaml
from clinicrelay.settings.plugged import ROOMS, installed
from clinicrelay.settings.schema import Settings
from clinicrelay.settings.shape import names_of
from clinicrelay.settings.values import SPAN_PATTERN
from clinicrelay.settings.writing import as_written, plain

FILE_NAME = "settings.schema.json"
FIRST_LINE = "# yaml-language-server: $schema={place}"

Schema: TypeAlias = dict[str, Any]

_REFERENCE = {"$ref": "#/$defs/reference"}
_ABOUT = ("description", "default", "examples", "defaultSnippets")
_UNUSED = (*_ABOUT, "title", "format", "writeOnly")
_NAMED = {"pattern": "^[a-z0-9_-]+$|\\$\\{"}


def text() -> str:
    """Return the schema as the file that editors read."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def write_beside(settings: Path) -> str:
    """Write the schema beside a settings file and return the line to begin that file with.

    An installed program has no other place that an editor could be pointed at.
    """
    files.replace(settings.parent / FILE_NAME, text().encode())
    return FIRST_LINE.format(place=FILE_NAME)


def json_schema() -> Schema:
    """Return the schema of settings.yaml, with the options of every plugin there is."""
    made = Settings.model_json_schema(schema_generator=_Writer)
    definitions = made.pop("$defs")
    for section, (_, model) in ROOMS.items():
        common = definitions.pop(model.__name__)
        common["properties"].pop("options")
        kinds = {name: options for at, name, options in installed() if at == section}
        for kind, options in kinds.items():
            definitions |= _plugged(common, options, f"{section}.{kind}", kind)
        made["properties"][section]["additionalProperties"] = _by_type(common, section, kinds)
        made["properties"][section]["propertyNames"] = _NAMED
        made["properties"][section].pop("patternProperties")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "clinicrelay settings",
        **_opened(made),
        "$defs": {name: _opened(one) for name, one in definitions.items()}
        | {"reference": {"type": "string", "pattern": r"\$\{"}},
    }


class _Writer(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        return plain(dft)

    def model_schema(self, schema: Any) -> Schema:
        written = super().model_schema(schema)
        for name, info in schema["cls"].model_fields.items():
            key = written["properties"].get(names_of(name, info)[0], {})
            key["description"] = info.description or ""  # pydantic drops what a class says too
            # A section's keys have their own; editors would insert the whole of it, without quotes.
            if any("{" in as_yaml(example) for example in key.get("examples", ())):
                key.pop("examples")
            if isinstance(key.get("default"), dict | None):
                key.pop("default", None)
            else:
                key["default"] = as_written(info.default, info)
        return written


# --- plugins -----------------------------------------------------------------------------------


def _plugged(common: Schema, options: type[BaseModel], name: str, kind: str) -> dict[str, Schema]:
    """Return the definitions of one plugin: the common part and its own keys, and those below."""
    own = options.model_json_schema(
        schema_generator=_Writer, ref_template=f"#/$defs/{name}.{{model}}"
    )
    below = {f"{name}.{key}": nested for key, nested in own.pop("$defs", {}).items()}
    properties = {**common["properties"], **own.get("properties", {})}
    properties["type"] = {**common["properties"]["type"], "const": kind, "examples": [kind]}
    whole = {
        "type": "object",
        "description": own.get("description", ""),
        "additionalProperties": False,
        "properties": properties,
        "required": sorted({*own.get("required", []), *common["required"]}),
    }
    return {name: whole, **below}


def _by_type(common: Schema, section: str, kinds: dict[str, type[BaseModel]]) -> Schema:
    """Choose a plugin's definition by its type, so that an editor offers that plugin's keys."""
    return {
        "type": "object",
        "description": common["description"],
        "required": ["type"],
        "properties": {
            "type": {
                "enum": list(kinds),
                "description": common["properties"]["type"]["description"],
            }
        },
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
                "then": {"$ref": f"#/$defs/{section}.{kind}"},
            }
            for kind in kinds
        ],
    }


# --- what the models say, opened for references and empty keys -----------------------------------


def _opened(schema: Schema) -> Schema:
    if "properties" in schema or schema.get("type") == "object":
        return _section(schema)
    schema = _offered_in_quotes(schema)
    about = {key: schema[key] for key in _ABOUT if key in schema}
    rest = {key: value for key, value in schema.items() if key not in _UNUSED}
    if choices := rest.get("anyOf") or rest.get("oneOf"):
        return {"anyOf": _choices(choices), **about}
    if schema.get("format") == "duration":  # ISO 8601 in JSON Schema, 15m in settings
        rest = {"type": "string", "pattern": SPAN_PATTERN}
    if rest.get("type") == "array":
        rest["items"] = _opened(rest.get("items", {}))
    return {"anyOf": [rest, _REFERENCE], **about} if _is_narrow(rest) else {**rest, **about}


def _offered_in_quotes(schema: Schema) -> Schema:
    """Let editors write the quotes around a time or a phone, which YAML would take for a number."""
    choices = [schema, *schema.get("anyOf", ())]
    if not any(choice.pop("quoted", False) for choice in choices):
        return schema
    offered = [*schema.pop("examples", ()), *([schema["default"]] if "default" in schema else ())]
    # A body that begins with ^ is inserted as it stands: vscode-json-languageservice.
    snippets = [{"label": f'"{one}"', "body": f'^"{one}"'} for one in dict.fromkeys(offered)]
    return {**schema, "defaultSnippets": snippets}


def _is_narrow(schema: Schema) -> bool:
    """Whether it is a single value, and not every text will do."""
    scalar = schema.get("type") in ("string", "number", "integer", "boolean")
    return (scalar or "enum" in schema or "const" in schema) and schema != {"type": "string"}


def _choices(schemas: list[Schema]) -> list[Schema]:
    """Return the alternatives side by side, the reference once and last."""
    choices: list[Schema] = []
    for schema in map(_opened, schemas):
        choices += [one for one in schema.get("anyOf", [schema]) if one not in choices]
    if _REFERENCE in choices:
        choices.remove(_REFERENCE)
        choices += [] if {"type": "string"} in choices else [_REFERENCE]
    return choices


def _section(schema: Schema) -> Schema:
    required = schema.get("required", [])
    said = {key: value for key, value in schema.items() if key not in ("title", "discriminator")}
    if "properties" in said:
        said["properties"] = {
            key: _opened(value) if key in required else _or_nothing(_opened(value))
            for key, value in schema["properties"].items()
        }
    if isinstance(said.get("additionalProperties"), dict):
        said["additionalProperties"] = _opened(schema["additionalProperties"])
    return said


def _or_nothing(schema: Schema) -> Schema:
    """Let a key be there with nothing behind it, except where the models forbid that."""
    about = {key: schema[key] for key in _ABOUT if key in schema}
    rest = {key: value for key, value in schema.items() if key not in _ABOUT}
    choices = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    if rest.pop("never_empty", False) or not rest:
        return {**rest, **about}
    nothing = [] if {"type": "null"} in choices else [{"type": "null"}]
    return {"anyOf": [*choices, *nothing], **about}
