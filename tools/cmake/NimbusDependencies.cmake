# Everything Nimbus needs, from Debian 12's packages. The installed package
# runs the same file, so that its imported targets exist there too.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(fmt REQUIRED)
find_package(FlatBuffers REQUIRED)
find_package(simdjson REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(lmdb REQUIRED IMPORTED_TARGET GLOBAL lmdb)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET GLOBAL libsodium)
pkg_check_modules(zstd REQUIRED IMPORTED_TARGET GLOBAL libzstd)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
