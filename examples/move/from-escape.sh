#!/bin/sh
# Copies everything that an Escape Inventory's API shows into a Chandlery server:
# namespaces, hooks, releases, packages, and the tags that are named.
#
#     examples/move/from-escape.sh FROM TO [TAG...]
#     examples/move/from-escape.sh http://escape:7770 http://127.0.0.1:7577 production
#
# The original lists no tags: name those that are in use. FROM_USER and TO_USER
# (`name:password`) are for servers with a password. What is there already stays as
# it is, so that the script can be run again until nothing is new. It takes curl and jq.
set -eu
from=${1:?'say where the Escape Inventory is'}/api/v1/inventory
to=${2:?'say where the Chandlery server is'}/api/v1/inventory
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Writes the answer to $work/answer and its status to $status.
ask() {
  user=$1
  shift
  status=$(curl -sS ${user:+-u "$user"} -o "$work/answer" -w '%{http_code}' "$@")
}
ask_from() { ask "${FROM_USER:-}" "$@"; }
ask_to() { ask "${TO_USER:-}" "$@"; }

# Goes on after what is wrong with one thing, and ends with 1.
complain() {
  echo "failed: $1: $status $(head -c 300 "$work/answer")" >&2
  failed=1
}

# Writes the names in a list of the original's to a file; without them there is no
# going on.
list() {
  ask_from "$from$1"
  if [ "$status" != 200 ]; then
    complain "reading $1"
    exit 1
  fi
  jq -r "$2" "$work/answer" > "$work/$3"
}

# Copies the hooks document of a namespace or a unit.
copy_hooks() {
  ask_from "$from/$1/hooks/"
  if [ "$status" != 200 ] || [ "$(jq -c . "$work/answer")" = '{}' ]; then return; fi
  mv "$work/answer" "$work/hooks"
  ask_to -X PUT --data-binary "@$work/hooks" "$to/$1/hooks/"
  [ "$status" = 201 ] || complain "the hooks of $1"
}

# Copies a release and its package.
copy_release() {
  namespace=$1 unit=$2 version=$3
  place=$namespace/units/$unit/versions/v$version
  ask_from "$from/$place/"
  if [ "$status" != 200 ]; then complain "reading $place"; return; fi
  mv "$work/answer" "$work/release"
  ask_to --data-binary "@$work/release" "$to/$namespace/register"
  if [ "$status" != 200 ] && ! grep -q 'already exists$' "$work/answer"; then
    complain "registering $place"
    return
  fi
  ask_to "$to/$place/"
  if ! jq -e -n --slurpfile a "$work/release" --slurpfile b "$work/answer" '$a == $b' > /dev/null
  then
    echo "differs: $place is not what it is in the original" >&2
    failed=1
  fi
  ask_from "$from/$place/download"
  case $status in
  200) ;;
  404) return ;; # Registered, and never uploaded.
  *) complain "downloading $place"; return ;;
  esac
  mv "$work/answer" "$work/package"
  ask_to -F "file=@$work/package;type=application/octet-stream" "$to/$place/upload"
  case $status in
  200 | 409) echo "$place" ;;
  *) complain "uploading $place" ;;
  esac
}

# Sets a tag where the unit has it.
copy_tag() {
  namespace=$1 unit=$2 tag=$3
  place=$namespace/units/$unit
  ask_from "$from/$place/versions/$(printf %s "$tag" | jq -sRr @uri)/"
  if [ "$status" != 200 ]; then return; fi
  version=$(jq -r .version "$work/answer")
  jq -n --arg tag "$tag" --arg id "$namespace/$unit-v$version" \
    '{release_id: $id, tag: $tag}' > "$work/tag"
  ask_to --data-binary "@$work/tag" "$to/$place/tags/"
  [ "$status" = 200 ] || complain "the tag $tag of $place"
}

list / 'keys[]' namespaces
for namespace in $(cat "$work/namespaces"); do
  ask_from "$from/$namespace/"
  jq 'del(.units)' "$work/answer" > "$work/namespace"
  ask_to --data-binary "@$work/namespace" "$to/$namespace/add-namespace"
  case $status in
  200) ;;
  409) # It is there: this has run before, or somebody was faster.
    ask_to -X PUT --data-binary "@$work/namespace" "$to/$namespace/"
    [ "$status" = 201 ] || complain "the namespace $namespace" ;;
  *) complain "the namespace $namespace" ;;
  esac
  copy_hooks "$namespace"
  list "/$namespace/units/" 'keys[]' units
  for unit in $(cat "$work/units"); do
    list "/$namespace/units/$unit/versions/" '.[]' versions
    for version in $(sort -V "$work/versions"); do
      copy_release "$namespace" "$unit" "$version"
    done
    copy_hooks "$namespace/units/$unit"
    for tag in "$@"; do
      copy_tag "$namespace" "$unit" "$tag"
    done
  done
done
exit "$failed"
