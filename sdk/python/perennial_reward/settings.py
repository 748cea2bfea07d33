"""A plugin's configuration: a JSON schema, written by hand or derived from a dataclass."""

from __future__ import annotations

import types
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NAMES = {bool: "boolean", int: "integer", float: "number", str: "string"}


class ConfigError(ValueError):
    """A configuration that the plugin cannot work with. Raise it in a reward function to say so."""


@dataclass(frozen=True)
class Settings:
    """The schema that the host checks, and the type that the function gets: a dict where it is None."""

    schema: dict[str, Any]
    type: type | None

    @classmethod
    def of(cls, config: type | dict[str, Any] | None) -> Settings:
        """From a dataclass, a JSON schema of an object, or None for a plugin that is not configured."""
        if config is None:
            config = {"type": "object", "properties": {}, "additionalProperties": False}
        if isinstance(config, dict):
            if config.get("type") != "object":
                raise TypeError("config: the schema's type must be 'object'")
            return cls({"$schema": _DRAFT, **config}, None)
        if not (isinstance(config, type) and is_dataclass(config)):
            raise TypeError(f"config: {config!r} is neither a dataclass nor a JSON schema")
        return cls({"$schema": _DRAFT, **_object_schema(config)}, config)

    def read(self, value: Any) -> Any:
        """The configuration as the function gets it, with defaults where it says nothing.

        Raises ConfigError.
        """
        if not isinstance(value, dict):
            raise ConfigError(f"the configuration is {value!r}: an object is needed")
        if self.type is not None:
            return _build(self.type, value, "config")
        defaults = {name: schema["default"] for name, schema in self.schema.get("properties", {}).items()
                    if isinstance(schema, dict) and "default" in schema}
        return {**defaults, **value}


def _object_schema(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls)
    properties = {item.name: _property(item, hints[item.name]) for item in fields(cls)}
    required = [item.name for item in fields(cls) if _is_required(item)]
    schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _is_required(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _property(item: Field[Any], hint: Any) -> dict[str, Any]:
    # Keys of the field's metadata are keywords of the schema: description, minimum, pattern …
    schema = {**_schema(hint, item.name), **item.metadata}
    if item.default is not MISSING and not is_dataclass(item.default):
        schema["default"] = item.default
    return schema


def _schema(hint: Any, place: str) -> dict[str, Any]:
    if hint in _NAMES:
        return {"type": _NAMES[hint]}
    if isinstance(hint, type) and is_dataclass(hint):
        return _object_schema(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list and len(arguments) == 1:
        return {"type": "array", "items": _schema(arguments[0], place)}
    if origin is dict and arguments and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema(arguments[1], place)}
    if _is_union(origin):
        return {"anyOf": [{"type": "null"} if choice is type(None) else _schema(choice, place) for choice in arguments]}
    raise TypeError(f"config: {place} is a {hint}; bool, int, float, str, Literal, list, dict, | and dataclasses "
                    "have a schema of their own, anything else needs one by hand")


def _is_union(origin: Any) -> bool:
    return origin is Union or origin is getattr(types, "UnionType", None)


def _build(hint: Any, value: Any, place: str) -> Any:
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(f"{place} is {value!r}: an object is needed")
        hints = get_type_hints(hint)
        unknown = sorted(set(value) - set(hints))
        missing = [item.name for item in fields(hint) if _is_required(item) and item.name not in value]
        if unknown or missing:
            wrong = [f"{name} is unknown" for name in unknown] + [f"{name} is missing" for name in missing]
            raise ConfigError(f"{place}: {', '.join(wrong)}")
        return hint(**{name: _build(hints[name], item, f"{place}.{name}") for name, item in value.items()})
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list and isinstance(value, list):
        return [_build(arguments[0], item, f"{place}[{at}]") for at, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: _build(arguments[1], item, f"{place}.{name}") for name, item in value.items()}
    if _is_union(origin):
        return None if value is None else _build_choice(arguments, value, place)
    _check_plain(hint, value, place)
    return float(value) if hint is float else value


def _build_choice(choices: tuple[Any, ...], value: Any, place: str) -> Any:
    for choice in choices:
        try:
            return _build(choice, value, place)
        except ConfigError:
            continue
    raise ConfigError(f"{place} is {value!r}, which is none of {', '.join(map(str, choices))}")


def _check_plain(hint: Any, value: Any, place: str) -> None:
    if get_origin(hint) is Literal:
        fits = value in get_args(hint)
    elif hint in (int, float):
        fits = isinstance(value, (int, hint)) and not isinstance(value, bool)
    else:
        fits = hint in _NAMES and isinstance(value, hint)
    if not fits:
        raise ConfigError(f"{place} is {value!r}, not {getattr(hint, '__name__', hint)}")
