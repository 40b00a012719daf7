#!/bin/sh
# clinicrelay as root types it: as the user clinicrelay, with the secrets that root alone may read, as the units have it.
# To be installed as /usr/local/sbin/clinicrelay, which root's PATH names before /usr/bin.
set -eu

if [ "$(id -u)" -ne 0 ]; then
    echo "clinicrelay: only root may read its secrets: type it as root, or after sudo" >&2
    exit 2
fi

# systemd fills in a $NAME within arguments; of $$ it makes the one $ that was typed.
for word; do
    shift
    case $word in
    *\$*) word=$(printf '%s.\n' "$word" | sed 's/\$/$$/g'); word=${word%.} ;;
    esac
    set -- "$@" "$word"
done

set -- /usr/bin/clinicrelay "$@"
for secret in /etc/clinicrelay/secrets/*; do
    if [ -f "$secret" ]; then
        set -- "--property=LoadCredential=${secret##*/}:$secret" "$@"
    fi
done

how=--pipe
if [ -t 0 ] && [ -t 1 ] && [ -t 2 ]; then
    how=--pty
fi

# In a pipe Ctrl-C ends systemd-run, and would leave the command at work.
unit=clinicrelay-typed-$$.service
trap 'systemctl --no-block stop "$unit" 2>/dev/null || true' HUP INT TERM

# The description is what the journal says of it, which otherwise would be all that was typed.
# SUDO_USER: who it was, for the audit trail.
code=0
systemd-run "$how" --wait --collect --quiet --unit="$unit" --description="clinicrelay, typed by hand" \
    --property=User=clinicrelay --property=Group=clinicrelay --property=UMask=0077 \
    --property=StateDirectory=clinicrelay --property=StateDirectoryMode=0700 \
    --property=WorkingDirectory=/var/lib/clinicrelay \
    --setenv=CLINICRELAY_SETTINGS="${CLINICRELAY_SETTINGS:-/etc/clinicrelay/settings.yaml}" \
    --setenv=SUDO_USER="${SUDO_USER:-root}" \
    "$@" || code=$?
exit "$code"
