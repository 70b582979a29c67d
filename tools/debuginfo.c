#include "debuginfo.h"

#include "must.h"
#include "names.h"

#include <dwarf.h>
#include <search.h>
#include <string.h>

enum {
    NAME_BYTES =
        1000, /* with \xNN, what texts_keep_escaped has room for, or a bit more */
    PATH_BYTES = 4096,
    DEPTH_MAX = 64,
    ORIGINS_MAX = 16,
    VISITS_MAX = 1 << 27, /* some seconds; a browser has as many entries */
};

/* What may surround functions: it begins at an entry, and ends where the next one begins. */
#define TO_THE_END UINT32_MAX

struct scope {
    const char *entry;
    uint32_t bytes;
    uint32_t parent; /* number + 1; 0: none */
};

/* A compilation unit. Of one that was split, `die` is what is in the other file. */
struct unit {
    Dwarf_Die root; /* which has lines */
    Dwarf_Die die;  /* which has functions */
    bool is_read;
    struct intervals ranges; /* numbers of functions */
    Dwarf_Die *functions;
    size_t count;
    size_t room;
    struct scope *scopes; /* those that hold functions, in the order of entries */
    size_t scope_count;
    size_t scope_room;
};

/* What the entry at an address of the mapped information is called. */
struct name {
    const void *entry;
    const char *text;
};

/* ---- walks ---- */

/* Also tells whether the walk may go on. */
static bool visit(struct debuginfo *d)
{
    return d->visits++ < VISITS_MAX;
}

/* The entry behind; siblings may be given by reference, and must not lead back. */
static bool next_entry(struct debuginfo *d, Dwarf_Die *die)
{
    const char *at = die->addr;

    return visit(d) && dwarf_siblingof(die, die) == 0 && (const char *)die->addr > at;
}

/*
 * Code that the linker left out keeps its entries, with addresses such as 0: what begins
 * outside of executable segments is none.
 */
static void add_ranges(
    struct debuginfo *d, Dwarf_Die *die, struct intervals *to, uint32_t value)
{
    uint64_t first = d->file->code_low - d->bias;
    uint64_t last = d->file->code_high - d->bias;
    Dwarf_Addr base = 0;
    Dwarf_Addr low = 0;
    Dwarf_Addr high = 0;
    ptrdiff_t at = 0;

    while (visit(d) && (at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
        if (low != 0 && low >= first && low < last) {
            intervals_add(to, low, high < last ? high : last, value);
        }
    }
}

/* ---- units and their functions ---- */

static void read_units(struct debuginfo *d)
{
    Dwarf_CU *cu = NULL;
    Dwarf_CU *next = NULL;
    uint8_t type = 0;
    Dwarf_Die die;

    while (visit(d)
           && dwarf_get_units(d->dwarf, cu, &next, NULL, &type, &die, NULL) == 0) {
        cu = next;
        if (type != DW_UT_compile && type != DW_UT_skeleton) {
            continue;
        }
        d->units = must_grow(d->units, d->count, &d->room, sizeof(*d->units));
        d->units[d->count] = (struct unit){.root = die, .die = die};
        add_ranges(d, &die, &d->ranges, (uint32_t)d->count);
        d->count++;
    }
    intervals_sort(&d->ranges);
}

static bool may_hold_functions(int tag)
{
    switch (tag) {
    case DW_TAG_subprogram:
    case DW_TAG_lexical_block:
    case DW_TAG_namespace:
    case DW_TAG_module:
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type: /* of Rust */
        return true;
    default:
        return false;
    }
}

static void add_function(struct debuginfo *d, struct unit *u, Dwarf_Die *die)
{
    size_t before = u->ranges.count;

    add_ranges(d, die, &u->ranges, (uint32_t)u->count);
    if (u->ranges.count != before) { /* not only declared */
        u->functions =
            must_grow(u->functions, u->count, &u->room, sizeof(*u->functions));
        u->functions[u->count++] = *die;
    }
}

/* Of what is below the entry; whether there is any, declared or defined. */
static bool read_functions(struct debuginfo *d, struct unit *u, Dwarf_Die *parent,
    uint32_t parent_scope, unsigned depth)
{
    bool has_functions = false;
    Dwarf_Die die;

    if (depth == DEPTH_MAX || dwarf_child(parent, &die) != 0) {
        return false;
    }
    for (bool is_more = true; is_more;) {
        int tag = dwarf_tag(&die);
        const char *entry = die.addr;
        size_t number = u->scope_count;
        bool is_scope = false;

        if (tag == DW_TAG_subprogram) {
            has_functions = true;
            add_function(d, u, &die);
        }
        if (may_hold_functions(tag) && dwarf_haschildren(&die) == 1) {
            u->scopes =
                must_grow(u->scopes, number, &u->scope_room, sizeof(*u->scopes));
            u->scopes[u->scope_count++] =
                (struct scope){entry, TO_THE_END, parent_scope};
            is_scope = read_functions(d, u, &die, (uint32_t)number + 1, depth + 1);
            u->scope_count = is_scope ? u->scope_count : number;
            has_functions = has_functions || is_scope;
        }
        is_more = next_entry(d, &die);
        if (is_scope && is_more && (const char *)die.addr - entry < TO_THE_END) {
            u->scopes[number].bytes = (uint32_t)((const char *)die.addr - entry);
        }
    }
    return has_functions;
}

static void read_unit(struct debuginfo *d, struct unit *u)
{
    uint8_t type = 0;
    Dwarf_Die split;

    u->is_read = true;
    if (dwarf_cu_info(u->root.cu, NULL, &type, NULL, &split, NULL, NULL, NULL) == 0
        && type == DW_UT_skeleton && dwarf_tag(&split) == DW_TAG_compile_unit) {
        u->die = split;
    }
    read_functions(d, u, &u->die, 0, 0);
    intervals_sort(&u->ranges);
}

/* ---- names ---- */

static const char *text_of(Dwarf_Die *die, unsigned attribute)
{
    Dwarf_Attribute a;

    return dwarf_formstring(dwarf_attr_integrate(die, attribute, &a));
}

/* Where an entry was declared: inlined copies and definitions refer to it. */
static void find_origin(Dwarf_Die *die)
{
    for (unsigned i = 0; i < ORIGINS_MAX; i++) {
        Dwarf_Attribute a;
        Dwarf_Die origin;

        if (dwarf_formref_die(dwarf_attr(die, DW_AT_abstract_origin, &a), &origin)
                == NULL
            && dwarf_formref_die(dwarf_attr(die, DW_AT_specification, &a), &origin)
                   == NULL) {
            return;
        }
        *die = origin;
    }
}

static bool is_c(int language)
{
    return language == DW_LANG_C89 || language == DW_LANG_C || language == DW_LANG_C99
           || language == DW_LANG_C11 || language == DW_LANG_Mips_Assembler;
}

/* Appends what an entry that surrounds a function adds to its name. */
static void append_scope(Dwarf_Die *die, char *text, size_t size)
{
    const char *name = dwarf_diename(die);
    size_t at = strlen(text);

    switch (dwarf_tag(die)) {
    case DW_TAG_namespace:
        name = name != NULL ? name : "(anonymous namespace)";
        break;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
        name = name != NULL ? name : "{lambda}"; /* others hardly have functions */
        break;
    case DW_TAG_module:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_subprogram:
        break;
    default:
        return;
    }
    if (name != NULL) {
        snprintf(text + at, size - at, "%s::", name);
    }
}

/* The number + 1 of the innermost scope around the entry; 0: none. */
static uint32_t scope_of(const struct unit *u, const char *entry)
{
    size_t low = 0;
    size_t high = u->scope_count;
    uint32_t innermost;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (u->scopes[middle].entry < entry) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* The last one of its kind ends where what is around it ends. */
    innermost = (uint32_t)low;
    for (uint32_t n = innermost; n != 0; n = u->scopes[n - 1].parent) {
        const struct scope *s = &u->scopes[n - 1];

        if (s->bytes != TO_THE_END && entry >= s->entry + s->bytes) {
            innermost = s->parent;
        }
    }
    return innermost;
}

/* Appends the names of what surrounds the entry, as "main::{lambda}::". */
static void append_scopes(
    const struct unit *u, const char *entry, char *text, size_t size)
{
    uint32_t path[DEPTH_MAX];
    unsigned count = 0;

    for (uint32_t number = scope_of(u, entry); number != 0 && count < DEPTH_MAX;
         number = u->scopes[number - 1].parent) {
        path[count++] = number - 1;
    }
    while (count-- > 0) {
        Dwarf_Die die = {
            .addr = (void *)(uintptr_t)u->scopes[path[count]].entry, .cu = u->die.cu};

        append_scope(&die, text, size);
    }
}

/*
 * Names for the linker say where a function belongs. Functions that the linker does not
 * see have none, such as lambdas; then their surroundings are looked for.
 */
static const char *make_name(
    struct debuginfo *d, const struct unit *u, Dwarf_Die *origin)
{
    const char *mangled = text_of(origin, DW_AT_linkage_name);
    const char *name = dwarf_diename(origin);
    char text[NAME_BYTES] = "";
    Dwarf_Attribute a;
    Dwarf_Die root = u->root;

    if (mangled == NULL) {
        mangled = text_of(origin, DW_AT_MIPS_linkage_name);
    }
    if (mangled == NULL && name == NULL) {
        return NULL;
    }
    if (mangled != NULL) {
        names_demangle(mangled, text, sizeof(text));
    } else {
        if (!is_c(dwarf_srclang(&root)) && origin->cu == u->die.cu
            && dwarf_attr(origin, DW_AT_external, &a) == NULL) {
            append_scopes(u, origin->addr, text, sizeof(text));
        }
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", name);
    }
    return texts_keep_escaped(d->texts, text);
}

static int compare_names(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct name *)a)->entry;
    uintptr_t y = (uintptr_t)((const struct name *)b)->entry;

    return (x > y) - (x < y);
}

static const char *name_of(
    struct debuginfo *d, const struct unit *u, const Dwarf_Die *die)
{
    Dwarf_Die origin = *die;
    struct name wanted;
    struct name **found;
    struct name *fresh;

    find_origin(&origin);
    wanted.entry = origin.addr;
    found = tfind(&wanted, &d->names, compare_names);
    if (found != NULL) {
        return (*found)->text;
    }
    fresh = must(malloc(sizeof(*fresh)));
    *fresh = (struct name){origin.addr, make_name(d, u, &origin)};
    must(tsearch(fresh, &d->names, compare_names));
    return fresh->text;
}

/* ---- lines ---- */

static const char *keep_file(
    struct debuginfo *d, const struct unit *u, const char *file)
{
    char path[PATH_BYTES];
    Dwarf_Die root = u->root;
    const char *directory;

    if (file == NULL || file[0] == '\0' || strcmp(file, "???") == 0) {
        return NULL;
    }
    directory = file[0] == '/' ? NULL : text_of(&root, DW_AT_comp_dir);
    if (directory == NULL) {
        return texts_keep_escaped(d->texts, file);
    }
    snprintf(path, sizeof(path), "%s/%s", directory, file);
    return texts_keep_escaped(d->texts, path);
}

static void set_line(struct debuginfo *d, const struct unit *u, Dwarf_Addr address,
    struct symbol_line *ret)
{
    Dwarf_Die root = u->root;
    Dwarf_Line *line = dwarf_getsrc_die(&root, address);
    int number = 0;

    if (line != NULL) {
        ret->file = keep_file(d, u, dwarf_linesrc(line, NULL, NULL));
        ret->line =
            dwarf_lineno(line, &number) == 0 && number > 0 ? (uint32_t)number : 0;
    }
}

/* Where a function that was inlined is called from. */
static void set_call(struct debuginfo *d, const struct unit *u, Dwarf_Die *inlined,
    struct symbol_line *ret)
{
    Dwarf_Die root = u->die;
    Dwarf_Files *files = NULL;
    Dwarf_Attribute a;
    Dwarf_Word number = 0;
    size_t count = 0;

    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &a), &number) == 0
        && dwarf_getsrcfiles(&root, &files, &count) == 0 && number < count) {
        ret->file = keep_file(d, u, dwarf_filesrc(files, number, NULL, NULL));
    }
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &a), &number) == 0
        && number <= UINT32_MAX) {
        ret->line = (uint32_t)number;
    }
}

/*
 * The function and what was inlined into it at that address, the innermost last. Of a chain
 * that is too long the innermost are left out.
 */
static size_t find_chain(struct debuginfo *d, const Dwarf_Die *function,
    Dwarf_Addr address, Dwarf_Die ret[SYMBOLS_LINES_MAX])
{
    Dwarf_Die at = *function;
    size_t count = 0;
    Dwarf_Die die;

    ret[count++] = at;
    for (unsigned depth = 0; depth < 2 * DEPTH_MAX && count < SYMBOLS_LINES_MAX
                             && dwarf_child(&at, &die) == 0;
         depth++) {
        bool is_found = false;

        do {
            int tag = dwarf_tag(&die);

            if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block)
                && dwarf_haspc(&die, address) == 1) {
                if (tag == DW_TAG_inlined_subroutine) {
                    ret[count++] = die;
                }
                at = die;
                is_found = true;
            }
        } while (!is_found && next_entry(d, &die));
        if (!is_found) {
            break;
        }
    }
    return count;
}

size_t debuginfo_find(
    struct debuginfo *d, uint64_t address, struct symbol_line ret[SYMBOLS_LINES_MAX])
{
    Dwarf_Addr at = address - d->bias;
    Dwarf_Die chain[SYMBOLS_LINES_MAX];
    size_t count = 0;
    struct unit *u;
    uint32_t number;

    if (!intervals_find(&d->ranges, at, &number)) {
        return 0;
    }
    u = &d->units[number];
    if (!u->is_read) {
        read_unit(d, u);
    }
    memset(ret, 0, SYMBOLS_LINES_MAX * sizeof(*ret));
    set_line(d, u, at, &ret[0]);
    if (!intervals_find(&u->ranges, at, &number)) {
        return ret[0].file != NULL;
    }
    count = find_chain(d, &u->functions[number], at, chain);
    for (size_t i = 0; i < count; i++) {
        Dwarf_Die *die = &chain[count - 1 - i];

        ret[i].function = name_of(d, u, die);
        if (i + 1 < count) {
            set_call(d, u, die, &ret[i + 1]);
            if (ret[i].function == NULL) {
                ret[i].function = "(inlined function)";
            }
        }
    }
    return count;
}

/* ---- life ---- */

void debuginfo_init(struct debuginfo *d, const struct symfile *f, struct texts *texts)
{
    *d = (struct debuginfo){.file = f, .texts = texts};
    d->dwarf = dwfl_module_getdwarf(f->module, &d->bias);
    if (d->dwarf != NULL) {
        dwarf_new_oom_handler(
            d->dwarf, must_fail); /* else it ends the process itself */
        read_units(d);
    }
}

void debuginfo_fini(struct debuginfo *d)
{
    for (size_t i = 0; i < d->count; i++) {
        intervals_fini(&d->units[i].ranges);
        free(d->units[i].functions);
        free(d->units[i].scopes);
    }
    free(d->units);
    intervals_fini(&d->ranges);
    tdestroy(d->names, free);
    *d = (struct debuginfo){0};
}

bool debuginfo_is_empty(const struct debuginfo *d)
{
    return d->ranges.count == 0;
}
