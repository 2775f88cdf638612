#!/usr/bin/env bash
run weightmap --help
run weightmap convert --help
run weightmap inspect --help
run weightmap verify --help
run weightmap diff --help
