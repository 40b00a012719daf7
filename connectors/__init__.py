"""One file a system that appointments come from; `type: NAME` in settings finds NAME here."""
