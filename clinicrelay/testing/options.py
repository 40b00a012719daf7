"""What every plugin promises of its Options: printable, described, and strict about typing errors."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError


class OptionsContract:
    """Inherited by the contract of each room."""

    def plugin(self) -> type[Any]:
        """Return the plugin's class."""
        raise NotImplementedError

    def test_every_option_is_described(self) -> None:
        options: type[BaseModel] = self.plugin().Options
        silent = [name for name, field in options.model_fields.items() if not field.description]
        assert not silent, f"options without a description: {silent}"

    def test_an_unknown_option_is_refused(self) -> None:
        options: type[BaseModel] = self.plugin().Options
        with pytest.raises(ValidationError) as refusal:
            options.model_validate({"no_such_option": 1})
        refused = [e["loc"] for e in refusal.value.errors() if e["type"] == "extra_forbidden"]
        assert refused == [("no_such_option",)]
