#!/usr/bin/env bash
# Unpacks Mesa's lavapipe, a Vulkan driver in software that has fp16 and matrix units, for the tests of the GPU engine:
#   bash apps/setup/lavapipe.sh [folder]
# Nothing is installed: the packages of Debian's trixie-backports, with the C library they were built for, are unpacked
# into a folder of their own. Needs apt-get, dpkg-deb and Debian's keyring; root is not needed.
set -euo pipefail
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/tessera/lavapipe}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$folder/lvp_icd.json" ] && exit 0
for needed in "$(command -v apt-get)" "$(command -v dpkg-deb)" "$keyring"; do
  [ -e "$needed" ] || { echo "lavapipe is unpacked on Debian only: apt-get, dpkg-deb and $keyring are needed" >&2; exit 1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,packages,root,lavapipe}
# the mirror that this machine installs from
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -n 1 | tr -d ' ' || true)
[ -n "$mirror" ] || { echo "no mirror of Debian in /etc/apt/sources.list" >&2; exit 1; }
printf "deb [signed-by=$keyring] $mirror %s main\n" trixie trixie-backports >"$work/sources.list"
apt() {
  timeout 300 apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User="$(id -un)" "$@" >&2
}
apt update
cd "$work/packages"
apt download mesa-vulkan-drivers/trixie-backports $(printf '%s/trixie ' libbsd0 libc6 libdisplay-info2 libdrm2 libedit2 \
  libelf1t64 libexpat1 libffi8 libgcc-s1 libllvm19 liblzma5 libmd0 libstdc++6 libtinfo6 libvulkan1 \
  libwayland-client0 libx11-xcb1 libxau6 libxcb-dri3-0 libxcb-present0 libxcb-randr0 libxcb-shm0 libxcb-sync1 \
  libxcb-xfixes0 libxcb1 libxdmcp6 libxml2 libxshmfence1 libz3-4 libzstd1 zlib1g)
for package in *.deb; do dpkg-deb --extract "$package" "$work/root"; done
libraries=$(echo "$work"/root/usr/lib/*-linux-gnu)
# of Mesa's drivers only the one in software
find "$libraries" -maxdepth 1 -name 'libvulkan_*' ! -name libvulkan_lvp.so -delete
find "$libraries" -maxdepth 1 \( -type f -o -type l \) -exec mv {} "$work/lavapipe" \;
# beside it, wherever the folder is
sed 's#"library_path": *".*"#"library_path": "./libvulkan_lvp.so"#' "$work"/root/usr/share/vulkan/icd.d/lvp_icd.json \
  >"$work/lavapipe/lvp_icd.json"
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
mv "$work/lavapipe" "$folder"
echo "$folder/lvp_icd.json"
