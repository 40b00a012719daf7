"""One file a way to send a message; `type: NAME` in settings finds NAME here."""
