#include "symtab.h"

#include "must.h"

#include <gelf.h>
#include <string.h>

struct symbol {
    uint64_t low;
    uint64_t bytes; /* 0: not said */
    uint64_t limit; /* end of its section */
    const char *name;
    bool is_local;
};

/* "$x" and "$d" mark instructions and data on some processors. */
static bool is_function(const GElf_Sym *symbol, const char *name)
{
    unsigned type = GELF_ST_TYPE(symbol->st_info);

    return (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE)
           && symbol->st_shndx != SHN_UNDEF && name != NULL && name[0] != '\0'
           && name[0] != '$';
}

/* The end of the section if it holds instructions, else 0. */
static uint64_t limit_of(Elf *elf, GElf_Word section, GElf_Addr bias)
{
    GElf_Shdr header;
    Elf_Scn *scn = elf != NULL ? elf_getscn(elf, section) : NULL;

    return scn != NULL && gelf_getshdr(scn, &header) != NULL
                   && (header.sh_flags & SHF_EXECINSTR) != 0
               ? header.sh_addr + header.sh_size + bias
               : 0;
}

static void add(struct symtab *t, const struct symfile *f, int number)
{
    GElf_Sym symbol;
    GElf_Addr address = 0;
    GElf_Addr bias = 0;
    GElf_Word section = SHN_UNDEF;
    Elf *elf = NULL;
    const char *name = dwfl_module_getsym_info(
        f->module, number, &symbol, &address, &section, &elf, &bias);
    uint64_t limit = 0;

    if (name != NULL && is_function(&symbol, name)) {
        limit = limit_of(elf, section, bias);
    }
    if (address < limit) {
        t->symbols = must_grow(t->symbols, t->count, &t->room, sizeof(*t->symbols));
        t->symbols[t->count++] = (struct symbol){.low = address,
            .bytes = symbol.st_size,
            .limit = limit,
            .name = name,
            .is_local = GELF_ST_BIND(symbol.st_info) == STB_LOCAL};
    }
}

/* Of several names of one function the last one is taken: "malloc", not "__libc_malloc". */
static int compare_names(const struct symbol *a, const struct symbol *b)
{
    size_t marks_a = strspn(a->name, "_");
    size_t marks_b = strspn(b->name, "_");
    size_t length_a = strlen(a->name);
    size_t length_b = strlen(b->name);

    if (a->is_local != b->is_local) {
        return a->is_local ? -1 : 1;
    }
    if (marks_a != marks_b) {
        return marks_a > marks_b ? -1 : 1;
    }
    if (length_a != length_b) {
        return length_a > length_b ? -1 : 1;
    }
    return strcmp(b->name, a->name);
}

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a;
    const struct symbol *y = b;

    return x->low != y->low ? (x->low < y->low ? -1 : 1) : compare_names(x, y);
}

void symtab_init(struct symtab *t, const struct symfile *f)
{
    int count = dwfl_module_getsymtab(f->module);
    uint64_t next = UINT64_MAX; /* where the next symbol begins */
    uint64_t last = UINT64_MAX;

    *t = (struct symtab){0};
    for (int i = 1; i < count; i++) {
        add(t, f, i);
    }
    if (t->count > 0) {
        qsort(t->symbols, t->count, sizeof(*t->symbols), compare);
    }
    for (size_t i = t->count; i-- > 0;) {
        const struct symbol *s = &t->symbols[i];
        uint64_t most;

        if (s->low != last) {
            next = last;
            last = s->low;
        }
        most = s->limit - s->low;
        if (s->bytes != 0) {
            intervals_add(&t->sized, s->low,
                s->low + (s->bytes < most ? s->bytes : most), (uint32_t)i);
        } else {
            intervals_add(
                &t->unsized, s->low, next < s->limit ? next : s->limit, (uint32_t)i);
        }
    }
    intervals_sort(&t->sized);
    intervals_sort(&t->unsized);
}

void symtab_fini(struct symtab *t)
{
    intervals_fini(&t->sized);
    intervals_fini(&t->unsized);
    free(t->symbols);
    *t = (struct symtab){0};
}

const char *symtab_find(const struct symtab *t, uint64_t address)
{
    uint32_t number;

    return intervals_find(&t->sized, address, &number)
                   || intervals_find(&t->unsized, address, &number)
               ? t->symbols[number].name
               : NULL;
}
