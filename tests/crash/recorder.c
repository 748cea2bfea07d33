/* Records what a program does to the files below a folder, in the order in which it happens, so that a test can tell what
 * a power cut would leave of them.
 *
 * Loaded with LD_PRELOAD. A seccomp filter turns every system call that changes files into SIGSYS, whoever makes it: libc,
 * Rust's standard library, or code that calls the kernel directly. The handler carries the call out and writes it to the
 * record. Calls that copy within the kernel answer ENOSYS, which sends their callers to plain reads and writes.
 *
 *   RECORD_ROOT  the folder, without links or dots in its path
 *   RECORD_FILE  where the record goes; it must lie elsewhere
 *   RECORD_KILL  the process kills itself in place of the change of this number, counted from 1
 *   RECORD_FAIL  FIRST:COUNT:ERRNO, so many changes from that number on are not made and answer with that error
 *
 * An entry: `struct entry`, then the path, the second path and the data, without anything between them. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the recorder knows the system calls of x86-64 alone"
#endif

enum kind { CREATE = 1, WRITE, TRUNCATE, RENAME, UNLINK, RMDIR, LINK, SYMLINK, MKDIR, SYNC, SYNC_ALL };

struct entry {
    uint32_t kind;
    uint32_t path_length, second_length, data_length;
    uint64_t inode, offset;
};

#define PATH_LENGTH 4096
#define IOV_COUNT 1024

static char root[PATH_LENGTH];
static size_t root_length;
static int record = -1;
static uint64_t changes, kill_at, fail_at, fail_count;
static long fail_with;
static volatile int taken;

/* What this library's own calls carry as their sixth argument, which none of them has: the filter lets them pass. An
 * address would not do, for a program that is started by the recorded one inherits the filter and lies elsewhere. */
#define OWN 0x5045524e

static long pass(long number, const long call[6]) {
    register long r10 __asm__("r10") = call[3], r8 __asm__("r8") = call[4], r9 __asm__("r9") = OWN;
    long answer;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(call[0]), "S"(call[1]), "d"(call[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return answer;
}

#define CALL(number, a, b, c, d) pass(number, (const long[6]){ (long)(a), (long)(b), (long)(c), (long)(d) })

static void lock(void) {
    while (__atomic_exchange_n(&taken, 1, __ATOMIC_ACQUIRE)) CALL(SYS_sched_yield, 0, 0, 0, 0);
}

static void unlock(void) { __atomic_store_n(&taken, 0, __ATOMIC_RELEASE); }

static int below(const char *path) {
    return !strncmp(path, root, root_length) && (path[root_length] == '/' || path[root_length] == 0);
}

/* The path of an open file; 0 where it is none below the root. */
static int path_of(int file, char *path) {
    char link[40] = "/proc/self/fd/", digits[12];
    int at = 0, end = (int)strlen(link);
    if (file < 0) return 0;
    do digits[at++] = (char)('0' + file % 10); while (file /= 10);
    while (at) link[end++] = digits[--at];
    link[end] = 0;
    long length = CALL(SYS_readlink, link, path, PATH_LENGTH - 1, 0);
    if (length <= 0) return 0;
    path[length] = 0;
    return below(path);
}

/* The absolute path of a name in a folder; 0 where it is none below the root. Dots and doubled slashes go. */
static int resolve(int folder, const char *name, char *path) {
    char joined[2 * PATH_LENGTH];
    size_t length = 0;
    if (!name || strlen(name) >= PATH_LENGTH) return 0;
    if (name[0] != '/') {
        if (folder == AT_FDCWD) {
            long found = CALL(SYS_readlink, "/proc/self/cwd", joined, PATH_LENGTH - 1, 0);
            length = found > 0 ? (size_t)found : 0;
        } else {
            char base[PATH_LENGTH];
            if (!path_of(folder, base)) return 0;
            length = strlen(base);
            memcpy(joined, base, length);
        }
        joined[length++] = '/';
    }
    strcpy(joined + length, name);
    size_t end = 0;
    for (char *part = joined; *part;) {
        while (*part == '/') part++;
        size_t size = strcspn(part, "/");
        if (size == 2 && part[0] == '.' && part[1] == '.') {
            while (end && path[--end] != '/') {}
        } else if (size && !(size == 1 && part[0] == '.')) {
            if (end + size + 2 > PATH_LENGTH) return 0;
            path[end++] = '/';
            memcpy(path + end, part, size);
            end += size;
        }
        part += size;
    }
    path[end] = 0;
    return below(path);
}

/* A change is about to be made; those that are asked for never are. Whether it is to answer with the error instead. */
static int fails(void) {
    if (++changes == kill_at) {
        CALL(SYS_kill, CALL(SYS_getpid, 0, 0, 0, 0), SIGKILL, 0, 0);
        for (;;) CALL(SYS_pause, 0, 0, 0, 0);
    }
    return changes >= fail_at && changes - fail_at < fail_count;
}

/* In one call, which no other process of the same record comes between. */
static void note(enum kind kind, uint64_t inode, uint64_t offset, const char *path, const char *second,
                 const struct iovec *data, int count, size_t data_length) {
    static struct iovec parts[IOV_COUNT];
    struct entry entry = { kind, path ? (uint32_t)strlen(path) : 0, second ? (uint32_t)strlen(second) : 0,
                           (uint32_t)data_length, inode, offset };
    size_t whole = sizeof entry + entry.path_length + entry.second_length + data_length;
    int end = 0;
    parts[end++] = (struct iovec){ &entry, sizeof entry };
    parts[end++] = (struct iovec){ (void *)path, entry.path_length };
    parts[end++] = (struct iovec){ (void *)second, entry.second_length };
    for (int at = 0; at < count && data_length && end < IOV_COUNT; at++) {
        size_t length = data[at].iov_len < data_length ? data[at].iov_len : data_length;
        parts[end++] = (struct iovec){ data[at].iov_base, length };
        data_length -= length;
    }
    /* A record with a hole would prove what is not so. */
    if (data_length || CALL(SYS_writev, record, parts, end, 0) != (long)whole)
        CALL(SYS_kill, CALL(SYS_getpid, 0, 0, 0, 0), SIGABRT, 0, 0);
}

static uint64_t inode_at(int folder, const char *name) {
    struct stat status;
    return CALL(SYS_newfstatat, folder, name, &status, AT_SYMLINK_NOFOLLOW) ? 0 : status.st_ino;
}

static uint64_t inode_of(int file) {
    struct stat status;
    return CALL(SYS_fstat, file, &status, 0, 0) ? 0 : status.st_ino;
}

static long do_open(int folder, const char *name, int flags, int mode) {
    char path[PATH_LENGTH];
    int changing = flags & (O_CREAT | O_TRUNC);
    if (!changing || (flags & O_TMPFILE) == O_TMPFILE || !resolve(folder, name, path))
        return CALL(SYS_openat, folder, name, flags, mode);
    lock();
    struct stat before;
    int there = !CALL(SYS_newfstatat, folder, name, &before, 0);
    int changes_it = !there ? flags & O_CREAT : (flags & O_TRUNC) && before.st_size > 0;
    long file = changes_it && fails() ? fail_with : CALL(SYS_openat, folder, name, flags, mode);
    if (file >= 0 && changes_it) note(there ? TRUNCATE : CREATE, inode_of((int)file), 0, path, 0, 0, 0, 0);
    unlock();
    return file;
}

/* `offset` below 0 is the file's own position. */
static long do_write(long number, int file, const struct iovec *data, int count, long offset, long call[6]) {
    char path[PATH_LENGTH];
    struct stat status;
    if (CALL(SYS_fstat, file, &status, 0, 0) || !S_ISREG(status.st_mode) || !path_of(file, path))
        return pass(number, call);
    lock();
    if (fails()) {
        unlock();
        return fail_with;
    }
    CALL(SYS_fstat, file, &status, 0, 0);
    if (CALL(SYS_fcntl, file, F_GETFL, 0, 0) & O_APPEND) offset = status.st_size;
    if (offset < 0) offset = CALL(SYS_lseek, file, 0, SEEK_CUR, 0);
    long written = pass(number, call);
    if (written > 0) note(WRITE, status.st_ino, (uint64_t)offset, path, 0, data, count, (size_t)written);
    unlock();
    return written;
}

/* A change of names. `path` was resolved already. */
static long do_name(enum kind kind, uint64_t inode, const char *path, const char *second, long number, long call[6]) {
    lock();
    long done = fails() ? fail_with : pass(number, call);
    if (!done) note(kind, inode, 0, path, second, 0, 0, 0);
    unlock();
    return done;
}

static long carry_out(long number, long call[6]) {
    char path[PATH_LENGTH], second[PATH_LENGTH];
    struct iovec one = { (void *)call[1], (size_t)call[2] };
#define PASS pass(number, call)
#define FOLDER(at) ((int)call[at])
#define NAME(at) ((const char *)call[at])
    switch (number) {
    case SYS_open: return do_open(AT_FDCWD, NAME(0), (int)call[1], (int)call[2]);
    case SYS_creat: return do_open(AT_FDCWD, NAME(0), O_CREAT | O_WRONLY | O_TRUNC, (int)call[1]);
    case SYS_openat: return do_open(FOLDER(0), NAME(1), (int)call[2], (int)call[3]);
    case SYS_write: return do_write(number, FOLDER(0), &one, 1, -1, call);
    case SYS_pwrite64: return do_write(number, FOLDER(0), &one, 1, call[3], call);
    case SYS_writev: return do_write(number, FOLDER(0), (struct iovec *)call[1], (int)call[2], -1, call);
    case SYS_pwritev:
    case SYS_pwritev2: return do_write(number, FOLDER(0), (struct iovec *)call[1], (int)call[2], call[3], call);
    case SYS_ftruncate: {
        if (!path_of(FOLDER(0), path)) return PASS;
        lock();
        long done = fails() ? fail_with : PASS;
        if (!done) note(TRUNCATE, inode_of(FOLDER(0)), (uint64_t)call[1], path, 0, 0, 0, 0);
        unlock();
        return done;
    }
    case SYS_truncate: {
        if (!resolve(AT_FDCWD, NAME(0), path)) return PASS;
        lock();
        long done = fails() ? fail_with : PASS;
        if (!done) note(TRUNCATE, inode_at(AT_FDCWD, NAME(0)), (uint64_t)call[1], path, 0, 0, 0, 0);
        unlock();
        return done;
    }
    case SYS_rename:
    case SYS_renameat:
    case SYS_renameat2: {
        int at = number == SYS_rename;
        int from = at ? AT_FDCWD : FOLDER(0), to = at ? AT_FDCWD : FOLDER(2);
        const char *old = at ? NAME(0) : NAME(1), *new = at ? NAME(1) : NAME(3);
        if (!resolve(from, old, path) || !resolve(to, new, second)) return PASS;
        return do_name(RENAME, inode_at(from, old), path, second, number, call);
    }
    case SYS_unlink: return resolve(AT_FDCWD, NAME(0), path) ? do_name(UNLINK, 0, path, 0, number, call) : PASS;
    case SYS_rmdir: return resolve(AT_FDCWD, NAME(0), path) ? do_name(RMDIR, 0, path, 0, number, call) : PASS;
    case SYS_unlinkat:
        if (!resolve(FOLDER(0), NAME(1), path)) return PASS;
        return do_name(call[2] & AT_REMOVEDIR ? RMDIR : UNLINK, 0, path, 0, number, call);
    case SYS_link:
        if (!resolve(AT_FDCWD, NAME(0), path) || !resolve(AT_FDCWD, NAME(1), second)) return PASS;
        return do_name(LINK, inode_at(AT_FDCWD, NAME(0)), path, second, number, call);
    case SYS_linkat:
        if (!resolve(FOLDER(0), NAME(1), path) || !resolve(FOLDER(2), NAME(3), second)) return PASS;
        return do_name(LINK, inode_at(FOLDER(0), NAME(1)), path, second, number, call);
    case SYS_symlink:
        return resolve(AT_FDCWD, NAME(1), path) ? do_name(SYMLINK, 0, path, NAME(0), number, call) : PASS;
    case SYS_symlinkat:
        return resolve(FOLDER(1), NAME(2), path) ? do_name(SYMLINK, 0, path, NAME(0), number, call) : PASS;
    case SYS_mkdir: return resolve(AT_FDCWD, NAME(0), path) ? do_name(MKDIR, 0, path, 0, number, call) : PASS;
    case SYS_mkdirat: return resolve(FOLDER(0), NAME(1), path) ? do_name(MKDIR, 0, path, 0, number, call) : PASS;
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_sync_file_range: {
        /* The last of these promises nothing of the kind. */
        if (number == SYS_sync_file_range || !path_of(FOLDER(0), path)) return PASS;
        return do_name(SYNC, inode_of(FOLDER(0)), path, 0, number, call);
    }
    case SYS_syncfs: return do_name(SYNC_ALL, 0, 0, 0, number, call);
    default: return PASS;
    }
}

static void on_call(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    long call[6] = { registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                     registers[REG_R10], registers[REG_R8], registers[REG_R9] };
    registers[REG_RAX] = carry_out(registers[REG_RAX], call);
}

static const int RECORDED[] = {
    SYS_creat, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_truncate,
    SYS_rename, SYS_renameat, SYS_renameat2, SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_link, SYS_linkat, SYS_symlink,
    SYS_symlinkat, SYS_mkdir, SYS_mkdirat, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_syncfs,
};
/* Copies within the kernel, reservations, and calls that would pass the filter by. */
static const int REFUSED[] = { SYS_copy_file_range, SYS_sendfile, SYS_splice, SYS_fallocate, SYS_openat2, SYS_io_uring_setup };

#define COUNT(array) (sizeof array / sizeof *array)
#define OFFSET(field) (uint32_t)__builtin_offsetof(struct seccomp_data, field)
#define LOAD(offset) (struct sock_filter){ BPF_LD | BPF_W | BPF_ABS, 0, 0, offset }
#define EQUALS(value, yes, no) (struct sock_filter){ BPF_JMP | BPF_JEQ | BPF_K, yes, no, (uint32_t)(value) }
#define ANY_OF(bits, yes, no) (struct sock_filter){ BPF_JMP | BPF_JSET | BPF_K, yes, no, (uint32_t)(bits) }
#define RETURN(value) (struct sock_filter){ BPF_RET | BPF_K, 0, 0, (uint32_t)(value) }

static int install(void) {
    static struct sock_filter filter[2 * (COUNT(RECORDED) + COUNT(REFUSED)) + 64];
    unsigned short end = 0;
    filter[end++] = LOAD(OFFSET(arch));
    filter[end++] = EQUALS(AUDIT_ARCH_X86_64, 1, 0);
    filter[end++] = RETURN(SECCOMP_RET_ALLOW);
    filter[end++] = LOAD(OFFSET(args[5]));
    filter[end++] = EQUALS(OWN, 0, 1);
    filter[end++] = RETURN(SECCOMP_RET_ALLOW);
    filter[end++] = LOAD(OFFSET(nr));
    for (size_t at = 0; at < COUNT(RECORDED); at++) {
        filter[end++] = EQUALS(RECORDED[at], 0, 1);
        filter[end++] = RETURN(SECCOMP_RET_TRAP);
    }
    for (size_t at = 0; at < COUNT(REFUSED); at++) {
        filter[end++] = EQUALS(REFUSED[at], 0, 1);
        filter[end++] = RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    }
    /* Opening matters only where it makes or empties a file. */
    filter[end++] = EQUALS(SYS_open, 0, 3);
    filter[end++] = LOAD(OFFSET(args[1]));
    filter[end++] = ANY_OF(O_CREAT | O_TRUNC, 0, 5);
    filter[end++] = RETURN(SECCOMP_RET_TRAP);
    filter[end++] = EQUALS(SYS_openat, 0, 3);
    filter[end++] = LOAD(OFFSET(args[2]));
    filter[end++] = ANY_OF(O_CREAT | O_TRUNC, 0, 1);
    filter[end++] = RETURN(SECCOMP_RET_TRAP);
    filter[end++] = RETURN(SECCOMP_RET_ALLOW);
    struct sock_fprog program = { end, filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

__attribute__((constructor)) static void begin(void) {
    const char *folder = getenv("RECORD_ROOT"), *file = getenv("RECORD_FILE"), *kill_change = getenv("RECORD_KILL"),
               *fail = getenv("RECORD_FAIL");
    if (!folder || !file || strlen(folder) >= PATH_LENGTH) return;
    strcpy(root, folder);
    root_length = strlen(root);
    kill_at = kill_change ? strtoull(kill_change, 0, 10) : 0;
    if (fail) {
        char *next;
        fail_at = strtoull(fail, &next, 10);
        fail_count = strtoull(next + 1, &next, 10);
        fail_with = -strtol(next + 1, 0, 10);
    }
    struct sigaction action = { .sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_RESTART };
    /* A handler of another signal that wrote while this one works would be the end of the process. */
    sigfillset(&action.sa_mask);
    if (sigaction(SIGSYS, &action, 0)) abort();
    record = (int)CALL(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (record < 0 || install()) abort();
}

typedef int spawn(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *, char *const[],
                  char *const[]);

/* A program that the recorded one starts inherits the filter, and would die of it without this handler, which it needs even where
 * its environment is cleared. What it does is not recorded. */
int posix_spawnp(pid_t *process, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]) {
    enum { VARIABLES_MAX = 256 };
    char preload[PATH_LENGTH] = "LD_PRELOAD=";
    char *variables[VARIABLES_MAX] = { preload, "RECORD_ROOT=/nowhere", "RECORD_FILE=/dev/null" };
    const char *own = getenv("LD_PRELOAD");
    spawn *next = (spawn *)(uintptr_t)dlsym(RTLD_NEXT, "posix_spawnp");
    if (!own || strlen(own) > PATH_LENGTH - sizeof "LD_PRELOAD=" || !next) abort();
    strcat(preload, own);
    for (int from = 0, to = 3; environment[from]; from++) {
        if (to == VARIABLES_MAX - 1) abort();
        if (strncmp(environment[from], "RECORD_", 7) && strncmp(environment[from], "LD_PRELOAD=", 11))
            variables[to++] = environment[from];
    }
    return next(process, file, actions, attributes, arguments, variables);
}
