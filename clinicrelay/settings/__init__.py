"""One clinic's settings.yaml, or a folder of them: found, read, checked, and told about in a
person's words.
"""

from clinicrelay.settings.clinics import Broken, load_all
from clinicrelay.settings.load import Loaded, load
from clinicrelay.settings.places import find, find_file
from clinicrelay.settings.schema import Settings

__all__ = ["Broken", "Loaded", "Settings", "find", "find_file", "load", "load_all"]
