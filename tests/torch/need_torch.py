# SPDX-License-Identifier: Apache-2.0
"""Imported first by each test here: where PyTorch 2.13 is not, the test is skipped, but in CI."""

import os
import sys

WANTED = "2.13"


def missing(*modules):
    try:
        for module in modules:
            __import__(module)
        import torch
    except ImportError as error:
        return f"{sys.executable}: {error}"
    if not torch.__version__.startswith(WANTED + "."):
        return f"{sys.executable} has PyTorch {torch.__version__}, not {WANTED}"
    return None


def need(*modules):
    why = missing("torch", "numpy", *modules)
    if why and os.environ.get("CI") == "true":
        sys.exit(f"{why}: these tests are never skipped here")
    if why:
        print(f"SKIPPED: {why}; WEIGHTMAP_TORCH_PYTHON names another interpreter")
        sys.exit(77)
