/*
 * names - names of symbols as people write them: C++ and Rust
 */
#ifndef NAMES_H
#define NAMES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Without parameters, which make lines long and say little, but with template arguments:
 * "std::vector<int, std::allocator<int> >::push_back". Without the hash of Rust, and the
 * suffix of a clone. What does not fit is cut. false: the name is no mangled one, and *ret
 * is what it was.
 *
 * The name may come from a file made to do harm: a few bytes can stand for a name of
 * gigabytes, and it takes no longer than what fits.
 */
bool names_demangle(const char *name, char *ret, size_t size);

#endif
