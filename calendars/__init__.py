"""One file a kind of calendar that doctors look at; `type: NAME` in settings finds NAME here."""
