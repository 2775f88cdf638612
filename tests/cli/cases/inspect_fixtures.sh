#!/usr/bin/env bash
python3 "$CLI/check_listings.py"
