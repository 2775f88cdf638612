#!/usr/bin/env bash
weightmap --version | sed -E 's/[0-9]+\.[0-9]+\.[0-9]+$/<version>/'
