#!/usr/bin/env bash
# What safetensors cannot say is refused one by one, with the option that resolves it.
convert_digits
run_all weightmap export digits.wmap out.safetensors
run_all weightmap export digits.wmap out.safetensors --duplicate-ties
ls
run weightmap export digits.wmap out.safetensors --duplicate-ties --drop-extras --align 4k
head --bytes=8 out.safetensors | od --address-radix=n --format=u8
head --bytes=100 out.safetensors | tail --bytes=92
