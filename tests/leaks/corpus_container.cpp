/*
 * corpus_container - a map of strings that grows for ever
 */
#include "corpus.h"

#include <mpalloc.hpp>

#include <string>
#include <unordered_map>

extern "C" NOINLINE void grow_container(
    mp_component_t *part, uint64_t key, size_t bytes)
{
    static auto *const all = new std::unordered_map<uint64_t, std::string>;
    mpalloc::scope scope(part);

    all->emplace(key, std::string(bytes, 'x'));
}
