"""Serve until killed, or until whoever started it is gone: `python google_peer --port-file FILE`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2])]

from google_peer.peer import GooglePeer  # noqa: E402 - only found from here on

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port-file", type=Path, required=True)
parser.add_argument("--seed", type=int, default=0)
said = parser.parse_args()
starter, ended = os.getppid(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())

with GooglePeer(said.seed) as peer:
    half = said.port_file.with_suffix(".half")
    half.write_text(peer.url.rpartition(":")[2])
    half.rename(said.port_file)
    while os.getppid() == starter and not ended.wait(1):
        pass
