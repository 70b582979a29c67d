/*
 * loader - see loader.h; and dlopen without RTLD_DEEPBIND
 *
 * A library that is opened with RTLD_DEEPBIND looks for malloc in its own dependencies first
 * and finds the C library's, while all that it calls hands it blocks of ours: it crashes in
 * the first free. So the flag is taken away (MPALLOC_DEEPBIND=strip). dlopen knows its caller
 * by its return address (RUNPATH, $ORIGIN, namespace): what is interposed must leave no frame
 * behind. The compilers promise no tail call, hence the assembly; this file is compiled
 * without LTO, which loses such symbols. dlmopen is left alone: a new namespace has a C
 * library, and a malloc, of its own.
 */
#include "loader.h"

#include "aside.h"
#include "atomic.h"
#include "check.h"
#include "huge.h"
#include "libc.h"
#include "options.h"
#include "os.h"
#include "span.h"
#include "thread.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* ---- whose malloc is the program's ---- */

/* Where we and the C library stand among the objects of this namespace. */
struct order {
    unsigned count;
    unsigned ours; /* 0: not seen */
    unsigned libc;
    bool has_valgrind;
};

static bool is_libc(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;

    return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2.", 7) == 0
           || strncmp(name, "ld-musl", 7) == 0;
}

static int find_order(struct dl_phdr_info *info, size_t size, void *data)
{
    struct order *order = data;
    uintptr_t self = (uintptr_t)&aside;

    (void)size;
    order->count++;
    order->has_valgrind |= strstr(info->dlpi_name, "/vgpreload_") != NULL;
    if (order->libc == 0 && is_libc(info->dlpi_name)) {
        order->libc = order->count;
    }
    for (unsigned i = 0; i < info->dlpi_phnum && order->ours == 0; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

        if (info->dlpi_phdr[i].p_type == PT_LOAD && self >= start
            && self - start < info->dlpi_phdr[i].p_memsz) {
            order->ours = order->count;
        }
    }
    return 0;
}

/* Their runtimes replace malloc, know each block, and never call the next malloc. */
static bool has_sanitizer(void *program)
{
    static const char *const names[] = {"__asan_init", "__hwasan_init", "__tsan_init",
        "__msan_init", "__lsan_init", "__memprof_init"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (dlsym(program, names[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_in_our_memory(const void *p)
{
    size_t bytes;

    return span_find(p) != NULL || huge_find(p, &bytes);
}

/*
 * For when the address does not tell: it may be an entry of the program's PLT, or redirected
 * (valgrind). Else it is not called: a first block would change where all others lie.
 */
static bool is_ours(void *(*program_malloc)(size_t), void (*program_free)(void *))
{
    void *p = program_malloc(1);
    bool ours = p == NULL || is_in_our_memory(p);

    program_free(p);
    return ours;
}

/* The file whose malloc the program uses; "" for a PLT entry, which does not tell. */
static const char *owner_of(void *(*function)(size_t))
{
    void *address = (void *)(uintptr_t)function;
    Dl_info info;
#ifdef __GLIBC__
    const ElfW(Sym) *symbol = NULL;

    if (dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) == 0
        || (symbol != NULL && symbol->st_shndx == SHN_UNDEF)) {
        return "";
    }
#else
    if (dladdr(address, &info) == 0) {
        return "";
    }
#endif
    return info.dli_fname != NULL ? info.dli_fname : "";
}

/* By this name as the program finds it; a family of which a member is ours has the next. */
static void *find(void *program, const char *name, void *mine, bool redirected)
{
    void *found = dlsym(program, name);

    return found == mine && !redirected ? dlsym(RTLD_NEXT, name) : found;
}

#define FIND(name, redirected)                                                         \
    (__typeof__(&name))(uintptr_t)find(                                                \
        program, #name, (void *)(uintptr_t)name, redirected)

static void stand_aside(void *program, bool redirected)
{
    struct aside other = {
        .free = FIND(free, redirected),
        .calloc = FIND(calloc, redirected),
        .realloc = FIND(realloc, redirected),
        .memalign = FIND(memalign, redirected),
        .usable = FIND(malloc_usable_size, redirected),
        .malloc = FIND(malloc, redirected),
    };

    if (other.free != NULL && other.calloc != NULL && other.realloc != NULL
        && other.memalign != NULL && other.usable != NULL) {
        aside = other;
    }
}

bool loader_begin(void)
{
    /* Not RTLD_DEFAULT: where we were opened with RTLD_DEEPBIND, that begins with us. */
    void *program = dlopen(NULL, RTLD_LAZY);
    void *(*program_malloc)(size_t) =
        (void *(*)(size_t))(uintptr_t)dlsym(program, "malloc");
    void (*program_free)(void *) = (void (*)(void *))(uintptr_t)dlsym(program, "free");
    bool redirected = program_malloc == malloc; /* if it is not ours all the same */
    struct order order = {0};
    const char *owner;
    bool late; /* behind the C library nobody finds our malloc, not even by RTLD_NEXT */

    dl_iterate_phdr(find_order, &order);
    if (order.has_valgrind) {
        os_note_valgrind();
    }
    if (program_malloc == NULL || program_free == NULL
        || (redirected && !order.has_valgrind) /* ours, and nobody redirects */
        || is_ours(program_malloc, program_free)) {
        return true;
    }
    late = order.libc != 0 && order.ours > order.libc;
    owner = owner_of(program_malloc);
    if (late && (owner[0] == '\0' || is_libc(owner)) && options.log != LOG_QUIET) {
        check_say(
            "loaded too late: the program uses the malloc of %s, nothing is counted; "
            "preload libmpalloc, or link the program itself with -lmpalloc",
            owner[0] != '\0' ? owner : "the C library");
    } else if (options.log == LOG_DEBUG) {
        check_say("%s%s",
            redirected ? "malloc is redirected, as valgrind does"
                       : "the program has a malloc of its own: ",
            redirected ? "" : owner);
    }
    if (late || redirected || has_sanitizer(program)) {
        stand_aside(program, redirected);
    }
    return !aside_is_on();
}

/* ---- called before the program's thread-local storage is initialised ---- */

#ifdef __GLIBC__
/*
 * An IFUNC resolver of the program may call malloc while the loader still relocates: after
 * us, but before it initialises our thread-local variables. A resolver of our own, the last
 * of our relocations, comes just in time.
 */
static void nothing(void) {}

__attribute__((used, no_sanitize("address", "thread", "undefined"))) static void (
    *resolve_nothing(void))(void)
{
    thread_prepare_early();
    return nothing;
}

/* clang takes no notice of static here. */
HIDDEN void resolved_early(void) __attribute__((ifunc("resolve_nothing")));
__attribute__((used)) static void (*volatile resolved)(void) = resolved_early;
#endif

/* ---- dlopen ---- */

#if defined(RTLD_DEEPBIND) && (defined(__x86_64__) || defined(__aarch64__))

/* What the stub below jumps to, and with which flags: two registers. */
struct target {
    void *function;
    long mode;
};

struct target loader_before_dlopen(const char *file, int mode);

__attribute__((used)) HIDDEN struct target loader_before_dlopen(
    const char *file, int mode)
{
    static void *real;                    /* atomic */
    void *function = load_relaxed(&real); /* whoever finds it finds the same */

    if (function == NULL) {
        function = dlsym(RTLD_NEXT, "dlopen");
        if (function == NULL) { /* the C library comes before us */
            function = dlsym(RTLD_DEFAULT, "dlopen");
        }
        CHECK(function != NULL);
        store_relaxed(&real, function);
    }
    if ((mode & RTLD_DEEPBIND) != 0 && options.deepbind == DEEPBIND_STRIP
        && !aside_is_on()) {
        mode &= ~RTLD_DEEPBIND;
        if (options.log == LOG_DEBUG) {
            check_say("dlopen of %s without RTLD_DEEPBIND (MPALLOC_DEEPBIND=strip)",
                file != NULL ? file : "the program");
        }
    }
    return (struct target){function, mode};
}

#    ifdef __x86_64__
__asm__(".text\n"
        ".p2align 4\n"
        ".globl dlopen\n"
        ".type dlopen, @function\n"
        "dlopen:\n"
        ".cfi_startproc\n"
        "    endbr64\n"
        "    push %rdi\n"
        ".cfi_adjust_cfa_offset 8\n"
        "    call loader_before_dlopen\n"
        "    pop %rdi\n"
        ".cfi_adjust_cfa_offset -8\n"
        "    mov %edx, %esi\n"
        "    jmp *%rax\n"
        ".cfi_endproc\n"
        ".size dlopen, . - dlopen\n");
#    else
__asm__(".text\n"
        ".p2align 4\n"
        ".globl dlopen\n"
        ".type dlopen, %function\n"
        "dlopen:\n"
        ".cfi_startproc\n"
        "    hint #34\n" /* bti c */
        "    stp x29, x30, [sp, #-32]!\n"
        ".cfi_adjust_cfa_offset 32\n"
        ".cfi_offset 29, -32\n"
        ".cfi_offset 30, -24\n"
        "    mov x29, sp\n"
        "    str x0, [sp, #16]\n"
        "    bl loader_before_dlopen\n"
        "    mov x16, x0\n" /* a jump through x16 may land on bti c */
        "    ldr x0, [sp, #16]\n"
        "    ldp x29, x30, [sp], #32\n"
        ".cfi_adjust_cfa_offset -32\n"
        ".cfi_restore 29\n"
        ".cfi_restore 30\n"
        "    br x16\n"
        ".cfi_endproc\n"
        ".size dlopen, . - dlopen\n");
#    endif

#endif
