// misuse_cxx - the same for new and delete; see misuse.c
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

namespace
{

struct Small {
    char room[16];
};
struct Big {
    char room[1024];
};

int delete_type_size_mismatch()
{
    void *volatile p = new Small;

    ::operator delete(p, sizeof(Big));
    return 0;
}

int invalid_array_delete_char()
{
    char *volatile p = new char;

    delete[] p;
    return 0;
}

int invalid_array_delete_string()
{
    std::string *volatile p = new std::string("one");

    delete[] p; // looks for a count before it
    return 0;
}

int invalid_delete_array_char()
{
    char *volatile p = new char[64];

    delete p;
    return 0;
}

int invalid_delete_array_string()
{
    std::string *volatile p = new std::string[3];

    delete p; // behind the count
    return 0;
}

const struct {
    const char *name;
    int (*run)();
} cases[] = {
    {"delete_type_size_mismatch", delete_type_size_mismatch},
    {"invalid_array_delete_char", invalid_array_delete_char},
    {"invalid_array_delete_string", invalid_array_delete_string},
    {"invalid_delete_array_char", invalid_delete_array_char},
    {"invalid_delete_array_string", invalid_delete_array_string},
};

} // namespace

int main(int argc, char **argv)
{
    for (const auto &c : cases) {
        if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
            std::puts(c.name);
        } else if (argc == 2 && std::strcmp(argv[1], c.name) == 0) {
            return c.run();
        }
    }
    return argc == 2 && std::strcmp(argv[1], "--list") == 0 ? 0 : 2;
}
