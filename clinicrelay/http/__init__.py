"""HTTP as sources need it: one host, patient but not for ever, and never a secret in a sentence."""

from clinicrelay.http.advice import advice
from clinicrelay.http.client import Answer, Client
from clinicrelay.http.errors import Foreign, NotAnswered, NoToken, Spent, Unwelcome
from clinicrelay.http.options import HttpOptions, Tls

__all__ = [
    "Answer",
    "Client",
    "Foreign",
    "HttpOptions",
    "NoToken",
    "NotAnswered",
    "Spent",
    "Tls",
    "Unwelcome",
    "advice",
]
