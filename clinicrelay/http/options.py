"""What settings may say of a system that is reached by HTTP."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from clinicrelay.auth.options import Auth, NoAuth, one_line
from clinicrelay.settings.local import LocalPath
from clinicrelay.settings.values import RateLimit, Section, SomeTime, wrong


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        port, parts = 0, urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong("this is not an address", "write it whole: https://fhir.ehr.example/r4")
    if parts.username or parts.password:
        raise wrong("credentials do not belong into an address", "write them under auth")
    if parts.query or parts.fragment:
        raise wrong("an address to build on ends before ? and #", "write parameters under params")
    return value.strip().rstrip("/")


def _proxy(value: str) -> str:
    try:
        parts = urlsplit(value.strip())
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise wrong("this is no proxy's address", "write http://proxy.riverside.example:3128")
    return value.strip()


BaseUrl: TypeAlias = Annotated[str, AfterValidator(_base_url)]
Proxy: TypeAlias = Annotated[str, AfterValidator(_proxy)]
HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
HeaderText: TypeAlias = Annotated[str, AfterValidator(one_line)]


class Tls(Section):
    """How both ends of an encrypted connection prove who they are."""

    ca: LocalPath | None = Field(
        default=None,
        description="File with certificates (PEM) of signers to trust beside the system's own.",
        examples=["secrets/ca.pem"],
    )
    cert: LocalPath | None = Field(
        default=None,
        description="Our own certificate (PEM), where the server wants one.",
        examples=["secrets/client.pem"],
    )
    key: LocalPath | None = Field(
        default=None,
        description="Its private key. Absent: it stands in the same file.",
        examples=["secrets/client.key"],
    )
    password: SecretStr | None = Field(
        default=None, description="What opens that key.", examples=["${CLIENT_KEY_PASSWORD}"]
    )
    insecure: bool = Field(
        default=False,
        description="Believe any certificate; only inside your own network, and warned of each run.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Tls:
        if (self.key or self.password) and not self.cert:
            raise wrong("a key without its certificate", "name the certificate: cert: …")
        return self


class HttpOptions(Section):
    """What every source reached by HTTP has."""

    base_url: BaseUrl = Field(
        description="The address that everything is under; nothing is asked of any other host.",
        examples=["https://fhir.ehr.example/r4"],
    )
    auth: Auth = Field(
        default=NoAuth(type="none"),
        description="How we say who we are: none, basic, bearer, header, query, oauth2 or "
        "smart_backend.",
        examples=[{"type": "bearer", "token": "${EHR_TOKEN}"}],
    )
    tls: Tls = Field(default=Tls(), description="Certificates, where the usual ones do not do.")
    headers: dict[HeaderName, HeaderText] = Field(
        default={},
        repr=False,  # somebody will write a key here
        description="Headers to send with each request; secrets belong under auth.",
        examples=[{"X-Site": "12"}],
    )
    proxy: Proxy | None = Field(
        default=None,
        repr=False,  # may hold a password
        description="Way out. Absent: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment.",
        examples=["http://proxy.riverside.example:3128"],
    )
    timeout: SomeTime = Field(
        default=timedelta(seconds=30), description="Longest wait for one answer.", examples=["30s"]
    )
    rate: RateLimit | None = Field(
        default=None, description="Most requests in a period. Absent: no limit.", examples=["5/s"]
    )
    budget: RateLimit | None = Field(
        default=None,
        description="Most requests in one run, or in an hour or day by the clock.",
        examples=["2000/run"],
    )
