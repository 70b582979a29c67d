/*
 * opener - opens plugin.c with RTLD_DEEPBIND and frees blocks across
 *
 * Usage: opener PLUGIN deepbind|caller|namespace|hold. Prints what it saw; the claims are those of
 * test_loader.py.
 */
#include "../api/test.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>

static void *need(void *handle, const char *name)
{
    void *found = dlsym(handle, name);

    CHECK(found != NULL);
    return found;
}

static void *open_it(const char *path, int mode)
{
    void *handle = dlopen(path, mode);

    if (handle == NULL) {
        fprintf(stderr, "dlopen: %s\n", dlerror());
    }
    CHECK(handle != NULL);
    return handle;
}

/* Blocks of the program, of the plugin and of the C library, each freed by another. */
static void deepbind(const char *path)
{
    void *h = open_it(path, RTLD_NOW | RTLD_GLOBAL | RTLD_DEEPBIND);
    void *(*make)(size_t) = (void *(*)(size_t))need(h, "plugin_malloc");
    void (*drop)(void *) = (void (*)(void *))need(h, "plugin_free");
    char *(*copy)(const char *) = (char *(*)(const char *))need(h, "plugin_copy");

    for (size_t size = 1; size < 200000; size += size / 3 + 1) {
        char *text = copy("a text that the C library copies");

        CHECK(text != NULL);
        drop(malloc(test_opaque(size)));
        free(make(test_opaque(size)));
        free(text);
        drop(copy("another"));
        drop(strdup("one more"));
    }
    printf("blocks go across\n");
}

/* The caller is known: its RUNPATH is searched. And dlopen's own errors come through. */
static void caller(const char *path)
{
    void *h = open_it(path, RTLD_NOW);
    void *(*open_leaf)(int) = (void *(*)(int))need(h, "plugin_open_leaf");
    void *leaf;
    const char *error;

    CHECK(dlopen("libloader_leaf.so", RTLD_NOW) == NULL); /* not ours to find */
    error = dlerror();
    CHECK(error != NULL && strstr(error, "libloader_leaf.so") != NULL);
    CHECK(dlerror() == NULL);
    leaf = open_leaf(RTLD_NOW | RTLD_LOCAL);
    CHECK(leaf != NULL);
    CHECK(open_leaf(RTLD_LAZY | RTLD_DEEPBIND) == leaf);
    CHECK(((int (*)(void))need(leaf, "leaf_value"))() == 42);
    CHECK(dlsym(RTLD_DEFAULT, "leaf_value") == NULL); /* local, as asked */
    CHECK(dlclose(leaf) == 0 && dlclose(leaf) == 0);
    CHECK(dlopen(NULL, RTLD_NOW) != NULL);
    CHECK(dlopen("/nonexistent.so", RTLD_NOW) == NULL && dlerror() != NULL);
    CHECK(dlopen(path, 0) == NULL && dlerror() != NULL); /* an invalid mode */
    printf("the caller is known\n");
}

/* A namespace of its own has its own C library; dlopen called in there stays in there. */
static void namespace(const char *path)
{
    void *h = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
    void *(*make)(size_t);
    void (*drop)(void *);
    void *leaf;
    Lmid_t mine;
    Lmid_t of_leaf;

    CHECK(h != NULL);
    make = (void *(*)(size_t))need(h, "plugin_malloc");
    drop = (void (*)(void *))need(h, "plugin_free");
    for (size_t size = 1; size < 100000; size *= 2) {
        drop(make(size));
    }
    leaf = ((void *(*)(int))need(h, "plugin_open_leaf"))(RTLD_NOW);
    CHECK(leaf != NULL);
    CHECK(dlinfo(h, RTLD_DI_LMID, &mine) == 0
          && dlinfo(leaf, RTLD_DI_LMID, &of_leaf) == 0);
    CHECK(mine == of_leaf && mine != LM_ID_BASE);
    printf("the namespace is kept\n");
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    if (strcmp(argv[2], "deepbind") == 0) {
        deepbind(argv[1]);
    } else if (strcmp(argv[2], "caller") == 0) {
        caller(argv[1]);
    } else if (strcmp(argv[2], "namespace") == 0) {
        namespace(argv[1]);
    } else { /* opened, and to be looked at from outside */
        open_it(argv[1], RTLD_NOW | RTLD_DEEPBIND);
        test_claim("open");
        pause();
    }
    return 0;
}
