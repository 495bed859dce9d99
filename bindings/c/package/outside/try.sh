#!/bin/sh
# In a root with nothing but compilers: installs the package, builds its example twice, looks at a picture.
set -eu
dpkg --install /package.deb
pkg-config --cflags --libs dmue-edge
mkdir -p /tmp/outside && cd /tmp/outside
cp /usr/share/doc/dmue-edge/examples/classify.c /outside/CMakeLists.txt .
cc -std=c99 -Wall -Werror classify.c $(pkg-config --cflags --libs dmue-edge) -o classify
cmake -S . -B build >/dev/null
cmake --build build
for program in ./classify build/classify_cmake; do
    answer=$($program /picture.ppm)
    echo "$program: $answer"
    case $answer in happiness*) ;; *) exit 1 ;; esac
done
