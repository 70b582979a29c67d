"""
check_symbols - what the library exports, hides and needs

Usage: check_symbols.py libmpalloc.so libmpalloc.a libmpalloc_core.a
"""
import pathlib
import subprocess
import sys

# The interface of the C library, all of it: a family of which a member is missing crashes.
C_NAMES = """
    malloc calloc realloc free reallocarray aligned_alloc memalign posix_memalign valloc pvalloc
    malloc_usable_size malloc_trim mallinfo mallinfo2 malloc_info mallopt malloc_stats
    free_sized free_aligned_sized cfree _exit _Exit prctl dlopen""".split()
C_ALIASES = [f"__libc_{name}" for name in """
    malloc calloc realloc free memalign valloc pvalloc reallocarray posix_memalign
    mallinfo mallopt""".split()]


def cxx_names():
    """The 22 operators new and delete, as the Itanium ABI spells them for 64 bits."""
    nothrow, align = "RKSt9nothrow_t", "St11align_val_t"
    for array in "wa":
        for tail in ("", nothrow, align, align + nothrow):
            yield f"_Zn{array}m{tail}"
    for array in "la":
        for tail in ("", nothrow, align, align + nothrow, "m", "m" + align, "m" + nothrow):
            yield f"_Zd{array}Pv{tail}"


CXX_NAMES = set(cxx_names())

# What the core may call: nothing here allocates or uses stdio, but for pthread_create, which
# housekeeper.c alone calls.
CORE_MAY_CALL = set("""
    __errno_location __assert_fail abort _exit environ __environ getauxval
    mmap64 munmap mremap madvise mprotect mincore memfd_create fallocate64 ftruncate64
    open64 openat64 close read write pread64 pwrite64 readlink readlinkat unlink unlinkat mkdir
    mkdirat fstat64 stat64 fstatat64 lstat64 fcntl64 getdents64 renameat2 link linkat
    process_vm_readv syscall prctl kill sigaction sched_yield sched_getcpu sysconf sysinfo uname getrandom
    getpid getppid gettid getuid geteuid getgid getrlimit64 getrusage clock_gettime nanosleep
    memcpy memmove memset memcmp bcmp memchr strlen strnlen strchr strrchr strstr strcmp strncmp
    __sigsetjmp siglongjmp __longjmp_chk sigemptyset setitimer lseek64 strcspn dladdr
    __libc_current_sigrtmin __libc_current_sigrtmax
    pthread_setcancelstate at_quick_exit pthread_self pthread_create pthread_sigmask sigfillset
    pthread_attr_init pthread_attr_setstacksize pthread_attr_setdetachstate pthread_attr_destroy
    pthread_key_create pthread_getspecific pthread_setspecific pthread_atfork
    __register_atfork dl_iterate_phdr _dl_find_object __tls_get_addr
    _GLOBAL_OFFSET_TABLE_ __gmon_start__ __stack_chk_fail
    __libc_single_threaded __libc_stack_end
    __asan_poison_memory_region __asan_unpoison_memory_region
    """.split())

problems = []


def nm(*words):
    done = subprocess.run(["nm", *words], capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines() if line.strip()]


def check_exports(library):
    required = set(C_NAMES) | CXX_NAMES
    allowed = required | set(C_ALIASES)
    exported = {words[-1].split("@")[0] for words in nm("-D", "--defined-only", library)}
    public = {name for name in exported if name.startswith("mp_")}
    header = (pathlib.Path(__file__).resolve().parent.parent / "include/mpalloc.h").read_text()
    for name in sorted(required - exported):
        problems.append(f"{library} does not export {name}")
    for name in sorted(exported - allowed - public):
        problems.append(f"{library} exports {name}, which is no business of others")
    for name in sorted(public):
        if f"{name}(" not in header and f"__thread char *{name} " not in header:
            problems.append(f"{library} exports {name}, which include/mpalloc.h does not declare")
    print(f"{len(exported)} exported: {len(exported & set(C_NAMES))} of the C library, "
          f"{len(exported & CXX_NAMES)} operators, {len(public)} mp_")


def check_archive(archive, exported_by):
    """Global symbols of the archive that the shared library does not export are hidden."""
    public = {words[-1].split("@")[0] for words in nm("-D", "--defined-only", exported_by)}
    done = subprocess.run(["readelf", "-sW", archive], capture_output=True, text=True, check=True)
    count = 0
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) >= 8 and words[4] in ("GLOBAL", "WEAK") and words[6] != "UND":
            count += 1
            if words[5] not in ("HIDDEN", "INTERNAL") and words[7] not in public:
                problems.append(f"{archive}: {words[7]} is {words[5]}, not hidden")
    print(f"{count} global symbols in the archive")


def check_core(core):
    lines = [words for words in nm("-g", core) if len(words) >= 2]
    defined = {words[-1] for words in lines if words[-2] in "TDBRVWC"}
    needed = {words[-1] for words in lines if words[-2] in "Uw"} - defined
    for name in sorted(needed - CORE_MAY_CALL):
        problems.append(f"the core calls {name}; if that neither allocates nor uses stdio nor "
                        "starts a thread, add it to CORE_MAY_CALL")
    print(f"{len(needed)} symbols needed by the core from the C library")


shared, archive, core = sys.argv[1:]
check_exports(shared)
check_archive(archive, shared)
check_core(core)
for line in problems:
    print(line)
print(f"check_symbols: {len(problems) or 'no'} problems")
sys.exit(bool(problems))
