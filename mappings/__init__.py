"""The engine that applies mappings, and one YAML file a source system."""

from mappings.compile import Mapper
from mappings.files import names
from mappings.mapping import Mapping, find, load
from mappings.spec import Context

__all__ = ["Context", "Mapper", "Mapping", "find", "load", "names"]
