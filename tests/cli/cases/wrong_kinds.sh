#!/usr/bin/env bash
# Each kind of file that people have instead: what it is, and what to do where that is certain.
printf '<!DOCTYPE html>\n<html><body>404</body></html>\n' >page.pt
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n' >pointer.pt
printf 'GGUF\3\0\0\0\0\0\0\0\0\0\0\0' >model.gguf
printf '{"model_type": "bert"}' >config.json
python3 -c 'import pickle; pickle.dump({"a": 1}, open("bare.pt", "wb"), 2)'
tar --create --file tar.pt page.pt
gzip --stdout page.pt >zipped.pt
printf '\x28\xb5\x2f\xfd\4' >zipped.pt.zst
printf '\x93NUMPY\1\0' >array.npy
python3 -m zipfile --create arrays.npz array.npy
head --bytes 1000 /dev/urandom | tr '\0-\377' 'x' >unknown.pt
printf 'PK\5\6%018d' 0 | tr 0 '\0' >no_entries.pt
head --bytes 300000 "$DIGITS" >truncated.pt
convert_digits
head --bytes 100 digits.wmap >header.wmap
head --bytes 3000 digits.wmap >index.wmap
head --bytes 300000 digits.wmap >half.wmap
rm digits.wmap

for file in *; do
  for command in inspect verify; do
    run_all weightmap "$command" "$file"
  done
  [[ $file == *.wmap ]] || run_all weightmap convert "$file" out.wmap
done
for file in self_reference name_collision; do
  run_all weightmap convert "$UNSUPPORTED/$file.pt" out.wmap
done
ls
