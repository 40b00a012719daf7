"""What is unwise in how a system is reached, found without asking anybody anything."""

from __future__ import annotations

from collections.abc import Iterator

from clinicrelay.auth.options import NoAuth, SmartBackend
from clinicrelay.contracts import Finding
from clinicrelay.http.errors import Unwelcome
from clinicrelay.http.options import HttpOptions
from clinicrelay.http.private import host_in, is_private, safe_to_send
from clinicrelay.loopback import is_loopback


def advice(options: HttpOptions) -> Iterator[Finding]:
    """Yield what a person should mend or know, for a connector's `advise`; connects to nothing."""
    yield from _unencrypted(options)
    yield from _insecure(options)
    yield from _unusable(options)


def _unencrypted(options: HttpOptions) -> Iterator[Finding]:
    host = host_in(options.base_url)
    if options.base_url.lower().startswith("http:") and not is_loopback(host):
        what = (
            "patients' data"
            if isinstance(options.auth, NoAuth)
            else "credentials and patients' data"
        )
        yield Finding(
            "warning",
            "not_encrypted",
            f"{what} cross the network to {host} in plain sight of all between",
            "write base_url with https",
        )
    token_url = getattr(options.auth, "token_url", None)
    if token_url and not safe_to_send(token_url):
        yield Finding(
            "error",
            "not_encrypted",
            f"the token address of {host_in(token_url)} is not encrypted: nothing is sent there",
            "write auth.token_url with https",
        )


def _insecure(options: HttpOptions) -> Iterator[Finding]:
    host = host_in(options.base_url)
    if not options.tls.insecure or not options.base_url.lower().startswith("https:"):
        return
    fix = "remove tls.insecure; name the signer of its certificate in tls.ca"
    if is_private(host):
        told = f"any certificate is believed of {host}: whoever stands between could read along"
        yield Finding("warning", "tls_insecure", told, fix)
    else:
        # Its name may still stand for an address of one's own: that is looked up when it is used.
        told = f"tls.insecure is for hosts of your own network; {host} is refused if it is none"
        yield Finding("warning", "tls_insecure", told, fix)


def _unusable(options: HttpOptions) -> Iterator[Finding]:
    """Look at the files: a wrong one would stop the run, and at night nobody looks."""
    if options.tls.ca or options.tls.cert:
        from clinicrelay.http.trust import own_files

        try:
            own_files(options.tls)
        except Unwelcome as error:
            yield Finding("error", "tls_files", str(error), error.fix)
    if isinstance(options.auth, SmartBackend):
        from clinicrelay.auth.smart import key_of

        try:
            key_of(options.auth)
        except Unwelcome as error:
            yield Finding("error", "private_key", str(error), error.fix)
