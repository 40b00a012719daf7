"""How a source or provider is told who we are: the options, and what puts them on a request."""

from clinicrelay.auth.options import (
    Auth,
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    NoAuth,
    OAuth2,
    QueryAuth,
    SmartBackend,
)

__all__ = [
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "HeaderAuth",
    "NoAuth",
    "OAuth2",
    "QueryAuth",
    "SmartBackend",
]
