"""Starts a service that logs at its end what it has imported: `python -m tests.harness.loaded_modules MODULE`."""

import json
import runpy
import sys

if __name__ == "__main__":
    module = sys.argv.pop(1)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.stderr.write(json.dumps({"event": "modules", "modules": sorted(sys.modules)}) + "\n")
