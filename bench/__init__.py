"""What the line costs, beside a named yardstick in the same run: `python -m bench`."""
