#!/usr/bin/env bash
convert_digits
run weightmap inspect digits.wmap
