#!/usr/bin/env bash
python3 "$CLI/check_objects.py"
