"""HTTP as sources need it: one host, patient but not for ever, and never a secret in a sentence."""

from clinicrelay.http.client import Answer, Client
from clinicrelay.http.errors import Foreign, NotAnswered, Spent, Unwelcome
from clinicrelay.http.options import HttpOptions, Tls

__all__ = [
    "Answer",
    "Client",
    "Foreign",
    "HttpOptions",
    "NotAnswered",
    "Spent",
    "Tls",
    "Unwelcome",
]
