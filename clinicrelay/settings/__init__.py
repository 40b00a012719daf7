"""One clinic's settings.yaml: found, read, checked, and told about in a person's words."""

from clinicrelay.settings.load import Loaded, find_file, load
from clinicrelay.settings.schema import Settings

__all__ = ["Loaded", "Settings", "find_file", "load"]
