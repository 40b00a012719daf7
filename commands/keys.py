"""`clinicrelay keys`: a key pair for SMART sources, its public part for their servers, our own key."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clinicrelay.errors import SettingsError
from commands._call import Call, shared
from commands._ending import DONE, say
from commands._frame import Answer, one_of, only, placed_in, print_json

if TYPE_CHECKING:
    from clinicrelay.auth.keys import Jwk, Key
    from clinicrelay.settings import Loaded
    from sync.clinic import Clinic

_LARGEST = 256 * 1024  # bytes of a file with keys
USUAL = Path("secrets/smart.pem")


def add(program: typer.Typer) -> None:
    """Put the command into the program."""
    group = typer.Typer(
        help="Make a key pair for SMART sources, print its public part, or this store's own key.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for name, command in (("new", new), ("jwks", jwks), ("instance", instance)):
        group.command(name)(shared(command))
    program.add_typer(group, name="keys")


def new(
    call: Call,
    kind: Annotated[
        Literal["ec", "rsa"],
        typer.Option("--type", help="ec: P-384, signs ES384. rsa: 3072 bits, signs RS384."),
    ] = "ec",
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Where the private key goes.")
    ] = USUAL,
) -> int:
    """Make a key pair. The private key goes into a new file that only you can read."""
    from clinicrelay.auth.keys import new_key, public_jwk

    pem, key = new_key(kind)
    _write_new(out.expanduser(), pem)
    if call.as_json:
        made = {"file": str(out), "algorithm": key.algorithm, "kid": key.kid}
        print_json({**made, "public": public_jwk(key)})
        return DONE
    print(f"{out}: a new private key, {key.algorithm}, kid {key.kid}. Give it to nobody.")
    print(f"In the settings, under auth: private_key: ${{file:{out}}}")
    print(f"For the server's administrators: clinicrelay keys jwks {out}")
    return DONE


def _write_new(file: Path, content: bytes) -> None:
    """Write a file that was not there, readable for its owner only. Raises SettingsError."""
    from clinicrelay.settings.places import refusal

    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(descriptor)
    except FileExistsError as error:
        message = f"{file} is there already, and a key is never written over"
        raise refusal("file_exists", message, "name another file with --out") from error
    except OSError as error:
        message = f"{file} cannot be written: {error.strerror}"
        raise refusal("not_writable", message, "name a file in a folder of yours") from error


def jwks(
    call: Call,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE|FILE]...",
            help="Sources with a SMART key, or files with keys; absent: every such source.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Print the public key set for a server's administrators; with several keys, for a rotation."""
    from clinicrelay.auth.keys import public_jwk

    found: dict[str, Jwk] = {}
    for key in _keys(call, keys or []):
        found.setdefault(key.kid, public_jwk(key))
    print_json({"keys": list(found.values())})
    return DONE


def _keys(call: Call, names: list[str]) -> list[Key]:
    """Read the keys that are meant: a file where there is one of that name, else a source."""
    files = {name: Path(name).expanduser() for name in names}
    if names and all(file.is_file() for file in files.values()):
        return [_in_file(file) for file in files.values()]
    loaded = one_of(call)
    if not names:
        return _of_sources(loaded, _with_key(loaded))
    return [
        key
        for name, file in files.items()
        for key in ([_in_file(file)] if file.is_file() else _of_sources(loaded, [name]))
    ]


def _in_file(file: Path) -> Key:
    from clinicrelay.auth.keys import KeyUnusable

    try:
        return _read(file.read_bytes()[:_LARGEST].decode())
    except KeyUnusable as error:
        raise _unusable(f"{file} {error}", error.fix) from None
    except OSError as error:
        raise _unusable(f"{file} cannot be read: {error.strerror}", "name another") from error
    except UnicodeDecodeError:
        raise _unusable(f"{file} is no key", "name a PEM file or a JWK") from None


def _read(text: str) -> Key:
    """Read a key; one on P-256 too: whether a server takes it is for the settings to say."""
    from clinicrelay.auth.keys import KeyUnusable, read_key

    try:
        return read_key(text)
    except KeyUnusable:
        with suppress(KeyUnusable):
            return read_key(text, algorithm="ES256")
        raise


def _with_key(loaded: Loaded) -> list[str]:
    named = [name for name in loaded.settings.sources if _smart(loaded, name) is not None]
    if not named:
        raise _unusable(
            "no source of these settings has a SMART key (auth: type: smart_backend)",
            "name a file: clinicrelay keys jwks FILE",
        )
    return named


def _of_sources(loaded: Loaded, names: list[str]) -> list[Key]:
    from clinicrelay.auth.smart import key_of
    from clinicrelay.errors import Refused

    found = []
    for name in names:
        auth = _smart(loaded, name)
        if auth is None:
            known = ", ".join(loaded.settings.sources)
            message = f"there is no file {name}, and no source of this name with a SMART key"
            raise _unusable(message, f"the sources are {known}; keys new makes a key")
        try:
            found.append(key_of(auth))
        except Refused as error:
            raise _unusable(f"sources.{name}: {error}", error.fix) from None
    return found


def _smart(loaded: Loaded, name: str) -> Any:
    from clinicrelay.auth import SmartBackend

    source = loaded.settings.sources.get(name)
    auth = getattr(source.options, "auth", None) if source else None
    return auth if isinstance(auth, SmartBackend) else None


def _unusable(message: str, fix: str) -> SettingsError:
    from clinicrelay.settings.places import refusal

    return refusal("key", message, fix)


def instance(call: Call) -> int:
    """Print the key that this store's opaque ids are made with, to be kept in a safe place.

    Whoever holds it can tell which patient an id stands for. Without it a store that has to begin
    anew gives every calendar event and message another id.
    """
    from sync import store as stores

    loaded = one_of(call)
    with placed_in(loaded):
        stores.refuse_absent(loaded.settings.store_url)
    return only(call, _instance)


def _instance(clinic: Clinic) -> Answer:
    key = clinic.store.instance_key.hex()
    file = clinic.settings.data / "instance.key"
    say(f"Keep it as safe as a backup. It belongs into {file} before a lost store begins anew.")
    told = {"clinic": clinic.settings.clinic.id, "instance_key": key, "file": str(file)}
    return Answer(json=told, lines=[key], headed=False)
