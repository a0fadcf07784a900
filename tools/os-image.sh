#!/usr/bin/env bash
# Makes the image of a recipe, such as examples/images/debian-12-docker, where
# .cache/images has none of the recipe and the packages as they are, and prints its
# path. bin/NAME.raw links to it. Packages are looked up once per recipe, so that the
# second call is instant; UPDATE=1 looks again. What the recipe's build.sh reads from
# the environment (FIRMWARE) belongs to the recipe.
#
# Exit status 69: something is missing that cannot be installed or fetched here.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 RECIPE-DIRECTORY" >&2; exit 2; }
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
recipe=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
name=$(basename "$recipe")${FIRMWARE:+-firmware}
mkdir -p .cache/images bin
cache=$PWD/.cache/images

say() { echo "$name: $*" >&2; }

# Programs, and the Debian packages that have them.
need() {
	local missing=()
	while [ $# -gt 0 ]; do
		command -v "$1" >/dev/null || missing+=("$2")
		shift 2
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		say "the packages ${missing[*]} of Debian are missing; run as root: apt-get install ${missing[*]}"
		exit 69
	fi
	say "installing ${missing[*]}"
	# The lock is that of the tests' helper: apt-get does not wait for the one on its lists.
	(
		flock 8
		export DEBIAN_FRONTEND=noninteractive
		install=(apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}")
		"${install[@]}" || { apt-get -q update && "${install[@]}"; }
	) 8>"${TMPDIR:-/tmp}/metalpool-apt.lock" >&2 || { say "cannot install ${missing[*]}"; exit 69; }
}

# The recipe: names, modes, links and bytes, but not what people read.
recipe_hash() {
	(
		cd "$recipe"
		echo "${FIRMWARE:-}"
		find . ! -name README.md ! -name '*.go' -printf '%P %y %m %l\n' | sort
		find . -type f ! -name README.md ! -name '*.go' -print0 | sort -z | xargs -0 sha256sum
	) | sha256sum | cut -c1-16
}

exec 9>"$cache/$name.lock"
flock 9 # one makes it, others wait for it

packages=$cache/$name-$(recipe_hash).packages
if [ "${UPDATE:-}" ] || [ ! -s "$packages" ]; then
	need mmdebstrap mmdebstrap
	"$recipe/build.sh" packages >"$packages.new"
	rm -f "$cache/$name"-????????????????.packages
	mv "$packages.new" "$packages"
fi
image=$cache/$name-$(cat <(basename "$packages") "$packages" | sha256sum | cut -c1-16).raw
if [ ! -s "$image" ]; then
	need mmdebstrap mmdebstrap mke2fs e2fsprogs sfdisk fdisk mformat mtools
	rm -f "$cache/$name"-????????????????.raw.new* # of one that was killed
	say "making the image, which takes a minute or two"
	start=$SECONDS
	"$recipe/build.sh" "$image.new" >&2
	rm -f "$cache/$name"-????????????????.raw # each is large, and they are made again
	mv "$image.new" "$image"
	say "made in $((SECONDS - start)) s"
fi
ln -sfn "../.cache/images/$(basename "$image")" "bin/$name.raw"
echo "$image"
